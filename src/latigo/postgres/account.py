"""The account that the embedded server runs as, where Latigo runs as root, and what that account can reach."""

import os
import pwd
import stat
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from latigo.domain.errors import ConfigurationError

_NAMES = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """An account without the rights of root."""

    name: str
    uid: int
    gid: int


def unprivileged_account(*owned: Path) -> Account | None:
    """Return the account for the server: the owner of the first of ``owned`` that is not root, else one that exists.

    Returns:
        None: we are not root, and the server runs as we do.

    Raises:
        ConfigurationError: there is no such account.
    """
    if os.geteuid() != 0:
        return None
    for path in owned:
        if path.exists() and (owner := path.stat()).st_uid != 0:
            return Account(_name_of(owner.st_uid), owner.st_uid, owner.st_gid)
    for name in _NAMES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise ConfigurationError("PostgreSQL refuses to run as root: create a user postgres, or run Latigo as another user")


def can_reach(account: Account | None, folder: Path) -> bool:
    """Return whether the account can enter a folder; the system is asked, since a mode is not all that counts."""
    if account is None:
        return True
    entered = subprocess.run(  # noqa: S603 - a fixed command
        ["/bin/sh", "-c", 'cd -- "$1"', "sh", str(folder)],
        check=False,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        user=account.uid,
        group=account.gid,
        extra_groups=(),
    )
    return entered.returncode == 0


def closed_folders(account: Account, folder: Path) -> Sequence[Path]:
    """Return the folders on the way to ``folder``, itself included, that the account may not pass by their modes."""
    way = [*reversed(folder.resolve().parents), folder.resolve()]
    return [each for each in way if each.is_dir() and not _lets_pass(each.stat(), account)]


def _lets_pass(status: os.stat_result, account: Account) -> bool:
    if status.st_uid == account.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == account.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
