"""The keys that exist, and what is wrong with given ones; pure, but for the names of installed plug-ins.

Works on any tree of pydantic models whose alternatives differ by ``kind``.
"""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any, NamedTuple, get_args, get_origin

from pydantic import BaseModel, Discriminator, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

_LONGEST_KEY = 100  #: characters of a part of a key that are shown, and compared with known ones
#: What variables of equinor/latigo set, and the key that does so here.
_FORMER = {"internal_event_hub": "task_queue.connection_string"}
#: What the kubelet sets for a Service whose name begins as our variables do, in lower case.
_SERVICE_LINK = re.compile(r"\w+_(service_host|service_port(_\w+)?|port(_\d+_(tcp|udp|sctp)(_(proto|port|addr))?)?)")
PLUGIN = "python:package.module:factory"
PLUGIN_SECTIONS = ("sensors", "models", "predictions")  #: those for which packages can offer plug-ins
#: The alternatives of a section that may be one table or several; they are no parts of keys.
ONE, SEVERAL = "{}", "[]"
_NAME = "[key]"  #: what pydantic adds to the place of an item whose name is wrong


def plugin_group(key: str) -> str:
    """Return the group of entry points by which packages offer plug-ins for a section, named by any key of it."""
    return f"latigo.{key.replace('[', '.').partition('.')[0]}"


def installed_plugins(key: str) -> frozenset[str]:
    """Return the names of the plug-ins that installed packages offer for a section, named by any key of it."""
    return frozenset(entry_points(group=plugin_group(key)).names)


def sections_of(field: FieldInfo) -> list[type[BaseModel]]:
    """Return the section classes that a field can hold: several where it has kinds, none for a plain value."""
    return list(dict.fromkeys(_within(field.annotation, BaseModel)))


def secret_names(section: type[BaseModel]) -> list[str]:
    """Return the keys of a section that are secret, and may be given as ``X_file``."""
    return [
        name
        for name, field in section.model_fields.items()
        if not sections_of(field) and not _is_table(field) and any(_within(field.annotation, SecretStr))
    ]


def key_names(section: type[BaseModel]) -> list[str]:
    """Return every key of a section."""
    return [*section.model_fields, *(f"{name}_file" for name in secret_names(section))]


def deprecated_keys(section: type[BaseModel]) -> Mapping[str, str]:
    """Return the keys of a section that are accepted although nothing uses them, and what to do about each."""
    extras = {name: field.json_schema_extra for name, field in section.model_fields.items()}
    return {
        name: str(extra["deprecated"])
        for name, extra in extras.items()
        if isinstance(extra, dict) and "deprecated" in extra
    }


def kind_name(section: type[BaseModel]) -> str:
    """Return the ``kind`` of a section class; empty where there are no kinds."""
    field = section.model_fields.get("kind")
    return "" if field is None else PLUGIN if field.is_required() else str(field.default)


def _tag(section: type[BaseModel]) -> str:
    return kind_name(section).partition(":")[0]


def _is_table(field: FieldInfo) -> bool:
    return get_origin(field.annotation) is dict


def _within(annotation: Any, wanted: type) -> Iterator[Any]:
    if isinstance(annotation, type) and issubclass(annotation, wanted):
        yield annotation
    for part in get_args(annotation):
        yield from _within(part, wanted)


def describe(
    errors: Sequence[ErrorDetails], root: type[BaseModel], variables: Mapping[str, str], prefix: str
) -> Iterator[str]:
    """Describe errors, one problem a line, each beginning with the full key; never quotes a secret.

    Args:
        errors: of pydantic.
        root: the model that was validated.
        variables: the environment variables that were read: as they were written, by name in lower case.
        prefix: what their names begin with.
    """
    places = [_place(error["loc"], root) for error in errors]
    of_unknown_kind = {
        place.key.removesuffix(".kind")
        for place, error in zip(places, errors, strict=True)
        if error["type"] == "union_tag_invalid" or place.last == "kind"
    }
    for place, error in zip(places, errors, strict=True):
        if not error["loc"]:  # what no single key can know: each line names its own
            yield from str(error["ctx"]["error"]).splitlines()
        elif error["type"] == "extra_forbidden":
            if place.parent not in of_unknown_kind:  # the right kind may well know the key
                variable = prefix.lower() + place.variable
                hint = _unknown_variable(place, root, prefix) if variable in variables else ""
                yield (hint or _unknown_key(place, root)) + _origin(variable, variables)
        else:
            yield _wrong_value(place, error) + _origin(prefix.lower() + place.variable, variables)


class _Place(NamedTuple):
    """Place of an error in the settings."""

    key: str = ""  #: as people write it: ``predictions[0].retention``
    variable: str = ""  #: of the environment, without the prefix and in lower case
    last: str = ""
    around: Sequence[type[BaseModel]] = ()  #: the classes that may hold the last part of the key
    kinds: Sequence[type[BaseModel]] = ()  #: all kinds of the section around it

    @property
    def parent(self) -> str:
        return self.key.removesuffix(self.last).removesuffix(".")

    @property
    def list_of_tables(self) -> bool:
        return any(sections_of(section.model_fields[self.last]) for section in self.around)

    @property
    def has_alternatives(self) -> bool:
        fields = [section.model_fields[self.last] for section in self.around if self.last in section.model_fields]
        return any(isinstance(part, Discriminator) for field in fields for part in field.metadata)

    def below(self, part: str) -> "_Place":
        part = part[:_LONGEST_KEY]
        variable = f"{self.variable}__{part}" if self.key else part
        part = part or '""'
        return _Place(f"{self.key}.{part}" if self.key else part, variable.lower(), part)


def _place(loc: Sequence[str | int], root: type[BaseModel]) -> _Place:
    place, here, kinds = _Place(), [root], [root]
    names_item = False
    for part in loc:
        if isinstance(part, int):
            place = place._replace(key=f"{place.key}[{part}]")
        elif names_item:
            place, names_item = place.below(part)._replace(around=(), kinds=()), False
        elif part == _NAME or (part in {ONE, SEVERAL} and (here or place.has_alternatives)):
            continue  # of the place, it says which name or alternative
        elif len(here) > 1 and (chosen := [kind for kind in here if _tag(kind) == part]):
            here = chosen
        else:
            place = place.below(part)._replace(around=here, kinds=kinds)
            fields = [kind.model_fields[part] for kind in here if part in kind.model_fields]
            here = kinds = [section for field in fields for section in sections_of(field)]
            names_item = bool(here) and any(map(_is_table, fields))
    return place


def _origin(variable: str, given: Mapping[str, str]) -> str:
    around = {variable.rsplit("__", below)[0] for below in range(variable.count("__") + 1)}  # those may be JSON
    mine = around | {f"{variable}_file"}
    names = sorted(given[name] for name in given if name in mine or name.startswith(f"{variable}__"))
    return f" (from {', '.join(names[:3])})" if names else ""


def _unknown_key(place: _Place, root: type[BaseModel]) -> str:
    belongs = [kind_name(kind) for kind in place.kinds if place.last in key_names(kind)]
    if belongs:
        return f'{place.key}: unknown key; it belongs to kind = "{belongs[0]}"'
    known = [name for section in place.around for name in key_names(section)]
    nearest = difflib.get_close_matches(place.last, known, n=1)
    elsewhere = [key for key, name in _all_keys(root) if name == place.last]
    if elsewhere and not nearest:
        return f"{place.key}: unknown key; the nearest known one is {elsewhere[0]}"
    nearest = nearest or difflib.get_close_matches(place.last, known, n=1, cutoff=0.0)
    return f"{place.key}: unknown key; the nearest known one is {'.'.join(filter(None, (place.parent, *nearest)))}"


def _unknown_variable(place: _Place, root: type[BaseModel], prefix: str) -> str:
    """Describe what is probably meant by a variable that names no section; empty where nothing is known."""
    meant = [key for key, _ in _all_keys(root) if key.replace(".", "_") == place.key]
    if meant:
        variable = prefix + meant[0].replace(".", "__").upper()
        return f"{place.key}: unknown key; the nearest known one is {meant[0]}, in the environment {variable}"
    if place.key in _FORMER:
        return f"{place.key}: unknown key, of equinor/latigo; here it is {_FORMER[place.key]}"
    if _SERVICE_LINK.fullmatch(place.variable):
        return f"{place.key}: no key, but a link to a Service of Kubernetes; enableServiceLinks: false leaves them out"
    return ""


def _all_keys(root: type[BaseModel]) -> Iterator[tuple[str, str]]:
    for section, field in root.model_fields.items():
        for kind in sections_of(field):
            yield from ((f"{section}.{name}", name) for name in key_names(kind))


def _wrong_value(place: _Place, error: ErrorDetails) -> str:
    context = error.get("ctx", {})
    match error["type"]:
        case "union_tag_invalid":
            known = [section for parent in place.around for section in sections_of(parent.model_fields[place.last])]
            plugins = installed_plugins(place.key)
            problem = _unknown_kind([*map(kind_name, known), *sorted(plugins)], context["tag"])
            return f"{place.key}.kind: {problem}"
        case "literal_error" if place.last == "kind":
            problem = _unknown_kind([kind_name(kind) for kind in place.around])
        case "string_pattern_mismatch" if place.last == "kind":
            problem = f'should be written "{PLUGIN}"'
        case "literal_error":
            problem = f"should be {context['expected']}"
        case "missing":
            problem = "is missing"
        case "value_error":
            problem = str(context["error"])
        case "model_type" | "dict_type":
            problem = "should be a table"
        case "tuple_type" if place.list_of_tables:
            problem = f"should be a list of tables, each under [[{place.key}]]"
        case "tuple_type":
            problem = "should be a list"
        case _:
            problem = re.sub("^(Input|String) should", "should", error["msg"])
    return f"{place.key}: {problem}"


def _unknown_kind(known: Sequence[str], given: str = "") -> str:
    nearest = difflib.get_close_matches(given[:_LONGEST_KEY], known, n=1)
    hint = f'did you mean "{nearest[0]}"? ' if nearest else ""
    return f"unknown kind; {hint}known: {', '.join(known)}"
