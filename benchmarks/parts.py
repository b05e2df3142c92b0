"""The parts of the measurements, in their order."""

from typing import NamedTuple

_SERVERS = """By the clock, with the CPU of all servers for a prediction next to it."""
_PLAYED = """The real scheduler and ledger under a virtual clock; executors are played."""


MISSED = 1  #: exit code of measurements that did not reach a goal


class Part(NamedTuple):
    """Measurements that belong together. The module is imported when it is measured: an older commit may lack it."""

    module: str
    title: str  #: of the section of results
    reading: str  #: how to read it


PARTS = {
    "overhead": Part(
        "overhead",
        "Overhead of the executor",
        """CPU time of one process, which hardly depends on what else the machine does. The executor also claims,
        writes to PostgreSQL, settles and logs; gordo-client (parquet, metadata cached) does none of that. Responses are
        as large as those of real Gordo, 103 kB. The floor is aiohttp, which sends the request, pyarrow, which reads the
        response, and one INSERT: no executor on them can take less. Where the goal is missed: what is over the floor
        is, by a profile, spread over the frame and body of the request (some 0.3 ms), names, checks and score of the
        answer (0.5), circuits, limits and timeouts (0.25), and claim, settlement, receipt, metrics and log (0.6). 0.2
        ms of it are in sight; 32 needs a cheaper reader of parquet or another driver of PostgreSQL.""",
    ),
    "busy": Part(
        "busy",
        "Real Gordo kept busy",
        """By the clock; it wants a machine that does nothing else: the executor has its ledger and sink on the same
        cores as Gordo, and the replay has neither.""",
    ),
    "affinity": Part(
        "affinity",
        "Affinity over several servers",
        f"""{_SERVERS} Round robin sends the calls to the servers in turn, with the models in the same order. Their
        number is no multiple of the servers: otherwise each model would come back to the same server in every wave,
        which is an affinity by accident.""",
    ),
    "backfill": Part("backfill", "Backfill model by model", _SERVERS),
    "waves": Part("waves", "Live waves in alternate order", _SERVERS),
    "influx": Part(
        "influx",
        "InfluxDB",
        """CPU time of the side that reads or writes, in a process of its own; the server's is not in it. aioinflux
        asks with Latigo's own statements and makes DataFrames of the answers; it and Gordo's forwarder write the same
        points, to databases of their own.""",
    ),
    "timeseries_api": Part(
        "timeseries_api",
        "Timeseries API",
        """CPU time of the side that reads or writes, as with InfluxDB, against our emulator. The SDK makes the same
        calls, one request for each model, and ends with the good readings by tag, in order of time. aiohttp alone
        sends the same bodies and parses nothing: no client on it can be further ahead of the SDK than that. aiohttp
        and orjson alone parse each answer as a whole and use nothing of it. Where such a floor is at the goal or
        below, there is nothing left for making requests and using answers.""",
    ),
    "wave": Part(
        "wave",
        "A full wave",
        """One slot of every model at once, with everything on two cores. The executor's CPU is held against a limit,
        by the CPU that the stub took in the same run: the stub's work is the same for every commit, and a loaded
        machine slows both down. The clock is held against the CPU of executor, InfluxDB and stub, were both cores
        always busy with nothing else: what PostgreSQL takes, and waiting, are what is over 1. That ratio rises where an
        executor takes less CPU, though the wave takes no longer. All tasks have to end as stored, all points have to be
        there, and no new series may be among them.""",
    ),
    "queue": Part(
        "event_hubs",
        "Event Hubs queue",
        """By the clock, through our emulator, which is Python on the same cores and slower than the service: it
        brings the two nearer to each other, and what a side takes itself is the CPU next to the rates. Consuming
        counts from the first event. The bare client sends bytes that are there already, and checkpoints nothing. 9000
        models every half hour are five tasks a second.""",
    ),
    "calls": Part("calls", "Calls to Gordo", _PLAYED),
    "overload": Part("overload", "Overload", _PLAYED),
    "memory": Part(
        "memory",
        "Memory",
        """The resident size of the executor process. Every window has readings of its own, as from a network.""",
    ),
    "ledger": Part(
        "ledger",
        "Claims and settlements",
        """They have nothing else to do: what a queue, readings and Gordo take is left out. The rate is by the clock,
        with the executors and PostgreSQL on the same cores; CPU and transactions are those of the whole server.""",
    ),
    "ledger_disk": Part(
        "ledger_disk",
        "The ledger's log and disk",
        """A task of one slot from plan to settlement, with everything that roles do for it in the ledger, 32 at work
        at once; what planning reads is left out: see the next section. CPU is that of the whole server, autovacuum and
        all. Batches are as large as what ends within 5 ms: the fewer tasks a second, the more transactions a task.
        Where the limit of CPU is missed, that is why, and a quarter of it is the planning of statements, nearly each
        time anew. The log is without whole pages, but for the line that says so. The history's disk is after a VACUUM;
        that of the other tables is the largest of three waves, and depends on when autovacuum has come by.""",
    ),
    "planning": Part(
        "planning",
        "Planning and questions",
        """Planning is by the clock, the median of five rounds of the scheduler with PostgreSQL, with the runs of
        backfill and without sending tasks; lists and status are the mean CPU of twenty, without the start of a command.
        The memory is the most that the whole process had. The limits are those of a machine whose control takes 8 ms:
        where it takes 11, a status made anew without a scheduler misses its own by a little.""",
    ),
    "commands": Part(
        "commands",
        "Commands that ask",
        """CPU time of the whole process, the best of nine, with a ledger that is small: most of it is the start. The
        floor is a bare Python that imports asyncpg and pydantic and asks one statement. Both have the bytecode of what
        they import, as installed packages do; Python that has to compile all of it (`PYTHONDONTWRITEBYTECODE` and
        nothing compiled before) takes about a quarter of a second more.""",
    ),
    "pauses": Part(
        "pauses",
        "Longest pauses of the event loop",
        """By the clock, less the pause while a thread counts in Python, in turn with the others. In tasks: the CPU time
        of the thread of the event loop, with the pause by the clock next to it.""",
    ),
    "web": Part(
        "web",
        "The web interface",
        """CPU time of the database's server and of the process that answers; ten viewers for a minute do what the
        page of models does, while models are settled. The pages themselves are by the clock, in headless Chromium
        without a graphics card, the best of five.""",
    ),
}
