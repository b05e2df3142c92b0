"""Names of models in a file, one in a line."""

from pathlib import Path

import typer

_MOST_OCTETS = 20_000_000


def read_names_file(path: Path) -> list[str]:
    """Return the names in a file; blank lines and lines that begin with ``#`` are ignored.

    Raises:
        typer.BadParameter: it cannot be read, is no text, is too large or has no names.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_OCTETS + 1)
        lines = [line.strip() for line in data.decode("utf-8-sig").splitlines()]
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be read: {error.strerror}", param_hint="--models-from") from error
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"{path} is not UTF-8", param_hint="--models-from") from error
    if len(data) > _MOST_OCTETS:
        raise typer.BadParameter(f"{path} is larger than {_MOST_OCTETS // 10**6} MB", param_hint="--models-from")
    names = [line for line in lines if line and not line.startswith("#")]
    if not names:
        raise typer.BadParameter(f"{path} has no names of models", param_hint="--models-from")
    return names
