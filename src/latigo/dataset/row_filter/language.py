"""Parser of the row filter.

The text is parsed with Python's grammar; only the syntax nodes listed here are accepted.
"""

import ast
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from itertools import count, pairwise
from typing import Any, Final

import numpy as np

from latigo.dataset.row_filter.expressions import (
    Expression,
    Kind,
    Mask,
    Table,
    all_numbers,
    apply,
    bounded,
    excerpt,
    literal,
    rejected,
)
from latigo.dataset.row_filter.methods import CALENDAR, INSTEAD, METHODS
from latigo.dataset.row_filter.operators import ARITHMETIC, COMPARISONS, FUNCTIONS, OF_TRUTHS, is_in, is_not_in
from latigo.dataset.row_filter.times import read_time
from latigo.domain.errors import Rejected
from latigo.domain.windows import to_ns

MOST_TEXT: Final = 20_000  #: characters
MOST_NODES: Final = 5_000
MOST_DEPTH: Final = 100
#: gordo-core joins a list in groups of this many items.
_GROUP: Final = 15

#: Names that are not tags: the label of the row, and one that a filter cannot use.
_INDEX: Final = "index"
_NO_TAG: Final = frozenset({_INDEX, "columns"})


@dataclass(frozen=True, slots=True)
class RowFilter:
    """A parsed filter: its tags in order of appearance, and the rows it keeps."""

    tags: tuple[str, ...]
    condition: Expression
    assigns: bool = False  #: ``a = 2``, which keeps every row

    def mask(self, table: Table) -> Mask:
        """Return which rows to keep, shape (rows,)."""
        if self.assigns:
            return np.ones(len(table.times), np.bool_)
        with np.errstate(all="ignore"):
            kept: Mask = self.condition.value(table)
        return kept


@lru_cache(maxsize=4096)
def parse(text: str) -> RowFilter:
    """Parse one filter.

    Raises:
        Rejected: it is too large, or uses something that is not supported.
    """
    row_filter = _parse(text)
    if not row_filter.assigns and row_filter.condition.kind is not Kind.TRUTH:
        raise rejected(f"is a number, not a condition: {excerpt(text)}")
    return row_filter


def join(items: Sequence[str]) -> str:
    """Join a list of filters into one, as gordo-core does.

    Up to fifteen items are joined as text with ``&``, so that an item with ``|`` needs parentheses of its own. The
    results of these groups are combined by "and"; a number is true unless it is 0.

    Raises:
        Rejected: an item is not a text, or not a valid filter.
    """
    if not all(isinstance(item, str) for item in items):
        raise rejected("has an item that is not a text")
    if sum(map(len, items)) > MOST_TEXT:
        raise rejected(f"has more than {MOST_TEXT} characters")
    texts = []
    for at in range(0, len(items), _GROUP):
        text = " & ".join(items[at : at + _GROUP])
        row_filter = _parse(text)
        if row_filter.assigns:
            raise rejected(f"an assignment is not allowed in a list: {excerpt(text)}")
        if row_filter.condition.array:
            raise rejected(f"a list takes no condition on '.values' alone; leave it out: {excerpt(text)}")
        texts.append(text if row_filter.condition.kind is Kind.TRUTH else f"({text}) != 0")
    return texts[0] if len(texts) == 1 else " & ".join(f"({text})" for text in texts)


#: Quoted text, tags in backticks, comments, the two operators with another precedence in pandas, and a quote or
#: backtick that is never closed.
_TOKEN: Final = re.compile(
    r"""(?P<text>'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+")|(?P<comment>\#.*)|`(?P<tag>[^`]*+)`|(?P<operator>[&|])"""
    r"""|(?P<open>['"`])"""
)
#: A name that stands for a tag.
_REPLACED: Final = re.compile(r"tag\d+_\d+_")
_WORDS: Final = {"&": " and ", "|": " or "}


def _to_python(text: str) -> tuple[str, dict[str, str]]:
    """Return the text in Python's grammar, and the tags by the names that replace them."""
    taken = set(re.findall(r"tag\d+_", text))
    prefix = next(prefix for number in count() if (prefix := f"tag{number}_") not in taken)
    names: dict[str, str] = {}

    def rewrite(match: re.Match[str]) -> str:
        if operator := match["operator"]:
            return _WORDS[operator]
        if match["open"]:
            raise rejected(f"has a quote or backtick that is never closed: {excerpt(text)}")
        if (tag := match["tag"]) is None:
            return match[0]
        return names.setdefault(tag, f"{prefix}{len(names)}_")

    rewritten = _TOKEN.sub(rewrite, text)
    if "" in names:
        raise rejected("a pair of backticks is empty")
    return rewritten, {name: tag for tag, name in names.items()}


def _parse(text: str) -> RowFilter:
    if len(text) > MOST_TEXT:
        raise rejected(f"has {len(text)} characters, more than {MOST_TEXT}")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) != 1:
        raise rejected(f"should be one line, not {len(lines)}: {excerpt(text)}")
    source, names = _to_python(lines[0])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings of odd spellings do not belong in the log
            body = ast.parse(source).body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise rejected(f"is not valid: {excerpt(text)} ({type(error).__name__})") from error
    if len(body) != 1:
        raise rejected(f"is not a single expression: {excerpt(text)}")
    if sum(1 for _ in ast.walk(body[0])) > MOST_NODES:
        raise rejected(f"has more than {MOST_NODES} parts")
    reader = _Reader(source, names)
    match body[0]:
        case ast.Expr(value=value):
            expression = reader.read(value)
            if expression.kind not in {Kind.TRUTH, Kind.NUMBER} or not expression.rows:
                raise rejected(f"is not a condition on the rows: {excerpt(text)}")
            return RowFilter(tuple(reader.tags), expression)
        case ast.Assign(targets=[ast.Name() as target], value=value) if reader.assignable(target):
            # gordo-core takes the assigned table for the rows to keep, which keeps all of them.
            expression = reader.read(value)
            return RowFilter(tuple(reader.tags), expression, assigns=True)
        case other:
            raise rejected(f"{_described(other)} is not supported: {excerpt(text)}")


def _described(node: ast.AST) -> str:
    return f"'{type(node).__name__}'"


class _Reader:
    """Translator of one syntax tree into an expression; collects the tags."""

    def __init__(self, source: str, names: Mapping[str, str]) -> None:
        self._source = source
        self._names = names
        self._depth = 0
        self.tags: dict[str, None] = {}

    def assignable(self, target: ast.Name) -> bool:
        """Return whether ``target = ...`` is allowed: gordo-core fails on a tag that is not an identifier."""
        return self.read(target).kind is Kind.NUMBER and self._names.get(target.id, target.id).isidentifier()

    def read(self, node: ast.expr) -> Expression:
        """Return the expression of a node.

        Raises:
            Rejected: it is not supported.
        """
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise rejected(f"is nested more than {MOST_DEPTH} deep")
        try:
            return self._read(node)
        finally:
            self._depth -= 1

    def _read(self, node: ast.expr) -> Expression:
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
            case ast.Call(func=(ast.Name() | ast.Attribute()) as called, args=args, keywords=keywords):
                return self._call(node, called, args, keywords)
            case ast.Attribute(value=value, attr=name):
                return self._attribute(node, self.read(value), name)
            case _:
                raise self._rejected(node, f"{_described(node)} is not supported")

    def _rejected(self, node: ast.AST, problem: str) -> Rejected:
        source = ast.get_source_segment(self._source, node) or self._source
        source = _REPLACED.sub(lambda name: f"`{self._names[name[0]]}`" if name[0] in self._names else name[0], source)
        return rejected(f"{problem}: {excerpt(source)}")

    def _constant(self, node: ast.expr, value: object) -> Expression:
        match value:
            case bool():
                return literal(Kind.TRUTH, value)
            case int() | float():
                return literal(Kind.NUMBER, bounded(value))
            case str():
                return literal(Kind.TEXT, value)
            case _:
                raise self._rejected(node, "a constant should be a number, a text, True or False")

    def _name(self, node: ast.expr, name: str) -> Expression:
        if name == _INDEX:
            return Expression(Kind.INDEX, lambda table: table.times, rows=True, term=True)
        if name in _NO_TAG or name in FUNCTIONS:
            raise self._rejected(node, "this is not a tag")
        self.tags[name] = None
        return Expression(Kind.NUMBER, lambda table: table.columns[name], rows=True, term=True)

    def _unary(self, node: ast.expr, op: ast.unaryop, operand: Expression) -> Expression:
        match op, operand.kind:
            case ((ast.Not() | ast.Invert()), Kind.TRUTH):
                return apply(Kind.TRUTH, np.logical_not, [operand])
            case ast.USub(), Kind.NUMBER:
                return apply(Kind.NUMBER, np.negative, [operand])
            case ast.UAdd(), (Kind.NUMBER | Kind.TRUTH):
                return operand
            case _:
                raise self._rejected(
                    node, "a sign needs a number; 'not' and '~' need a condition, in parentheses after '~'"
                )

    def _arithmetic(self, node: ast.expr, op: ast.operator, left: Expression, right: Expression) -> Expression:
        kinds = {left.kind, right.kind}
        if type(op) not in ARITHMETIC or not kinds <= {Kind.NUMBER, Kind.TRUTH}:
            raise self._rejected(node, "arithmetic needs numbers")
        truths = kinds == {Kind.TRUTH}
        if (truths and not isinstance(op, OF_TRUTHS)) or (Kind.TRUTH in kinds and isinstance(op, ast.Div)):
            raise self._rejected(node, "this arithmetic does not take a condition")
        return apply(Kind.TRUTH if truths else Kind.NUMBER, ARITHMETIC[type(op)], [left, right])

    def _all(self, node: ast.expr, combine: Callable[[Any, Any], Any], parts: Sequence[Expression]) -> Expression:
        if len(parts) == 1:
            return parts[0]
        if {part.kind for part in parts} != {Kind.TRUTH}:
            raise self._rejected(node, "'and' and 'or' need conditions on both sides")
        return apply(Kind.TRUTH, lambda *values: reduce(combine, values), parts)

    def _compare(self, node: ast.expr, op: ast.cmpop, left: Expression, right: Expression) -> Expression:
        kinds = {left.kind, right.kind}
        if isinstance(op, ast.In | ast.NotIn) or (Kind.LIST in kinds and isinstance(op, ast.Eq | ast.NotEq)):
            return self._membership(node, op, left, right)
        if type(op) in COMPARISONS:
            compare = COMPARISONS[type(op)]
            if kinds <= {Kind.NUMBER, Kind.TRUTH}:
                return apply(Kind.TRUTH, compare, [left, right])
            if kinds == {Kind.INDEX, Kind.TEXT}:
                return apply(Kind.TRUTH, compare, [self._time(node, left), self._time(node, right)])
        raise self._rejected(node, "these cannot be compared")

    def _time(self, node: ast.expr, part: Expression, *, naive: bool = False) -> Expression:
        """Return a text as a time in ns, and a list of texts as a list of them; anything else unchanged.

        ``naive``: a time without an offset is UTC, as in pandas' methods, but not in its operators.
        """
        try:
            if part.kind is Kind.TEXT:
                return literal(Kind.NUMBER, to_ns(read_time(part.constant, naive=naive)))
            if part.kind is Kind.LIST and all(isinstance(item, str) for item in part.constant):
                times = [read_time(item) for item in part.constant]
                if len({time.utcoffset() for time in times}) > 1:
                    raise self._rejected(node, "the times of a list need the same offset")
                return literal(Kind.LIST, tuple(map(to_ns, times)))
        except ValueError as error:
            raise self._rejected(node, str(error)) from error
        return part

    def _membership(self, node: ast.expr, op: ast.cmpop, left: Expression, right: Expression) -> Expression:
        # As in pandas, which tests the rows for membership in the list even if written the other way round.
        inside, among = (right, left) if left.kind is Kind.LIST else (left, right)
        if isinstance(op, ast.Eq | ast.NotEq) and not inside.term:
            raise self._rejected(node, "only a tag can be equal to a list")
        if inside.array:
            raise self._rejected(node, "'.values' cannot be in a list; leave it out")
        negated = isinstance(op, ast.NotIn | ast.NotEq)
        match inside.kind, among.kind:
            case Kind.NUMBER, Kind.LIST if inside.rows and all_numbers(among.constant):
                pass
            case Kind.INDEX, Kind.LIST if all(isinstance(item, str) for item in among.constant):
                among = self._time(node, among)
            case Kind.NUMBER, Kind.NUMBER if inside.rows and among.rows and among.term:
                pass
            case _:
                raise self._rejected(node, "this membership test is not supported")
        return apply(Kind.TRUTH, is_not_in if negated else is_in, [inside, among])

    def _list(self, node: ast.expr, items: Sequence[Expression]) -> Expression:
        for item in items:
            if item.constant is None or item.kind is Kind.LIST:
                raise self._rejected(node, "a list may hold constants only")
        return literal(Kind.LIST, tuple(item.constant for item in items))

    def _call(
        self,
        node: ast.expr,
        called: ast.Name | ast.Attribute,
        args: Sequence[ast.expr],
        keywords: Sequence[ast.keyword],
    ) -> Expression:
        if keywords:
            # gordo-core takes the keyword for a tag, which does not exist.
            raise self._rejected(node, "arguments cannot be named; write them in their order")
        if isinstance(called, ast.Name):
            name = self._names.get(called.id, called.id)
            return self._function(node, name, [self.read(arg) for arg in args])
        column = self.read(called.value)
        return self._method(node, column, called.attr, [self.read(arg) for arg in args])

    def _function(self, node: ast.expr, name: str, args: Sequence[Expression]) -> Expression:
        if name not in FUNCTIONS:
            raise self._rejected(
                node, f"the function '{name}' is not supported; there are {', '.join(sorted(FUNCTIONS))}"
            )
        function, wanted = FUNCTIONS[name]
        if len(args) != wanted or not {arg.kind for arg in args} <= {Kind.NUMBER, Kind.TRUTH}:
            raise self._rejected(node, f"'{name}' takes {wanted} number{'s' * (wanted > 1)}")
        return apply(Kind.NUMBER, lambda *values: function(*(np.asarray(v, np.float64) for v in values)), args)

    def _attribute(self, node: ast.expr, column: Expression, name: str) -> Expression:
        match column.kind, name:
            case ((Kind.NUMBER | Kind.TRUTH), "values") if column.term and column.rows:
                return Expression(column.kind, column.value, rows=True, array=True)
            case ((Kind.NUMBER | Kind.TRUTH), "size") if column.term and column.rows:
                return Expression(Kind.NUMBER, lambda table: len(table.times), term=True)
            case Kind.INDEX, "dt":
                return Expression(Kind.CALENDAR, column.value)
            case Kind.CALENDAR, _ if name in CALENDAR:
                field = CALENDAR[name]
                return Expression(Kind.NUMBER, lambda table: field(table.times), rows=True, term=True)
            case Kind.CALENDAR, _:
                raise self._rejected(node, f"'index.dt' has {', '.join(CALENDAR)}")
            case _ if name in CALENDAR:
                raise self._rejected(node, f"the attribute '{name}' is not supported; write index.dt.{name}")
            case _:
                raise self._rejected(node, f"the attribute '{name}' is not supported")

    def _method(self, node: ast.expr, column: Expression, name: str, args: Sequence[Expression]) -> Expression:
        methods = METHODS.get(column.kind, {})
        method = methods.get(name)
        if not column.term and column.kind in {Kind.NUMBER, Kind.TRUTH}:
            advice = "; instead of (a > 2) write a.gt(2), instead of (a + b) write a.add(b)"
            raise self._rejected(node, f"'.{name}' is a method of tags and of results of methods only{advice}")
        if method is None or not column.rows:
            there_are = f"there are {', '.join(sorted(methods))}" if methods and column.rows else ""
            others = "".join(f"; {advice}" for advice in (INSTEAD.get(name, there_are),) if advice)
            raise self._rejected(node, f"the method '{name}' is not supported here{others}")
        if not method.needs <= len(args) <= len(method.takes):
            takes = str(method.needs) if method.needs == len(method.takes) else f"{method.needs} to {len(method.takes)}"
            raise self._rejected(node, f"'.{name}' takes {takes} argument{'s' * (takes != '1')}")
        # pandas accepts no computed argument here, not even a negative number.
        if not all(arg.term and allowed(arg) for arg, allowed in zip(args, method.takes, strict=False)):
            raise self._rejected(node, f"'.{name}' does not take this argument")
        if problem := method.problem(*args):
            raise self._rejected(node, problem)
        if column.kind is Kind.INDEX:
            args = [*(self._time(node, arg, naive=True) for arg in args[:2]), *args[2:]]
        values = [arg.value for arg in args]

        def value(table: Table) -> Any:
            held, given = column.value(table), [of(table) for of in values]
            if method.timed:
                given.insert(0, table.times)
            if method.raw or column.kind not in {Kind.NUMBER, Kind.TRUTH}:
                return method.function(held, *given)
            result = method.function(np.asarray(held, np.float64), *given)
            whole = method.whole and all(np.asarray(part).dtype.kind in "ib" for part in (held, *given))
            return np.asarray(result, np.int64) if whole and np.isfinite(result).all() else result

        return Expression(method.kind, value, rows=method.rows, term=True)
