"""Answers of other servers: never more of one than is wanted."""

import aiohttp


class BodyTooLarge(Exception):
    """There is more than ``limit`` bytes; the rest is not read."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"more than {limit} bytes")
        self.limit = limit


async def read_whole(response: aiohttp.ClientResponse, limit: int) -> bytearray:
    """All of it.

    Raises:
        BodyTooLarge: it has more than ``limit`` bytes; before anything is read, where its length is told.
    """
    body = bytearray()
    if (response.content_length or 0) <= limit:
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > limit:
                break
        else:
            return body
    raise BodyTooLarge(limit)


async def read_beginning(response: aiohttp.ClientResponse, most: int) -> bytearray:
    """What is only looked at by people; the connection is given up where there is more."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > most:
            break
    return body[:most]
