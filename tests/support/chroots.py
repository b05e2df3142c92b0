"""A small Debian of a test's own, in which the steps of the image are run."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.lacking import lacking

RELEASE = "bookworm"
#: What the images of the Dockerfile bring, or its first step installs.
PACKAGES = ("binutils", "python3", "python3-venv")
_WITHIN_S = 900.0


class Chroot:
    """A folder with a system in it; commands run there as in a container, but for the network and the processes."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def command(self, *command: str, user: str = "0:0", env: Mapping[str, str] | None = None) -> list[str]:
        """Return a command of this machine that runs one in there."""
        variables = [f"{name}={value}" for name, value in (env or {}).items()]
        return ["chroot", f"--userspec={user}", str(self.root), "env", "-i", f"PATH={_PATH}", *variables, *command]

    def run(self, *command: str, user: str = "0:0", env: Mapping[str, str] | None = None) -> str:
        """Run a command to its end; return its output."""
        ran = subprocess.run(
            self.command(*command, user=user, env=env), capture_output=True, text=True, timeout=_WITHIN_S, check=False
        )
        assert ran.returncode == 0, f"{' '.join(command)}: {ran.stdout[-2000:]}{ran.stderr[-2000:]}"
        return ran.stdout

    def copy(self, folder: Path) -> "Chroot":
        """The same system in another folder."""
        subprocess.run(["cp", "--archive", self.root, folder], check=True)
        return Chroot(folder)


_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def make_chroot(folder: Path) -> Chroot:
    """Make one by debootstrap; where that cannot be done the test is skipped, and fails in CI."""
    if shutil.which("debootstrap") is None:
        lacking("debootstrap is not installed")
    if os.geteuid() != 0:
        lacking("only root can make a system of its own")
    made = subprocess.run(
        ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", RELEASE, folder],
        capture_output=True,
        text=True,
        timeout=_WITHIN_S,
        check=False,
    )
    if made.returncode:
        lacking(f"debootstrap failed: {made.stdout[-1000:]}{made.stderr[-1000:]}")
    return Chroot(folder)


def download(requirements: Sequence[str], folder: Path, *, python: str, version: str) -> None:
    """Download wheels for a version of Python, as this machine gets packages."""
    subprocess.run(
        [
            *(python, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"),
            *("--python-version", version, "--dest", str(folder), *requirements),
        ],
        check=True,
        timeout=_WITHIN_S,
    )
