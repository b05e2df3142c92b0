"""The package of plug-ins in ``docs/examples``, installed into an environment of its own that sees ours."""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from tests.support.process import ROOT, environment

EXAMPLE = ROOT / "docs" / "examples" / "latigo-tilstandomatic"
_WITHIN_S = 300.0


class ExampleEnvironment:
    """A Python with the example installed, and a copy of its sources."""

    def __init__(self, folder: Path) -> None:
        self.sources = Path(shutil.copytree(EXAMPLE, folder / "sources", ignore=shutil.ignore_patterns("__pycache__")))
        home = folder / "environment"
        self._run(sys.executable, "-m", "venv", str(home))
        self.python = str(home / "bin" / "python")
        # What is installed here is installed there too; the example's requirements are among it, and what builds it.
        site = Path(self._run(self.python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
        (site / "ours.pth").write_text(f"{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n")
        offline = ("--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--quiet")
        self._run(self.python, "-m", "pip", "install", *offline, str(self.sources))

    def run_tests(self) -> str:
        """Run the tests of the example; return their summary. Fails with their output."""
        return self._run(self.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests", folder=self.sources)

    @staticmethod
    def _run(*command: str, folder: Path | None = None) -> str:
        result = subprocess.run(
            command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=_WITHIN_S, check=False
        )
        assert result.returncode == 0, f"{command}\n{result.stdout[-4000:]}\n{result.stderr[-4000:]}"
        return result.stdout
