"""Settings of the documentation site: `make docs`. The pages are the Markdown files of the repository, as they are."""

import tomllib
from pathlib import Path

_PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = "Latigo"
version = release = _PROJECT["version"]
author = "the contributors to Latigo"
project_copyright = author

# The source folder is the root of the repository, so that a link between two files is the same link on the site.
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**", "deploy/README.md", "benchmarks/RESULTS.md"]
exclude_patterns = [".*", "build", "dist"]
source_suffix = {".md": "markdown"}
html_extra_path = ["_root"]

extensions = ["myst_parser"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = "Latigo"
html_show_sphinx = False
html_copy_source = False
html_use_index = False
