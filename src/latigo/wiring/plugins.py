"""Parts that not every installation has: extras, and plug-ins named by the settings."""

import inspect
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NamedTuple, get_type_hints

from pydantic import BaseModel, ValidationError, create_model
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from latigo.domain.errors import ConfigurationError, LatigoError, MissingExtra
from latigo.runtime.log import start_logging
from latigo.runtime.redaction import MASK
from latigo.settings import Settings
from latigo.settings.keys import PLUGIN_SECTIONS, describe, kind_name, plugin_group, secret_names, sections_of

_MISSING = object()
_MOST_ERRORS = 20  #: of the options that are described


@asynccontextmanager
async def open_plugin(
    kind: str, key: str, options: Mapping[str, Any], secrets: Mapping[str, Any], protocol: type
) -> AsyncIterator[Any]:
    """Open a plug-in: call its factory, which returns an async context manager.

    Args:
        kind: ``python:package.module:factory``, or the name of an entry point.
        key: of the settings, such as ``sensors.kind``; its section names the group of entry points.
        options: keyword arguments of the factory, or fields of the pydantic model that it takes.
        secrets: more of them.
        protocol: what the opened object has to be.

    Raises:
        ConfigurationError: the factory does not exist, does not take the options or raises, or what it opens lacks
            something. Wrong fields of its model are named by their keys, such as ``sensors.options.region``.
        LatigoError: whatever the factory raised of Latigo's own errors, such as `Unavailable` for what it waits for.
    """
    table = key.removesuffix(".kind")
    where = f'{table}.kind = "{kind}"'
    factory = _factory(kind, table)
    arguments = _arguments(factory, table, where, options, secrets)
    if problem := _refused(factory, (), arguments):
        raise ConfigurationError(f"{where}: the factory does not take these options and secrets: {problem}")
    with _raising(where, "the factory"):
        manager = factory(**arguments)
    if not isinstance(manager, AbstractAsyncContextManager):
        if inspect.iscoroutine(manager):
            manager.close()  # else Python warns that nothing awaits it
        raise ConfigurationError(
            f"{where}: the factory returns {type(manager).__name__}, which is no async context manager;"
            " contextlib.asynccontextmanager makes one of an async generator"
        )
    async with AsyncExitStack() as stack:
        with _raising(where, "opening it"):
            opened = await stack.enter_async_context(manager)
            problems = shortcomings(opened, protocol)
        if problems:
            raise ConfigurationError(
                f"{where}: {type(opened).__name__} is no {protocol.__name__}: {'; '.join(problems)}"
            )
        yield opened


class InstalledPlugin(NamedTuple):
    """A plug-in that an installed package offers."""

    name: str  #: what ``kind`` is in the settings
    group: str  #: of entry points: ``latigo.sensors``, ``latigo.models`` or ``latigo.predictions``
    package: str
    version: str
    factory: str  #: ``package.module:factory``
    options: Sequence[str]  #: names of the parameters, or of the fields of the model, that the factory takes
    problem: str  #: why it cannot be used; empty: it can


def list_plugins() -> list[InstalledPlugin]:
    """Import every plug-in that installed packages offer, and open none; sorted by group and name."""
    return [
        _examined(entry, section, among=[other for other in entries if other.name == entry.name])
        for section in PLUGIN_SECTIONS
        for entries in [sorted(entry_points(group=plugin_group(section)), key=lambda entry: entry.name)]
        for entry in entries
    ]


def _own_kinds(field: FieldInfo) -> set[str]:
    """Return the kinds that a section of the settings and those within it have without plug-ins."""
    sections = sections_of(field)
    within = (_own_kinds(inner) for section in sections for inner in section.model_fields.values())
    return {kind_name(section) for section in sections}.union(*within)


def _examined(entry: EntryPoint, section: str, among: Sequence[EntryPoint]) -> InstalledPlugin:
    options: list[str] = []
    problem = ""
    if entry.name in _own_kinds(Settings.model_fields[section]):
        problem = "Latigo has a kind of this name, which is used instead"
    try:
        options = _parameters(_factory(entry.name, section, among))
    except ConfigurationError as error:
        problem = str(error).partition('": ')[2]
    package, version = (entry.dist.name, entry.dist.version) if entry.dist else ("", "")
    return InstalledPlugin(entry.name, entry.group, package, version, entry.value, options, problem)


@contextmanager
def _raising(where: str, action: str) -> Iterator[None]:
    """Turn errors of a plug-in's code into one of the configuration, without their text: it may quote arguments."""
    try:
        yield
    except LatigoError:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 - of code that is not ours
        place = traceback.extract_tb(error.__traceback__)[-1]
        problem = f"{where}: {action} raises {type(error).__name__} ({place.filename}, line {place.lineno})"
    else:
        return
    # Outside of the handler: the plug-in's error must not be shown as its cause.
    raise ConfigurationError(problem) from None


def _factory(kind: str, table: str, entries: Sequence[EntryPoint] | None = None) -> Callable[..., Any]:
    """Import a factory; ``entries`` are the entry points of its name, where they are known."""
    where = f'{table}.kind = "{kind}"'
    start_logging()
    with _raising(where, "importing it"):
        try:
            if kind.startswith("python:"):
                _, module, name = kind.split(":", 2)
                factory = getattr(import_module(module), name)
            else:
                offered = tuple(entry_points(group=plugin_group(table), name=kind)) if entries is None else entries
                if len(offered) != 1:
                    raise ConfigurationError(f"{where}: {len(offered)} installed packages offer it")
                factory = offered[0].load()
        except (ImportError, AttributeError) as error:
            raise ConfigurationError(f"{where}: {error}") from error
    if not callable(factory):
        raise ConfigurationError(f"{where}: {type(factory).__name__} cannot be called")
    called: Callable[..., Any] = factory
    return called


def _arguments(
    factory: Callable[..., Any], table: str, where: str, options: Mapping[str, Any], secrets: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what a factory is called with: its pydantic model of them, or options and secrets as they are."""
    plain = {name: value.get_secret_value() for name, value in secrets.items()}
    if twice := sorted(options.keys() & plain.keys()):
        raise ConfigurationError(f"{where}: {', '.join(twice)} is in both options and secrets")
    if (taken := _options_model(factory)) is None:
        return {**options, **plain}
    parameter, model = taken
    if shown := sorted(options.keys() & secret_names(model)):
        keys = ", ".join(f"{table}.options.{name}" for name in shown)
        raise ConfigurationError(f"{where}: {keys} is a secret: write it in {table}.secrets")
    return {parameter: _validated(model, table, where, options, plain)}


def _options_model(factory: Callable[..., Any]) -> tuple[str, type[BaseModel]] | None:
    """Return name and type of the only parameter of a factory, where that is a pydantic model."""
    try:
        parameters = list(inspect.signature(factory, eval_str=True).parameters.values())
    except (TypeError, ValueError, NameError, AttributeError):
        return None
    annotation = parameters[0].annotation if len(parameters) == 1 else None
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return parameters[0].name, annotation
    return None


def _parameters(factory: Callable[..., Any]) -> list[str]:
    if taken := _options_model(factory):
        return list(taken[1].model_fields)
    try:
        return list(inspect.signature(factory).parameters)
    except (TypeError, ValueError):
        return []


def _validated(
    model: type[BaseModel], table: str, where: str, options: Mapping[str, Any], secrets: Mapping[str, str]
) -> BaseModel:
    """Return options and secrets as the model of a plug-in; a key that it does not have is an error."""
    extra_keys: Any = model.model_config.get("extra") or "forbid"
    secret = {*secrets, *secret_names(model)}
    with _raising(where, "checking its options"):
        try:
            return model.model_validate({**options, **secrets}, extra=extra_keys)
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False)
        errors = [_below(error, table, secret) for error in found[:_MOST_ERRORS]]
        problems = list(describe(errors, _within(table, model), {}, ""))
    for value in filter(None, secrets.values()):
        problems = [problem.replace(value, MASK) for problem in problems]
    raise ConfigurationError("\n  ".join([f"{where}: the options cannot be used:", *problems]))


def _below(error: ErrorDetails, table: str, secret: Collection[str]) -> ErrorDetails:
    """Return an error of a plug-in's model as one of the settings; of a secret without its text, which may quote it."""
    first = error["loc"][:1]
    hidden = bool(first) and first[0] in secret
    below: ErrorDetails = {**error, "loc": (*table.split("."), "secrets" if hidden else "options", *error["loc"])}
    if hidden and error["type"] in {"value_error", "assertion_error"}:
        below = {**below, "type": "value_error", "ctx": {"error": "is refused by the plug-in"}}
    return below


def _within(table: str, model: type[BaseModel]) -> type[BaseModel]:
    """Return settings that have nothing but one table, with the options of a plug-in."""
    parts: dict[str, Any] = {"options": (model, ...), "secrets": (model, ...)}
    for name in reversed(table.split(".")):
        parts = {name: (create_model(name, **parts), ...)}
    return create_model("Settings", **parts)


def shortcomings(opened: object, protocol: type) -> list[str]:
    """Return what an object lacks of a protocol: attributes, methods and, where they can be seen, their parameters."""
    problems = (_shortcoming(opened, name, promised) for name, promised in _members(protocol).items())
    return [problem for problem in problems if problem]


def _members(protocol: type) -> dict[str, Any]:
    """Return the public methods and properties that a protocol and its bases promise."""
    promising = [base for base in reversed(protocol.__mro__) if getattr(base, "_is_protocol", False)]
    return {
        name: member
        for base in promising
        for name, member in vars(base).items()
        if not name.startswith("_") and (isinstance(member, property) or inspect.isfunction(member))
    }


def _shortcoming(opened: object, name: str, promised: Any) -> str:
    given = getattr(opened, name, _MISSING)
    if isinstance(promised, property):
        return _attribute_shortcoming(name, given, get_type_hints(promised.fget).get("return"))
    signature = inspect.signature(promised)
    takes = str(signature.replace(return_annotation=inspect.Signature.empty))
    parameters = list(signature.parameters.values())[1:]  # without self
    if given is _MISSING:
        return f"method {name}{takes} is missing"
    if not callable(given):
        return f"{name} should be a method, not {type(given).__name__}"
    if inspect.iscoroutinefunction(promised) and not _is_awaitable(given):
        return f"{name} should be async"
    if not inspect.iscoroutinefunction(promised) and inspect.iscoroutinefunction(given):
        return f"{name} should not be async"
    positional = [parameter for parameter in parameters if parameter.kind is not parameter.KEYWORD_ONLY]
    named = dict.fromkeys(parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY)
    if problem := _refused(given, positional, named):
        return f"{name} should take {takes}: {problem}"
    wanted, returned = _returned(promised), _returned(given)
    if isinstance(wanted, type) and isinstance(returned, type) and not issubclass(returned, wanted):
        return f"{name} should return {wanted.__name__}, not {returned.__name__}"
    return ""


def _returned(function: Any) -> Any:
    """Return what a function is annotated to return, where that can be seen."""
    try:
        return get_type_hints(function).get("return")
    except (TypeError, NameError, AttributeError):
        return None


def _attribute_shortcoming(name: str, given: object, wanted: Any) -> str:
    if given is _MISSING:
        return f"attribute {name} is missing"
    if isinstance(wanted, type) and not isinstance(given, wanted):
        return f"attribute {name} should be {wanted.__name__}, not {type(given).__name__}"
    return ""


def _is_awaitable(method: Callable[..., Any]) -> bool:
    """Return False for what can be seen not to return an awaitable: a plain function that is not annotated so."""
    function = inspect.unwrap(method)
    if inspect.iscoroutinefunction(function) or not (inspect.isfunction(function) or inspect.ismethod(function)):
        return True
    returned = inspect.signature(function).return_annotation
    returned = getattr(returned, "__origin__", returned)
    if isinstance(returned, str):
        return any(name in returned for name in ("Awaitable", "Coroutine", "Future", "Task"))
    return isinstance(returned, type) and issubclass(returned, Awaitable)


def _refused(function: Callable[..., Any], positional: Any, named: Mapping[str, Any]) -> str:
    """Return why a function cannot be called with these arguments, where its signature can be seen."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return ""
    try:
        signature.bind(*positional, **named)
    except TypeError as error:
        return str(error)
    return ""


@contextmanager
def extra(name: str, key: str) -> Iterator[None]:
    """Import what an extra brings, only where it is configured."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtra(key, name) from error
