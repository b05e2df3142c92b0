"""Parts that not every installation has: extras, and plug-ins named by the settings."""

import inspect
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, get_type_hints

from latigo.domain.errors import ConfigurationError, LatigoError, MissingExtra
from latigo.settings.keys import plugin_group

_MISSING = object()


@asynccontextmanager
async def open_plugin(
    kind: str, key: str, options: Mapping[str, Any], secrets: Mapping[str, Any], protocol: type
) -> AsyncIterator[Any]:
    """Open a plug-in: call its factory, which returns an async context manager.

    Args:
        kind: ``python:package.module:factory``, or the name of an entry point.
        key: of the settings, such as ``sensors.kind``; its section names the group of entry points.
        options: keyword arguments of the factory.
        secrets: more of them.
        protocol: what the opened object has to be.

    Raises:
        ConfigurationError: the factory does not exist, does not take the options or raises, or what it opens lacks
            something.
        LatigoError: whatever the factory raised of Latigo's own errors, such as `Unavailable` for what it waits for.
    """
    where = f'{key} = "{kind}"'
    plain = {name: value.get_secret_value() for name, value in secrets.items()}
    if twice := sorted(options.keys() & plain.keys()):
        raise ConfigurationError(f"{where}: {', '.join(twice)} is in both options and secrets")
    factory = _factory(kind, key)
    if problem := _refused(factory, (), {**options, **plain}):
        raise ConfigurationError(f"{where}: the factory does not take these options and secrets: {problem}")
    with _raising(where, "the factory"):
        manager = factory(**options, **plain)
    if not isinstance(manager, AbstractAsyncContextManager):
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


def _factory(kind: str, key: str) -> Callable[..., Any]:
    where = f'{key} = "{kind}"'
    with _raising(where, "importing it"):
        try:
            if kind.startswith("python:"):
                _, module, name = kind.split(":", 2)
                factory = getattr(import_module(module), name)
            else:
                entries = tuple(entry_points(group=plugin_group(key.partition(".")[0]), name=kind))
                if len(entries) != 1:
                    raise ConfigurationError(f"{where}: {len(entries)} installed packages offer it")
                factory = entries[0].load()
        except (ImportError, AttributeError) as error:
            raise ConfigurationError(f"{where}: {error}") from error
    if not callable(factory):
        raise ConfigurationError(f"{where}: {type(factory).__name__} cannot be called")
    called: Callable[..., Any] = factory
    return called


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
