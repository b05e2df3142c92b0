"""Groups of commands that are imported when they are called, and listed without that."""

import inspect
import os
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from latigo.cli.remote import RefusedUrl, TokenFileOption, UrlOption, choose, refuse

PACKAGE = "latigo.cli.commands"

#: Set by the script of ``latigo completion``, when a shell wants to know what can follow.
COMPLETE_VARIABLE = "_LATIGO_COMPLETE"

Table = Mapping[str, "str | type[LazyGroup]"]
"""The entries of a group by name: a line of help, or another group."""


def _with_default(option: Any) -> Any:
    """Give ``--help`` a default that typer does not convert: it loads pydantic for that."""
    option.default = False
    return option


def _in_plain_words(error: typer.BadParameter) -> str:
    """Return what is wrong with a value; typer has the words of pydantic for it."""
    problems: Sequence[Any] = getattr(error.__cause__, "errors", tuple)()
    match problems[0] if problems else None:
        case {"ctx": {"error": ValueError() as refusal}}:
            return str(refusal).rstrip(".")
        case {"input": value, "ctx": {"ge": limit}}:
            return f"{value} is less than {limit}"
        case {"input": value, "ctx": {"le": limit}}:
            return f"{value} is more than {limit}"
        case {"input": value, "type": str(kind)} if kind.startswith("int_"):
            return f"{str(value)[:60]!r} is not a whole number"
    return error.message


class LazyCommand(TyperCommand):
    """A command whose help needs nothing but its module."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments."""
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            error.message = _in_plain_words(error)
            raise

    def get_help_option(self, ctx: Any) -> Any:
        """Return ``--help``."""
        return _with_default(super().get_help_option(ctx))


class LazyGroup(TyperGroup):
    """A group of commands: its first docstring line is its help, ``table`` lists its commands."""

    table: ClassVar[Table] = {}
    #: Of the names of the modules.
    prefix: ClassVar[str] = ""
    #: The command that runs where none is named.
    default: ClassVar[str] = ""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = LazyCommands(self.table, self.prefix)

    @classmethod
    def summary(cls) -> str:
        """Return the line of help."""
        return (cls.__doc__ or "").splitlines()[0].rstrip(".")

    def get_help_option(self, ctx: Any) -> Any:
        """Return ``--help``."""
        return _with_default(super().get_help_option(ctx))

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - the signature of the base class
        """List the commands without importing them."""
        rows = [(name, entry if isinstance(entry, str) else entry.summary()) for name, entry in self.table.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """List the options that work here: those of the default command, or of the group."""
        command = self.commands[self.default] if self.default else self
        with formatter.section("Options"):
            formatter.write_dl([record for each in command.get_params(ctx) if (record := each.get_help_record(ctx))])
        self.format_commands(ctx, formatter)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the default command before options without a command."""
        if self.default and not (args and (args[0] in self.table or args[0] == "--help")):
            if named := next((name for name in args if name in self.table), None):
                raise typer.BadParameter(f"Options of {named} go after it", ctx=ctx)
            args = [self.default, *args]
        return super().parse_args(ctx, args)


class LazyCommands(MutableMapping[str, Any]):
    """Commands by name; each is imported on first use."""

    def __init__(self, table: Table, prefix: str) -> None:
        self._table = table
        self._prefix = prefix
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            entry = self._table[name]
            self._loaded[name] = (
                _load(name, f"{PACKAGE}.{self._prefix}{name.replace('-', '_')}")
                if isinstance(entry, str)
                else entry(name=name, help=entry.summary(), no_args_is_help=not entry.default, rich_markup_mode=None)
            )
        return self._loaded[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)


def _where(module: Any) -> Any:
    """Return the function of a command, with the options that say whom it asks.

    Its module has ``OVER_HTTP``: True, or why it cannot ask a service over HTTP.
    """

    @wraps(module.run)
    def run(*, url: str | None = None, token_file: Path | None = None, **arguments: Any) -> Any:
        if module.OVER_HTTP is True:
            choose(url, token_file)
        else:
            refuse(url, module.OVER_HTTP, reads_settings="config" in arguments)
        return module.run(**arguments)

    signature = inspect.signature(module.run)
    added = {"url": UrlOption, "token_file": TokenFileOption} if module.OVER_HTTP is True else {"url": RefusedUrl}
    parameters = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        for name, kind in added.items()
    ]
    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), *parameters])  # type: ignore[attr-defined]
    run.__annotations__ = {**module.run.__annotations__, **added}
    return run


def _load(name: str, path: str) -> Any:
    """Return the command of a module; its examples end its help."""
    module = import_module(path)
    single = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    examples = "\n".join(f"  {line}" for line in module.EXAMPLES)
    run = _where(module)
    single.command(name, cls=LazyCommand, epilog=f"\b\nExamples:\n{examples}")(run)
    command = typer.main.get_command(single)
    if COMPLETE_VARIABLE in os.environ:
        for parameter in command.params:  # the values do not matter, and converting them takes longer than all the rest
            setattr(parameter, "process_value", lambda _ctx, value: value)  # noqa: B010 - a method is not to be assigned
    return command
