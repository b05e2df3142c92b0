"""A server that cannot be reached is named, without the login."""

import socket
from pathlib import Path

import pytest

from latigo.postgres.servers import NoServer, Servers
from tests.support.ports import free_port


async def refusal(url: str, *, within: float = 60.0) -> str:
    with pytest.raises(NoServer) as raised:
        await Servers(url).connect(timeout=within)
    assert "secret" not in str(raised.value)
    return str(raised.value)


async def test_a_server_that_refuses_connections_is_named() -> None:
    address = f"127.0.0.1:{free_port()}"

    assert (await refusal(f"postgresql://latigo:secret@{address}/latigo")).startswith(f"{address}: Connection")


async def test_a_server_that_answers_nothing_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"

        said = await refusal(f"postgresql://latigo:secret@{address}/x", within=0.1)

        assert said == f"{address}: no answer in time (TimeoutError)"


async def test_the_folder_of_a_socket_is_named(tmp_path: Path) -> None:
    assert (await refusal(f"postgresql://latigo:secret@/x?host={tmp_path}")).startswith(f"{tmp_path}: FileNotFound")
