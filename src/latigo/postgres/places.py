"""The folder of an embedded database: where it is by default, whose it is, and whether the server can reach it."""

import os
import shlex
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from latigo.domain.errors import ConfigurationError
from latigo.postgres.account import Account, can_reach, closed_folders, unprivileged_account
from latigo.postgres.presence import ALONE, GUARD, PRESENT
from latigo.postgres.programs import FOLDER as PROGRAMS

#: Of root: the server runs as another account, which has no way into the home of root.
OF_ROOT = Path("/var/lib/latigo/ledger")
#: Of everybody else; root had it as well, before.
OF_USERS = Path("~/.local/share/latigo/ledger")
_TEMPORARY = (Path("/tmp"), Path("/var/tmp"), OF_ROOT.parent.parent)  # noqa: S108 - private folders in them
_OURS = ("data", GUARD, "users", PRESENT, ALONE, PROGRAMS, "lost+found")
_UNFINISHED = "unfinished-"


def default_home() -> Path:
    """Return the folder for a database where none is configured; an existing one of root stays where it is."""
    if os.geteuid() != 0 or (not is_initialised(OF_ROOT) and _has_one(OF_USERS)):
        return OF_USERS
    return OF_ROOT


@contextmanager
def temporary_home() -> Iterator[Path]:
    """Create a folder for a database, which the server's account can reach; delete it at the end.

    Raises:
        ConfigurationError: there is no place for it.
    """
    account = unprivileged_account()
    places = [Path(tempfile.gettempdir()), *_TEMPORARY]
    for place in places:
        if place.is_dir() and os.access(place, os.W_OK | os.X_OK) and can_reach(account, place):
            with tempfile.TemporaryDirectory(prefix="latigo-", dir=place) as folder:
                yield Path(folder)
            return
    raise ConfigurationError(f"no temporary folder can be used for a database: {', '.join(map(str, places))}")


def is_initialised(home: Path) -> bool:
    """Return whether the folder holds a cluster."""
    return (home / "data" / "PG_VERSION").exists()


def prepare_home(home: Path, account: Account | None) -> None:
    """Close the folder to others, and give it to the server's account. Nothing above it is changed, ever.

    A folder that holds other things as well is left as it is.

    Raises:
        ConfigurationError: the account cannot reach the folder; the message has the commands that help.
    """
    if _is_only_ours(home) and home.stat().st_uid in {0, os.geteuid()}:
        if stat.S_IMODE(home.stat().st_mode) != stat.S_IRWXU:
            home.chmod(stat.S_IRWXU)
        if account is not None and home.stat().st_uid != account.uid:
            os.chown(home, account.uid, account.gid)
    require_reachable(home, account)


def require_reachable(home: Path, account: Account | None) -> None:
    """Check that the server's account can enter the folder, or the nearest one above it that exists.

    Raises:
        ConfigurationError: it cannot; the message has the commands that help.
    """
    nearest = next(folder for folder in (home, *home.parents) if folder.exists())
    if account is None or can_reach(account, nearest):
        return
    closed = [str(folder) for folder in closed_folders(account, nearest) or [nearest]]
    problem = (
        f"the embedded database cannot use {home}: PostgreSQL refuses to run as root, and the account {account.name},"
        f" as which it runs instead, may not pass through {', '.join(closed)}. Run"
    )
    commands = [f"  chmod o+x {shlex.join(closed)}", "to let it pass, or use another folder:"]
    if is_initialised(home):
        commands.append(f"  mkdir -p {OF_ROOT.parent} && mv {shlex.quote(str(home))} {OF_ROOT}")
    commands.append(f'  ledger.data_dir = "{OF_ROOT}"')
    raise ConfigurationError("\n".join([problem, *commands]))


def _has_one(home: Path) -> bool:
    try:
        return is_initialised(home.expanduser())
    except (RuntimeError, OSError):  # no home directory, or one of another user
        return False


def _is_only_ours(home: Path) -> bool:
    return all(each.name in _OURS or each.name.startswith(_UNFINISHED) for each in home.iterdir())
