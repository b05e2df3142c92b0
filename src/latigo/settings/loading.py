"""Reads settings from the configuration file and the environment; nothing else reads either."""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from latigo.domain.errors import ConfigurationError, NoConfiguration
from latigo.runtime.files import read_limited
from latigo.runtime.redaction import excerpt
from latigo.settings.keys import describe
from latigo.settings.model import Settings
from latigo.settings.origins import Origins, key_of, lines_of
from latigo.settings.origins import Path as KeyPath
from latigo.settings.variables import DELIMITER, UnclearVariable, merge, tables_of

PREFIX = "LATIGO_"
CONFIG_VARIABLE = "LATIGO_CONFIG"
#: Whom commands ask, and with which token; no settings. See `latigo.cli.remote`.
OF_THE_COMMAND_LINE = ("LATIGO_URL", "LATIGO_TOKEN", "LATIGO_TOKEN_FILE")
CONFIG_FILE = Path("latigo.toml")

_LARGEST_FILE = 1 << 20  #: bytes
_DEEPEST = 32  #: tables and lists within each other
_MOST_VARIABLES = 1000
_MOST_ERRORS = 20  #: that are described
_LONGEST_PROBLEM = 500  #: characters
#: The time that tomllib takes for a key grows with the square of its parts.
_LONG_KEY = re.compile(rf"(?:\.[ \t]*+[\w-]*+[ \t]*+){{{_DEEPEST}}}")
_QUOTED = re.compile(r'"(?:[^"\\\n]|\\.)*+(?:"|$)|\'[^\'\n]*+(?:\'|$)|#.*+', re.MULTILINE)


_NO_CONFIGURATION = f"""\
there is no configuration: no --config, no {CONFIG_VARIABLE}, no {CONFIG_FILE} in this folder, and no variable of a \
section such as {PREFIX}MODELS__URL
  latigo demo                  tries Latigo on a simulated plant, without a configuration
  latigo config > {CONFIG_FILE}  writes one with every default, for you to edit; then: latigo check"""


def load_settings(path: Path | None, environ: Mapping[str, str], *, required: bool = False) -> Settings:
    """Read the settings; ``path`` is the ``--config`` of the command line.

    Without it the file is ``$LATIGO_CONFIG``, else ``latigo.toml`` where that exists, else none.

    Args:
        path: the configuration file.
        environ: the environment variables.
        required: refuse to do with defaults alone.

    Raises:
        NoConfiguration: it is required, and there is neither a file nor a variable of a section.
        ConfigurationError: with all problems, one a line, each naming its key; never a secret.
    """
    file = _config_file(path, environ)
    variables = _Variables(environ)
    text, in_file = _read_toml(file) if file else ("", {})
    in_variables, of_variables = variables.read(in_file)
    _refuse_keys_of_lists(in_file, in_variables)
    given = merge(in_file, in_variables)
    missing = required and file is None and not variables.configure
    problems: list[str] = []
    left = 0
    try:
        settings = Settings.model_validate(_with_data_home(given, environ))
        if not missing:
            lines = {path: line for path, line in lines_of(text, in_file).items() if not _sets(in_variables, path)}
            return settings.came_from(Origins(str(file or ""), lines, of_variables))
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False)
        found = describe(errors[:_MOST_ERRORS], Settings, variables.names, PREFIX)
        problems = [excerpt(problem, _LONGEST_PROBLEM) for problem in found]
        left = max(len(errors) - _MOST_ERRORS, 0)
    count = f"{len(problems) + left} problems" if len(problems) + left > 1 else "a problem"
    if left:
        problems.append(f"and {left} more")
    if missing:
        raise NoConfiguration("\n  ".join([_NO_CONFIGURATION, *problems]))
    where = f"{file} and the environment" if file else "the environment, no file was given"
    # Raised outside the handler: the validation error holds what was given, secrets included.
    raise ConfigurationError("\n  ".join([f"the configuration has {count} ({where}):", *problems]))


def _config_file(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    if path is not None:
        return path
    if named := environ.get(CONFIG_VARIABLE):
        return Path(named)
    return CONFIG_FILE if os.path.lexists(CONFIG_FILE) else None  # what is there and cannot be read is refused


def _read_toml(path: Path) -> tuple[str, dict[str, Any]]:
    """Return a file as it is, and as tables."""
    try:
        content = read_limited(path, _LARGEST_FILE)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    try:
        text = content.decode("utf-8-sig")
        if _LONG_KEY.search(_QUOTED.sub("x", text)):
            raise ConfigurationError(f"{path} has a key of more than {_DEEPEST} parts")
        document = tomllib.loads(text.replace("\r\n", "\n"))
    except (RecursionError, MemoryError):
        raise _nested(str(path)) from None
    except ValueError as error:
        # Without its cause, which may hold the document.
        raise ConfigurationError(
            f"{path} is not TOML: {excerpt(str(error).splitlines()[0], _LONGEST_PROBLEM)}"
        ) from None
    _check_depth(document, str(path))
    return text, document


def _check_depth(document: Mapping[str, Any], where: str) -> None:
    """Refuse tables and lists within each other that are too many for what walks through them."""
    level: list[Any] = [document]
    for _ in range(_DEEPEST):
        level = [
            item
            for table in level
            for item in (table.values() if isinstance(table, Mapping) else table)
            if isinstance(item, Mapping | list)
        ]
        if not level:
            return
    raise _nested(where)


def _nested(where: str) -> ConfigurationError:
    return ConfigurationError(f"{where}: tables or lists are nested more than {_DEEPEST} deep")


class _Variables:
    """The variables ``LATIGO_SECTION__KEY`` of a mapping; unknown sections are kept, to be refused by name."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        variables = {name: value for name, value in environ.items() if name.lower().startswith(PREFIX.lower())}
        for name in (CONFIG_VARIABLE, *OF_THE_COMMAND_LINE):
            variables.pop(name, None)
        self.names: dict[str, str] = {}
        for name in variables:
            if (same := self.names.setdefault(name.lower(), name)) != name:
                raise ConfigurationError(f"the environment variables {same} and {name} set the same key: keep one")
        self._values = {name[len(PREFIX) :].lower(): value for name, value in variables.items()}

    @property
    def configure(self) -> bool:
        """Whether one of them is ``LATIGO_SECTION__KEY``, or a whole section as JSON."""
        for name, value in self._values.items():
            section, key, _ = name.partition(DELIMITER)
            if section in Settings.model_fields and (key or value.lstrip().startswith(("{", "["))):
                return True
        return False

    def read(self, file: Mapping[str, Any]) -> tuple[dict[str, Any], dict[KeyPath, str]]:
        """Return what they set, and by the path of each value the variable that sets it.

        Args:
            file: what they are stronger than.
        """
        if len(self._values) > _MOST_VARIABLES:
            raise ConfigurationError(f"more than {_MOST_VARIABLES} environment variables begin with {PREFIX}")
        for name in self._values:
            if not _is_utf8(name):
                raise ConfigurationError(
                    f"the environment variable {(PREFIX + name)[:100].upper()!a} is not text in UTF-8"
                )
            if name.count(DELIMITER) > _DEEPEST:
                raise _nested(f"the environment variable {f'{PREFIX}{name.upper()}'[:100]}...")
        try:
            known, names = tables_of(self._values, Settings, file)
        except RecursionError:
            raise _nested("the environment variables") from None
        except UnclearVariable as error:
            variable, key = self.names[PREFIX.lower() + error.name], key_of(error.key)
            raise ConfigurationError(
                f"the configuration has a problem (the environment):\n  {excerpt(key, _LONGEST_PROBLEM)}: "
                f"{excerpt(variable, _LONGEST_PROBLEM)} {excerpt(error.reason, _LONGEST_PROBLEM)}"
            ) from None
        for section, given in known.items():
            if isinstance(given, Mapping | list):
                _check_depth({section: given}, f"the environment variables {PREFIX}{section.upper()}")
        given = {name.partition(DELIMITER)[0] for name in self._values}
        unknown: dict[str, Any] = {section: {} for section in sorted(given - set(Settings.model_fields))}
        return known | unknown, {path: self.names[PREFIX.lower() + name] for path, name in names.items()}


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refuse_keys_of_lists(in_file: Mapping[str, Any], in_variables: Mapping[str, Any]) -> None:
    """Refuse variables for the keys of one table where the file has several, which they would replace."""
    for section, given in in_variables.items():
        if isinstance(in_file.get(section), list) and isinstance(given, Mapping):
            name = f"{PREFIX}{section.upper()}"
            raise ConfigurationError(
                f"{section}: the file has a list of tables, [[{section}]], of which {name}__KEY is no key; "
                f"{name} may hold the whole list, as JSON"
            )


def _sets(tables: Mapping[str, Any], path: KeyPath) -> bool:
    """Return whether tables have a value for a key, or a list or a text in place of a table around it."""
    here: Any = tables
    for part in path:
        if not isinstance(here, Mapping):
            return True
        if part not in here:
            return False
        here = here[part]
    return True


def _with_data_home(given: dict[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """Put the embedded ledger below ``$XDG_DATA_HOME`` where that is set."""
    ledger, home = given.get("ledger", {}), environ.get("XDG_DATA_HOME")
    if not home or not isinstance(ledger, Mapping) or ledger.get("kind", "embedded") != "embedded":
        return given
    return given | {"ledger": {"data_dir": f"{home}/latigo/ledger", **ledger}}
