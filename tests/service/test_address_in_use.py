"""``latigo serve`` where another process has its address."""

import socket
from pathlib import Path

from tests.support.ports import free_port
from tests.support.process import serving, write_config

FAILED = 1


async def test_it_waits_for_an_address_that_is_about_to_be_free(tmp_path: Path):
    config = write_config(tmp_path, http={"port": (port := free_port())}, ledger=nowhere(tmp_path))
    with socket.create_server(("127.0.0.1", port)) as other:
        async with serving(config) as service:
            delayed = await service.logged("start.delayed")
            other.close()
            url = await service.url()
            assert await service.stop() == 0

    assert delayed["downstream"] == "http"
    assert f"http.host, http.port: cannot listen on 127.0.0.1:{port}: " in delayed["error"]
    assert url == f"http://127.0.0.1:{port}"


async def test_an_address_that_stays_in_use_is_no_matter_of_configuration(tmp_path: Path):
    config = write_config(tmp_path, http={"port": (port := free_port())}, ledger=nowhere(tmp_path))
    with socket.create_server(("127.0.0.1", port)):
        async with serving(config) as service:
            code = await service.ended()
            log = service.log()

    assert code == FAILED
    assert f"latigo: http.host, http.port: cannot listen on 127.0.0.1:{port}: " in log
    assert "Traceback" not in log


def nowhere(folder: Path) -> dict[str, str]:
    """A ledger that is not there: HTTP comes first."""
    return {"kind": "postgres", "url": f"postgresql://x@/x?host={folder}"}
