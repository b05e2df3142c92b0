"""Idempotency keys: an action that is requested again with the same key is not done again."""

import hashlib
import re
from http import HTTPStatus
from typing import NamedTuple

from latigo.postgres.database import Database
from latigo.postgres.statements import load_statements
from latigo.web.api.endpoint import Question
from latigo.web.problems import refuse

SQL = load_statements("latigo.web.api", "idempotency.sql")
KEY_HEADER = "Idempotency-Key"
_KEY = re.compile(r"[!-~]{1,200}")
_AGAIN_S = 1.0


class Answered(NamedTuple):
    """What was answered before."""

    status: int
    media_type: str
    content: bytes


def request_digest(method: str, path: str, question: Question) -> bytes:
    """Return a digest of what is requested."""
    return hashlib.sha256(f"{method} {path} {question.model_dump_json()}".encode()).digest()


def checked_key(key: str | None) -> str | None:
    """Return a key as it was given, None for none.

    Raises:
        RefusedRequest: it is no key.
    """
    if key is not None and not _KEY.fullmatch(key):
        raise refuse("misused", HTTPStatus.BAD_REQUEST, f"{KEY_HEADER}: should be 1 to 200 plain characters")
    return key


class IdempotencyKeys:
    """The keys of the last day, in the ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, who: str, key: str, request: bytes) -> Answered | None:
        """Take a key; return what was answered to it before, None if it is new.

        Raises:
            RefusedRequest: it was used for something else, or what it is for is being done.
        """
        if await self._database.row(SQL["take_key"], who, key, request) is not None:
            return None
        row = await self._database.row(SQL["answer_of_key"], who, key)
        if row is None or (row["status"] is None and row["request"] == request):
            raise refuse(
                "in-progress", HTTPStatus.CONFLICT, "the same is being done; ask again", retry_after_s=_AGAIN_S
            )
        if row["request"] != request:
            raise refuse(
                "key-reused", HTTPStatus.UNPROCESSABLE_ENTITY, f"{KEY_HEADER}: was used for another request before"
            )
        return Answered(row["status"], row["media_type"], row["content"])

    async def end(self, who: str, key: str, status: int, media_type: str, content: bytes) -> None:
        """Keep what was answered."""
        await self._database.execute(SQL["keep_answer"], who, key, status, media_type, content)

    async def forget(self, who: str, key: str) -> None:
        """Let the key be used again: nothing was done."""
        await self._database.execute(SQL["forget_key"], who, key)
