"""Probe a downstream whose circuit is open, without waiting for the next time."""

from latigo.actions.record import SQL, record
from latigo.domain.errors import Misused
from latigo.domain.names import unknown_name
from latigo.ledger.shared import read_circuits, release_holds
from latigo.postgres.database import Database


async def probe_circuit(database: Database, who: str, downstream: str, reason: str) -> None:
    """Make a probe due now, for a task of any model that needs the downstream, held ones included.

    Raises:
        UnknownName: no open circuit has this name.
        Misused: no circuit is open.
    """
    known = [circuit.downstream for circuit in await read_circuits(database)]
    if not known:
        raise Misused("no circuit is open: all systems are in use")
    if downstream not in known:
        raise unknown_name("open circuit", downstream, known)
    async with database.transaction() as connection:
        await connection.execute(SQL["probe_now"], downstream)
        await release_holds(connection, downstream)
        await record(connection, "circuits_probe", who, {"downstream": downstream, "reason": reason}, "probe due")
