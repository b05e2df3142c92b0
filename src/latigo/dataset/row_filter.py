"""The row filter: an allow-listed part of what ``pandas.DataFrame.eval`` takes, over numpy.

The text is parsed, never run. Whatever is not understood is refused with `Rejected`, naming it, so that a filter is
either applied as gordo-core applies it or not at all. In gordo-core ``&`` and ``|`` are ``and`` and ``or``, and bind
less than comparisons.

The size, the depth and the constants of a filter are bounded: it comes from the network.
"""

import ast
import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from functools import lru_cache, reduce
from itertools import count, pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from latigo.domain.errors import Reason, Rejected
from latigo.domain.series import Times, Values
from latigo.domain.windows import to_ns

Mask = npt.NDArray[np.bool_]

MOST_TEXT: Final = 20_000  #: characters
MOST_NODES: Final = 5_000
MOST_DEPTH: Final = 100
MOST_PERIODS: Final = 1_000_000
#: gordo-core joins this many items of a list to one text.
_TOGETHER: Final = 15

#: Names that are the row's label, or nothing that a filter could use; every other name is a tag.
_INDEX: Final = "index"
_NO_TAG: Final = frozenset({_INDEX, "columns"})


class _Kind(Enum):
    NUMBER = auto()
    TRUTH = auto()
    INDEX = auto()  #: the labels of the rows
    TEXT = auto()
    LIST = auto()  #: of constant numbers, or of texts


@dataclass(frozen=True, slots=True)
class Table:
    """What a filter is applied to: the joined rows. Columns have shape (rows,), float64, or int64 for counts."""

    times: Times
    columns: Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class _Part:
    """A piece of a filter that was understood."""

    kind: _Kind
    value: Callable[[Table], Any]
    rows: bool = False  #: one value a row, not one for all
    term: bool = False  #: a name, a constant or a method's result: only these have methods and are equal to lists
    constant: Any = None


@dataclass(frozen=True, slots=True)
class RowFilter:
    """A filter that was understood: the tags it reads, in order of appearance, and the rows it keeps."""

    tags: tuple[str, ...]
    part: _Part
    assigns: bool = False  #: ``a = 2``, which keeps every row

    def mask(self, table: Table) -> Mask:
        """Which rows to keep, shape (rows,)."""
        if self.assigns:
            return np.ones(len(table.times), np.bool_)
        with np.errstate(all="ignore"):
            kept: Mask = self.part.value(table)
        return kept


def refused(why: str) -> Rejected:
    """The error of every filter that cannot be read."""
    return Rejected(f"row_filter: {why}", reason=Reason.BAD_METADATA, whole_model=True)


@lru_cache(maxsize=4096)
def parse(text: str) -> RowFilter:
    """Understand one filter.

    Raises:
        Rejected: it is too large, or something in it is not understood.
    """
    found = _understand(text)
    if not found.assigns and found.part.kind is not _Kind.TRUTH:
        raise refused(f"is a number and no condition: {_short(text)}")
    return found


def join(items: Sequence[str]) -> str:
    """One filter out of a list, as gordo-core does it.

    Up to fifteen items are joined as text with ``&``, so that an item with ``|`` and no parentheses comes apart. What
    these texts give is then combined by "and", a number counting as true unless it is 0.

    Raises:
        Rejected: an item is no text, or cannot be read.
    """
    if not all(isinstance(item, str) for item in items):
        raise refused("is a list with something that is no text in it")
    if sum(map(len, items)) > MOST_TEXT:
        raise refused(f"has more than {MOST_TEXT} characters")
    texts = []
    for at in range(0, len(items), _TOGETHER):
        text = " & ".join(items[at : at + _TOGETHER])
        found = _understand(text)
        if found.assigns:
            raise refused(f"an assignment in a list: {_short(text)}")
        texts.append(text if found.part.kind is _Kind.TRUTH else f"({text}) != 0")
    return texts[0] if len(texts) == 1 else " & ".join(f"({text})" for text in texts)


def _short(text: str) -> str:
    shown = text[:200].encode(errors="backslashreplace").decode()
    return shown if len(text) <= 200 else f"{shown}..."


#: Text in quotes, names in backticks, comments, and the two operators that pandas gives another precedence.
_TOKEN: Final = re.compile(
    r"""(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|(?P<comment>\#.*)|`(?P<tag>[^`]*)`|(?P<operator>[&|])"""
)
_WORDS: Final = {"&": " and ", "|": " or "}


def _to_python(text: str) -> tuple[str, dict[str, str]]:
    """The text as Python's own grammar has it, and the tags that its stand-in names are for."""
    prefix = next(prefix for number in count() if (prefix := f"tag{number}_") not in text)
    names: dict[str, str] = {}

    def rewrite(match: re.Match[str]) -> str:
        if operator := match["operator"]:
            return _WORDS[operator]
        if (tag := match["tag"]) is None:
            return match[0]
        return names.setdefault(tag, f"{prefix}{len(names)}_")

    rewritten = _TOKEN.sub(rewrite, text)
    if "" in names:
        raise refused("there is nothing between two backticks")
    return rewritten, {name: tag for tag, name in names.items()}


def _understand(text: str) -> RowFilter:
    if len(text) > MOST_TEXT:
        raise refused(f"has {len(text)} characters, more than {MOST_TEXT}")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) != 1:
        raise refused(f"is {len(lines)} lines and not one: {_short(text)}")
    source, names = _to_python(lines[0])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Python says of odd spellings is of no use in a log
            body = ast.parse(source).body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise refused(f"cannot be read: {_short(text)} ({type(error).__name__})") from error
    if len(body) != 1:
        raise refused(f"is not a single expression: {_short(text)}")
    if sum(1 for _ in ast.walk(body[0])) > MOST_NODES:
        raise refused(f"has more than {MOST_NODES} parts")
    reader = _Reader(source, names)
    match body[0]:
        case ast.Expr(value=value):
            part = reader.read(value)
            if part.kind not in {_Kind.TRUTH, _Kind.NUMBER} or not part.rows:
                raise refused(f"is no condition on the rows: {_short(text)}")
            return RowFilter(tuple(reader.tags), part)
        case ast.Assign(targets=[ast.Name() as target], value=value) if reader.assignable(target):
            # gordo-core takes the changed table for the rows to keep, which comes out as all of them.
            part = reader.read(value)
            return RowFilter(tuple(reader.tags), part, assigns=True)
        case other:
            raise refused(f"cannot hold {_described(other)}: {_short(text)}")


def _described(node: ast.AST) -> str:
    return f"'{type(node).__name__}'"


def _floor_divide(a: Any, b: Any) -> Any:
    # numexpr rounds the quotient down, where numpy rounds the exact one: 1 // 0.1 is 10 here and 9 there.
    if _whole(a) and _whole(b):
        return np.floor_divide(a, b)
    return np.floor(np.true_divide(a, b))


def _modulo(a: Any, b: Any) -> Any:
    if _whole(a) and _whole(b):
        return np.remainder(a, b)
    return a - b * _floor_divide(a, b)


def _power(a: Any, b: Any) -> Any:
    return np.power(np.asarray(a, np.float64), b)


def _whole(value: Any) -> bool:
    return bool(np.asarray(value).dtype.kind == "i")


_ARITHMETIC: Final[dict[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.true_divide,
    ast.FloorDiv: _floor_divide,
    ast.Mod: _modulo,
    ast.Pow: _power,
}
#: What numexpr can do with two conditions; numpy means the same: or, and.
_OF_TRUTHS: Final = (ast.Add, ast.Mult)

_COMPARISONS: Final[dict[type[ast.cmpop], Callable[[Any, Any], Any]]] = {
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
}

_FUNCTIONS: Final[dict[str, tuple[Callable[..., Any], int]]] = {
    **{
        function.__name__: (function, 1)
        for function in (
            *(np.sin, np.cos, np.exp, np.log, np.expm1, np.log1p, np.sqrt, np.sinh, np.cosh, np.tanh),
            *(np.arcsin, np.arccos, np.arctan, np.arccosh, np.arcsinh, np.arctanh, np.log10, np.floor, np.ceil),
        )
    },
    "abs": (np.abs, 1),
    "arctan2": (np.arctan2, 2),
}


class _Reader:
    """Turns a syntax tree into parts, collecting the tags. One use."""

    def __init__(self, source: str, names: Mapping[str, str]) -> None:
        self._source = source
        self._names = names
        self._depth = 0
        self.tags: dict[str, None] = {}

    def assignable(self, target: ast.Name) -> bool:
        """Whether ``target = ...`` does nothing: with a tag that has no plain name gordo-core breaks."""
        return self.read(target).kind is _Kind.NUMBER and self._names.get(target.id, target.id).isidentifier()

    def read(self, node: ast.expr) -> _Part:
        """Understand an expression, or refuse it."""
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise refused(f"is nested more than {MOST_DEPTH} deep")
        try:
            return self._read(node)
        finally:
            self._depth -= 1

    def _read(self, node: ast.expr) -> _Part:
        match node:
            case ast.Constant(value=value):
                return self._constant(node, value)
            case ast.Name(id=name):
                return self._name(node, self._names.get(name, name))
            case ast.UnaryOp(op=op, operand=operand):
                return self._unary(node, op, self.read(operand))
            case ast.BinOp(left=left, op=op, right=right):
                return self._arithmetic(node, op, self.read(left), self.read(right))
            case ast.BoolOp(op=op, values=values):
                combine = np.logical_and if isinstance(op, ast.And) else np.logical_or
                return self._all(node, combine, [self.read(value) for value in values])
            case ast.Compare(left=left, ops=ops, comparators=others):
                sides = [self.read(side) for side in (left, *others)]
                pairs = zip(ops, pairwise(sides), strict=True)
                return self._all(node, np.logical_and, [self._compare(node, op, *pair) for op, pair in pairs])
            case ast.List(elts=elements) | ast.Tuple(elts=elements):
                return self._list(node, [self.read(element) for element in elements])
            case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords):
                return self._function(node, self._names.get(name, name), self._arguments(node, args, keywords))
            case ast.Call(func=ast.Attribute(value=value, attr=name), args=args, keywords=keywords):
                return self._method(node, self.read(value), name, self._arguments(node, args, keywords))
            case _:
                raise self._refused(node, f"{_described(node)} is not understood")

    def _refused(self, node: ast.AST, why: str) -> Rejected:
        source = ast.get_source_segment(self._source, node) or self._source
        for name, tag in self._names.items():
            source = source.replace(name, f"`{tag}`")
        return refused(f"{why}: {_short(source)}")

    def _constant(self, node: ast.expr, value: object) -> _Part:
        match value:
            case bool():
                return _fixed(_Kind.TRUTH, value)
            case int() | float():
                return _fixed(_Kind.NUMBER, _plain(value))
            case str():
                return _fixed(_Kind.TEXT, value)
            case _:
                raise self._refused(node, "a constant of another kind than number, text, True and False")

    def _name(self, node: ast.expr, name: str) -> _Part:
        if name == _INDEX:
            return _Part(_Kind.INDEX, lambda table: table.times, rows=True, term=True)
        if name in _NO_TAG or name in _FUNCTIONS:
            raise self._refused(node, "this is no tag")
        self.tags[name] = None
        return _Part(_Kind.NUMBER, lambda table: table.columns[name], rows=True, term=True)

    def _unary(self, node: ast.expr, op: ast.unaryop, operand: _Part) -> _Part:
        match op, operand.kind:
            case ((ast.Not() | ast.Invert()), _Kind.TRUTH):
                return _apply(_Kind.TRUTH, np.logical_not, [operand])
            case ast.USub(), _Kind.NUMBER:
                return _apply(_Kind.NUMBER, np.negative, [operand])
            case ast.UAdd(), (_Kind.NUMBER | _Kind.TRUTH):
                return operand
            case _:
                raise self._refused(
                    node, "a sign needs a number, and 'not' and '~' a condition, in parentheses after '~'"
                )

    def _arithmetic(self, node: ast.expr, op: ast.operator, left: _Part, right: _Part) -> _Part:
        kinds = {left.kind, right.kind}
        if type(op) not in _ARITHMETIC or not kinds <= {_Kind.NUMBER, _Kind.TRUTH}:
            raise self._refused(node, "calculation with something that cannot be calculated with")
        truths = kinds == {_Kind.TRUTH}
        if (truths and not isinstance(op, _OF_TRUTHS)) or (_Kind.TRUTH in kinds and isinstance(op, ast.Div)):
            raise self._refused(node, "calculation with a condition")
        return _apply(_Kind.TRUTH if truths else _Kind.NUMBER, _ARITHMETIC[type(op)], [left, right])

    def _all(self, node: ast.expr, combine: Callable[[Any, Any], Any], parts: Sequence[_Part]) -> _Part:
        if len(parts) == 1:
            return parts[0]
        if {part.kind for part in parts} != {_Kind.TRUTH}:
            raise self._refused(node, "'and' and 'or' need conditions on both sides")
        return _apply(_Kind.TRUTH, lambda *values: reduce(combine, values), parts)

    def _compare(self, node: ast.expr, op: ast.cmpop, left: _Part, right: _Part) -> _Part:
        kinds = {left.kind, right.kind}
        if isinstance(op, ast.In | ast.NotIn) or (_Kind.LIST in kinds and isinstance(op, ast.Eq | ast.NotEq)):
            return self._membership(node, op, left, right)
        if type(op) in _COMPARISONS:
            compare = _COMPARISONS[type(op)]
            if kinds <= {_Kind.NUMBER, _Kind.TRUTH}:
                return _apply(_Kind.TRUTH, compare, [left, right])
            if kinds == {_Kind.INDEX, _Kind.TEXT}:
                return _apply(_Kind.TRUTH, compare, [self._time(node, left), self._time(node, right)])
        raise self._refused(node, "these cannot be compared")

    def _time(self, node: ast.expr, part: _Part) -> _Part:
        """A text as a time in ns; anything else as it is."""
        if part.kind is not _Kind.TEXT:
            return part
        return _fixed(_Kind.NUMBER, self._nanoseconds(node, part.constant))

    def _nanoseconds(self, node: ast.expr, text: str) -> int:
        iso = re.sub(r"\s*(?:UTC|GMT)$", "+00:00", text.strip())
        iso = re.sub(r"\s+([+-]\d\d:?\d\d)$", r"\1", iso)
        try:
            time = datetime.fromisoformat(iso)
            if time.tzinfo is not None:
                return to_ns(time)
        except (ValueError, OverflowError) as error:
            raise self._refused(node, "a text that is no ISO 8601 time") from error
        raise self._refused(node, "a time without an offset from UTC")

    def _membership(self, node: ast.expr, op: ast.cmpop, left: _Part, right: _Part) -> _Part:
        # As in pandas, which looks for the rows in the list even when they are written the other way round.
        inside, among = (right, left) if left.kind is _Kind.LIST else (left, right)
        if isinstance(op, ast.Eq | ast.NotEq) and not inside.term:
            raise self._refused(node, "only a tag can be equal to a list")
        negated = isinstance(op, ast.NotIn | ast.NotEq)
        match inside.kind, among.kind:
            case _Kind.NUMBER, _Kind.LIST if inside.rows and _all_numbers(among.constant):
                pass
            case _Kind.INDEX, _Kind.LIST if all(isinstance(item, str) for item in among.constant):
                times = tuple(self._nanoseconds(node, item) for item in among.constant)
                among = _fixed(_Kind.LIST, times)
            case _Kind.NUMBER, _Kind.NUMBER if inside.rows and among.rows and among.term:
                pass
            case _:
                raise self._refused(node, "this cannot be looked for there")
        return _apply(_Kind.TRUTH, _is_not_in if negated else _is_in, [inside, among])

    def _list(self, node: ast.expr, items: Sequence[_Part]) -> _Part:
        for item in items:
            if item.constant is None or item.kind is _Kind.LIST:
                raise self._refused(node, "a list of something else than constants")
        return _fixed(_Kind.LIST, tuple(item.constant for item in items))

    def _arguments(self, node: ast.expr, args: Sequence[ast.expr], keywords: Sequence[ast.keyword]) -> list[_Part]:
        if keywords:
            # gordo-core takes the keyword for a tag, which it then does not find.
            raise self._refused(node, "arguments have no names here")
        return [self.read(arg) for arg in args]

    def _function(self, node: ast.expr, name: str, args: Sequence[_Part]) -> _Part:
        if name not in _FUNCTIONS:
            raise self._refused(node, f"no function is named '{name}'")
        function, wanted = _FUNCTIONS[name]
        if len(args) != wanted or not {arg.kind for arg in args} <= {_Kind.NUMBER, _Kind.TRUTH}:
            raise self._refused(node, f"'{name}' takes {wanted} number{'s' * (wanted > 1)}")
        return _apply(_Kind.NUMBER, lambda *values: function(*(np.asarray(v, np.float64) for v in values)), args)

    def _method(self, node: ast.expr, column: _Part, name: str, args: Sequence[_Part]) -> _Part:
        method = _METHODS.get(name)
        if method is None:
            raise self._refused(node, f"no method is named '{name}'")
        if not (column.term and column.rows and column.kind is _Kind.NUMBER):
            raise self._refused(node, f"'.{name}' needs a tag in front of it")
        if not method.needs <= len(args) <= len(method.takes):
            raise self._refused(node, f"'.{name}' takes {method.needs} to {len(method.takes)} arguments")
        # pandas takes no calculated argument here, not even a negative number.
        if not all(arg.term and allowed(arg) for arg, allowed in zip(args, method.takes, strict=False)):
            raise self._refused(node, f"'.{name}' does not take this")

        def value(table: Table) -> Any:
            return method.function(np.asarray(column.value(table), np.float64), *(arg.value(table) for arg in args))

        return _Part(method.kind, value, rows=method.rows, term=True)


def _apply(kind: _Kind, function: Callable[..., Any], parts: Sequence[_Part]) -> _Part:
    """The part that is ``function`` of parts; worked out at once where all of them are constants."""
    if all(part.constant is not None for part in parts):
        with np.errstate(all="ignore"):
            value = function(*(part.constant for part in parts))
        return _fixed(kind, bool(value) if kind is _Kind.TRUTH else _plain(value.item()), term=False)
    values = [part.value for part in parts]
    return _Part(kind, lambda table: function(*(value(table) for value in values)), any(part.rows for part in parts))


def _plain(number: float) -> float:
    """A constant: whole where numpy cannot overflow on it."""
    if isinstance(number, int) and abs(number) < 1 << 31:
        return number
    try:
        return float(number)
    except OverflowError:
        return math.inf


def _fixed(kind: _Kind, constant: Any, *, term: bool = True) -> _Part:
    return _Part(kind, lambda _: constant, term=term, constant=constant)


def _all_numbers(items: Sequence[object]) -> bool:
    return all(isinstance(item, int | float) for item in items)


def _is_in(values: npt.NDArray[Any], among: Any) -> Mask:
    if isinstance(among, tuple):
        among = np.asarray(among, values.dtype if values.dtype.kind == "i" and _all_ints(among) else np.float64)
    found: Mask = np.isin(values, among)
    if values.dtype.kind == "f" and np.isnan(among).any():
        found |= np.isnan(values)  # in pandas NaN is found in what holds NaN
    return found


def _all_ints(items: Sequence[object]) -> bool:
    return all(isinstance(item, int) for item in items)


def _is_not_in(values: npt.NDArray[Any], among: Any) -> Mask:
    return ~_is_in(values, among)


@dataclass(frozen=True, slots=True)
class _Method:
    """A method of a column: ``function(values, *args)``; ``takes`` says of each argument what it may be."""

    function: Callable[..., Any]
    takes: tuple[Callable[[_Part], bool], ...] = ()
    needs: int = 0
    kind: _Kind = _Kind.NUMBER
    rows: bool = True


def _a_number(part: _Part) -> bool:
    return part.kind is _Kind.NUMBER


def _a_count(part: _Part) -> bool:
    number = part.constant
    return part.kind is _Kind.NUMBER and isinstance(number, int) and 0 <= number <= MOST_PERIODS


def _a_fraction(part: _Part) -> bool:
    return part.kind is _Kind.NUMBER and part.constant is not None and 0 <= part.constant <= 1


def _a_side(part: _Part) -> bool:
    return part.kind is _Kind.TEXT and part.constant in _SIDES


def _some_numbers(part: _Part) -> bool:
    return (part.kind is _Kind.LIST and _all_numbers(part.constant)) or (part.kind is _Kind.NUMBER and part.rows)


def _shift(values: Values, periods: int = 1) -> Values:
    shifted = np.full(len(values), np.nan)
    shifted[periods:] = values[: max(len(values) - periods, 0)]
    return shifted


def _diff(values: Values, periods: int = 1) -> Values:
    return values - _shift(values, periods)


def _round(values: Values, decimals: int = 0) -> Values:
    return np.round(values, decimals)


def _clip(values: Values, lower: Any = -np.inf, upper: Any = np.inf) -> Values:
    # Not numpy.clip: to pandas a bound that is NaN is none.
    values = np.where(values < lower, lower, values)
    return np.where(values > upper, upper, values)


def _fillna(values: Values, value: Any) -> Values:
    return np.where(np.isnan(values), value, values)


_SIDES: Final = {
    "both": (np.greater_equal, np.less_equal),
    "left": (np.greater_equal, np.less),
    "right": (np.greater, np.less_equal),
    "neither": (np.greater, np.less),
}


def _between(values: Values, left: Any, right: Any, inclusive: str = "both") -> Mask:
    above, below = _SIDES[inclusive]
    inside: Mask = above(values, left) & below(values, right)
    return inside


def _over_valid(function: Callable[[Values], Any], fewest: int = 1) -> _Method:
    """A number for the whole column, of its values that are not NaN."""

    def of(values: Values) -> float:
        valid = values[~np.isnan(values)]
        return float(function(valid)) if len(valid) >= fewest else math.nan

    return _Method(of, rows=False)


def _quantile(values: Values, q: float = 0.5) -> float:
    valid = values[~np.isnan(values)]
    return float(np.quantile(valid, q)) if len(valid) else math.nan


_IS_NA: Final = _Method(np.isnan, kind=_Kind.TRUTH)
_NOT_NA: Final = _Method(lambda values: ~np.isnan(values), kind=_Kind.TRUTH)

_METHODS: Final[dict[str, _Method]] = {
    "shift": _Method(_shift, (_a_count,)),
    "diff": _Method(_diff, (_a_count,)),
    "abs": _Method(np.abs),
    "round": _Method(_round, (_a_count,)),
    "clip": _Method(_clip, (_a_number, _a_number)),
    "fillna": _Method(_fillna, (_a_number,), needs=1),
    "between": _Method(_between, (_a_number, _a_number, _a_side), needs=2, kind=_Kind.TRUTH),
    "isin": _Method(_is_in, (_some_numbers,), needs=1, kind=_Kind.TRUTH),
    "isna": _IS_NA,
    "isnull": _IS_NA,
    "notna": _NOT_NA,
    "notnull": _NOT_NA,
    "mean": _over_valid(np.mean),
    "median": _over_valid(np.median),
    "min": _over_valid(np.min),
    "max": _over_valid(np.max),
    "std": _over_valid(lambda values: np.std(values, ddof=1), fewest=2),
    "var": _over_valid(lambda values: np.var(values, ddof=1), fewest=2),
    "sum": _over_valid(np.sum, fewest=0),
    "count": _over_valid(len, fewest=0),
    "quantile": _Method(_quantile, (_a_fraction,), rows=False),
}
