"""ARCHITECTURE.md maps the tree as it is: every folder, files that exist, and the layers that import-linter checks."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "latigo"
PAGE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
#: A line of the map: the branches before it, four columns a level, then the text.
ENTRY = re.compile(r"^(?P<indent>[│├└─ ]*)(?P<text>\S.*)$")
FILE = re.compile(r"\b[\w/]+\.(?:py|sql)\b")


def blocks() -> list[str]:
    return re.findall(r"^```text\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def code_map() -> tuple[set[Path], set[Path]]:
    """The folders of the map, and the files that its lines name, by their paths below src/latigo."""
    (tree,) = [block for block in blocks() if block.startswith("src/latigo/")]
    parents: list[Path] = []
    folders, files = set(), set()
    for line in tree.partition("tests/")[0].splitlines()[1:]:
        entry = ENTRY.match(line)
        assert entry is not None
        if entry["indent"].rstrip().endswith("─"):
            name, depth = entry["text"].split()[0], len(entry["indent"]) // 4 - 1
            if not name.endswith("/"):
                files.add(Path(name))
                continue
            parents = [*parents[:depth], Path(*parents[depth - 1 : depth], name.rstrip("/"))]
            folders.add(parents[-1])
        files |= {
            parents[-1] / file for file in FILE.findall(entry["text"])
        }  # a line without a name goes on about the last
    return folders, files


def test_every_folder_stands_in_the_map() -> None:
    folders, _ = code_map()

    made = {"__pycache__", "libraries"}  # the second one by the build
    assert folders == {
        path.relative_to(SOURCE) for path in SOURCE.rglob("*") if path.is_dir() and path.name not in made
    }


def test_every_file_that_the_map_names_exists() -> None:
    _, files = code_map()

    assert len(files) > len([path for path in SOURCE.iterdir() if path.is_dir()])
    assert sorted(str(file) for file in files if not (SOURCE / file).is_file()) == []


def test_files_that_the_text_names_exist() -> None:
    named = [name for name in re.findall(r"`([\w/]+\.(?:py|sql))`", PAGE) if "/" in name]

    assert named
    assert [name for name in named if not (SOURCE / name).is_file()] == []


def test_the_layers_are_those_that_are_checked() -> None:
    (line,) = [block for block in blocks() if block.startswith("cli, ")]
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = [
        contract
        for contract in settings["tool"]["importlinter"]["contracts"]
        if contract["name"] == "Knowledge flows one way"
    ]

    assert [layer.strip().split(", ") for layer in " ".join(line.split()).split(" ▸ ")] == [
        layer.replace("latigo.", "").split(" | ") for layer in contract["layers"]
    ]
