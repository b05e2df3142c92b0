"""``python -m latigo``."""

from latigo.cli.main import run

run()
