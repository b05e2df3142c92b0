"""``latigo serve`` under a service manager such as systemd, which is played by a socket."""

import pytest

from latigo.runtime.service_manager import EVERY
from tests.support.process import serving
from tests.support.sandbox import Sandbox
from tests.support.service_manager import listening

WATCHDOG_S = 3.0


async def test_it_hears_of_the_start_while_the_ledger_is_not_there_then_of_life_and_of_the_end(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    options = ("--executors", "1")
    async with listening() as notices:
        monkeypatch.setenv("NOTIFY_SOCKET", notices.address)
        monkeypatch.setenv("WATCHDOG_USEC", str(int(WATCHDOG_S * 1e6)))
        async with sandbox.without_ledger(), serving(sandbox.config(), *options) as service:
            await notices.of("READY")
            await notices.of("STATUS", "waits for ledger: ")
            alive = len(notices.values("WATCHDOG"))
            await service.until(lambda: len(notices.values("WATCHDOG")) > alive, what="it is alive")
            stopped = await service.stop()
            at_start = list(notices.received)
        async with serving(sandbox.config(), *options) as service:
            await sandbox.whole(service)
            await service.until(lambda: notices.values("STATUS")[-1] == "running", what="it says that it runs")
            stopped_again = await service.stop()

    assert (stopped, stopped_again) == (0, 0)
    assert [notice for notice in at_start if "READY" in notice] == [{"READY": "1"}]
    assert len(notices.values("READY")) == 2  # executors below a process do not speak for it
    # A process that takes long to drain says in between that it is alive.
    said = [notice for notice in notices.received if "WATCHDOG" not in notice]
    assert said[-1] == {"STOPPING": "1", "STATUS": "draining"}
    assert EVERY.total_seconds() > WATCHDOG_S / 3  # else it would have been alive in time by chance
