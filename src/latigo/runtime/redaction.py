"""Masking of secrets in text that people read, wherever the text comes from.

Two kinds of secrets are masked: those that this process knows, because its settings hold them (see `know`), in every
spelling that a peer may return them in; and those that their surroundings show, such as a password in a URL.

The time is linear in the length of the text.
"""

import base64
import re
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cache
from itertools import accumulate
from typing import Any, NamedTuple
from urllib.parse import unquote

MASK = "********"

_SECRET_NAME = re.compile(
    r"passw(or)?d|secret|token|credential|authorization|connection_?string"
    r"|(api|access|account|private|shared_?access|storage)_?-?key",
    re.IGNORECASE,
)
#: Expressions for secrets that their surroundings show, each with words of which one has to be there, in lower case.
_IN_TEXT = (
    # To the last @ before the path: passwords hold unescaped ones.
    (("://",), re.compile(r"(://[^\s/:@]*:)[^\s/]+(?=@)")),
    (("bearer", "basic"), re.compile(r"(\b(?:bearer|basic)\s+)[\w.~+/-]{8,}=*", re.IGNORECASE)),
    (
        ("=",),
        re.compile(
            r"(\b(?:\w*password|\w*secret|\w*token|\w*(?:access|account|api)_?key|sig)=)[^\s&;,'\"]+", re.IGNORECASE
        ),
    ),
    (
        ("authorization",),
        re.compile(
            r"""(\bauthorization\\*+["']?\s*[:=]\s*\\*+["']?(?:(?:bearer|basic|token)\s+)?)[^\s"',;}\\]+""",
            re.IGNORECASE,
        ),
    ),
    (("eyj",), re.compile(r"()\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*")),  # a JSON Web Token
)
#: Most texts have none of the words, and one search costs a quarter of one for each.
_ANY_WORD = re.compile("|".join(re.escape(word) for words, _ in _IN_TEXT for word in words))

_SHORTEST = 3  #: characters; a shorter text is too common to be masked wherever it occurs
_SHORTEST_INSIDE = 6  #: a shorter secret is masked where it stands alone, not inside of words
_SHORTEST_ENCODED = 4  #: bytes of a secret that is recognised inside of base64
_SHORTEST_CUT = 16  #: characters of a secret whose first half is masked too, as a peer may cut it
_LONGEST_PART = 256  #: characters; a longer secret is masked part by part
_MOST_SPELLED = 2048  #: characters; what is behind them in a longer secret is masked as it stands only
_NEAR = 8 * _LONGEST_PART  #: characters that the longest part takes when every character is escaped
_NAMED = re.compile(r"(?:^|[;&?,\s])([\w.-]+)=([^;&,\s]+)")
_SESSION = re.compile(r"sig|sid|pwd|pass|jwt|.*(?:session|cookie|auth).*", re.IGNORECASE)
_SCHEME = re.compile(r"[A-Za-z][\w-]*\s+(\S+)")
_USERINFO = re.compile(r"://[^\s/:@]*:([^\s/]+)@")

#: Where a peer wraps long text; escaped, it is the same.
_LINE_END = re.compile(r"(?:[\r\n]|\\{1,8}[rn])(?:\s|\\{1,8}[rn])*+")

_Mask = Callable[[str], str]


class _Pattern(NamedTuple):
    """A secret as a regular expression, and a text that is in each of its spellings, which is faster to find."""

    contains: str
    expression: re.Pattern[str]


def is_secret_name(name: str) -> bool:
    """Return whether a value of this name must never be shown."""
    return bool(_SECRET_NAME.search(name))


def mask_text(text: str) -> str:
    """Hide passwords in URLs, bearer tokens, and the keys of connection strings."""
    lower = text.lower()
    if not _ANY_WORD.search(lower):
        return text
    for words, pattern in _IN_TEXT:
        if any(word in lower for word in words):
            text = pattern.sub(rf"\g<1>{MASK}", text)
    return text


def know(secrets: Collection[str]) -> None:
    """Let `redact` mask these secrets from now on, and no others: those of the settings of this process."""
    global _mask_known  # noqa: PLW0603 - a process has one configuration, and every text goes through here
    _known.clear()
    _known.update(dict.fromkeys(secrets))
    _replaced.clear()
    _mask_known = masked_by(_known)


def also_know(secret: str) -> None:
    """Let `redact` mask this secret as well: one that has replaced another, which may still be in a text."""
    global _mask_known  # noqa: PLW0603 - as above
    if secret in _known or secret in _replaced:
        return
    _replaced.append(secret)
    _mask_known = masked_by((*_known, *_replaced))


def redact(text: str) -> str:
    """Return the text without secrets: those that this process knows, and those that their surroundings show.

    What is not text in UTF-8, such as half of a surrogate pair, is escaped: log, database and JSON refuse it.
    """
    return mask_text(_mask_known(text)).encode(errors="backslashreplace").decode()


def redact_within(document: Any, *, deepest: int = 64) -> Any:
    """Return a JSON document with all its texts redacted; what is nested deeper is masked as a whole."""
    if isinstance(document, str):
        return redact(document)
    if not isinstance(document, Mapping | list):
        return document
    if not deepest:
        return MASK
    if isinstance(document, list):
        return [redact_within(item, deepest=deepest - 1) for item in document]
    return {redact(str(name)): redact_within(item, deepest=deepest - 1) for name, item in document.items()}


def excerpt(text: str, most: int) -> str:
    """Return the first ``most`` characters of a text, redacted. Cut before that, a part of a secret would stay."""
    looked_at = 4 * (most + _NEAR)  # masks are shorter than what they replace
    if len(text) <= looked_at:
        return redact(text)[:most]
    redacted = redact(text[:looked_at])
    return redacted[: min(most, max(len(redacted) - _NEAR, 0))]  # near the end there may be a part of a secret


def shown(value: object, most: int) -> str:
    """Return the beginning of a value from others as Python writes it, redacted; of an array or an object its type."""
    if isinstance(value, str):
        return repr(excerpt(value, most))
    return type(value).__name__ if isinstance(value, Collection) else excerpt(repr(value), most)


def masked_by(secrets: Collection[str]) -> _Mask:
    """Return a function that masks these secrets in a text.

    It masks them as they are, percent-encoded, escaped as in JSON, HTML and Python, and in base64, alone or with what
    stands before them, such as a user name; the parts of connection strings, URLs and headers as well; and a secret
    that was cut in its second half. Their expressions are compiled for the first text.
    """
    parts = sorted({part for secret in secrets for part in parts_of(secret)}, key=lambda part: (-len(part), part))

    @cache
    def patterns() -> Sequence[_Pattern]:
        return [pattern for part in parts for pattern in _patterns(part)]

    def mask(text: str) -> str:
        for contains, expression in patterns():
            if contains in text:
                text = expression.sub(MASK, text)
        return text

    def mask_all(text: str) -> str:
        lines = _LINE_END.split(text)
        return mask(text if len(lines) < 2 else _mask_across(lines, text, patterns()))

    return mask_all


def _mask_across(lines: Sequence[str], text: str, patterns: Sequence[_Pattern]) -> str:
    """Mask secrets that line ends split, as in base64 of 76 characters a line."""
    joined, starts = "".join(lines), list(accumulate(map(len, lines), initial=0))
    ends = [match.end() for match in _LINE_END.finditer(text)]
    offsets = [0, *(end - start for end, start in zip(ends, starts[1:], strict=False))]
    spans = [
        match.span() for contains, expression in patterns if contains in joined for match in expression.finditer(joined)
    ]
    masked, at = [], 0
    for first, last in sorted(spans):
        begin, end = (place + offsets[bisect_right(starts, place) - 1] for place in (first, last - 1))
        if begin >= at and bisect_right(starts, first) < bisect_right(starts, last - 1):
            masked += [text[at:begin], MASK]
            at = end + 1
    return "".join([*masked, text[at:]])


def parts_of(secret: str) -> Iterator[str]:
    """Yield a secret, and the secrets that it is made of."""
    yield secret.strip()
    for match in _USERINFO.finditer(secret):
        yield from (match[1], unquote(match[1]))
    for name, value in _NAMED.findall(secret):
        if not name.lower().endswith("name") and (is_secret_name(name) or _SESSION.fullmatch(name)):
            yield from (value, unquote(value))
    if scheme := _SCHEME.fullmatch(secret.strip()):
        yield scheme[1]
        try:
            user, colon, password = base64.b64decode(scheme[1], validate=True).decode().partition(":")
        except ValueError:
            return
        if colon and user.isprintable():
            yield password


def _patterns(secret: str) -> Iterator[_Pattern]:
    """Yield patterns for one secret."""
    if len(secret) < _SHORTEST:
        return
    for start in range(0, len(secret), _LONGEST_PART):
        part = secret[start : start + _LONGEST_PART]
        if start >= _MOST_SPELLED:
            yield _Pattern(part, re.compile(re.escape(part)))
            continue
        whole, half = _spelled(part), part[: len(part) // 2]
        if len(secret) < _SHORTEST_INSIDE:
            # An escape before it, such as %3D or \n, ends in a letter or digit that is not part of a word.
            before = r"(?:(?<![A-Za-z0-9])|(?<=%[0-9A-Fa-f]{2})|(?<=\\[nrt]))"
            yield _Pattern(_in_all_spellings(part), re.compile(f"{before}{whole}(?![A-Za-z0-9])"))
        elif len(part) < _SHORTEST_CUT:
            yield _Pattern(_in_all_spellings(part), re.compile(whole))
        else:
            yield _Pattern(_in_all_spellings(half), re.compile(rf"{whole}|{_spelled(half)}\S*+"))
        yield _Pattern("%", re.compile("".join(map(_percent_encoded, part))))
        for begin, spell in _ESCAPES.items():
            yield _Pattern(begin, re.compile("".join(map(spell, part))))
        if len(secret) >= _SHORTEST_INSIDE:
            digits = part.encode(errors="surrogatepass").hex()
            others = {digits, digits.upper(), part.lower(), part.upper()} - {part}
            yield from (_Pattern(other, re.compile(re.escape(other))) for other in sorted(others))
        if len(encoded := part.encode(errors="surrogatepass")) >= _SHORTEST_ENCODED:
            yield from (_in_base64(encoded, shift) for shift in range(3))


def _in_base64(secret: bytes, shift: int) -> _Pattern:
    """Return a pattern for the digits of base64 that ``secret`` alone determines, with ``shift`` bytes before it."""
    digits = base64.b64encode(bytes(shift) + secret).decode()
    core = digits[-(-8 * shift // 6) : 8 * (shift + len(secret)) // 6]
    in_urls = {"+": f"(?:-|{_spelled('+')})", "/": f"(?:_|{_spelled('/')})"}
    spelled = "".join(in_urls.get(digit, digit) for digit in core)
    ending = r"[A-Za-z0-9+/_-]*+(?:=|%3[Dd]|\\{1,8}u003[Dd]){0,2}"
    return _Pattern(_in_all_spellings(core), re.compile(spelled + ending))


def _in_all_spellings(text: str) -> str:
    """Return the longest part of a text that no encoding changes."""
    return max(_UNCHANGED.findall(text), key=len, default="")


def _spelled(text: str) -> str:
    """Return an expression for a text in which characters may be escaped, once or several times."""
    expression, before = "", ""
    for part in re.findall(r"\\+|\s+|[^\\\s]", text):
        spelled = _character(part)
        # A run of backslashes takes those of the escape behind it as well.
        expression += spelled.replace(r"\\{1,8}", r"\\{0,8}") if before.startswith("\\") else spelled
        before = part
    return expression


def _character(text: str) -> str:
    r"""Return the expression for one character, or for a run of ``\`` or white space."""
    if _UNCHANGED.fullmatch(text):
        return text
    if text.isspace():
        return r"(?:\s|\+|%(?:25){0,4}(?:20|0[9ADad])|&nbsp;|\\{1,8}[nrt]){1,16}+"
    if text[0] == "\\":
        run, escaped = len(text), f"(?:{_percent_encoded(text[0])}|&#(?:92|[xX]5[cC]);)"
        return rf"(?:\\{{{run},{8 * run}}}+|{escaped}{{{run}}})"
    spellings = [
        rf"\\{{0,8}}+{re.escape(text)}" if text in "\"'/" else re.escape(text),
        _percent_encoded(text),
        _entity(text),
        _in_utf16(text),
        _in_bytes(text),
        rf"\\{{1,8}}+x{_hexadecimal(f'{ord(text):02x}')}",
    ]
    if text in _ENTITIES:
        spellings.append(f"&(?:amp;){{0,4}}{_ENTITIES[text]};")
    return f"(?:{'|'.join(spellings)})"


_UNCHANGED = re.compile("[A-Za-z0-9_~]+")
_ENTITIES = {"&": "amp", "<": "lt", ">": "gt", '"': "quot", "'": "apos"}


def _percent_encoded(character: str) -> str:
    encoded = character.encode(errors="surrogatepass")
    return "".join(f"%(?:25){{0,4}}{_hexadecimal(f'{byte:02x}')}" for byte in encoded)


def _entity(character: str) -> str:
    code = ord(character)
    return rf"&(?:amp;){{0,4}}#(?:0{{0,6}}{code}|[xX]0{{0,6}}{_hexadecimal(f'{code:x}')});"


def _in_utf16(character: str) -> str:
    digits = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(rf"\\{{1,8}}+u{_hexadecimal(digits[at : at + 4])}" for at in range(0, len(digits), 4))


def _in_bytes(character: str) -> str:
    return "".join(rf"\\{{1,8}}+x{_hexadecimal(f'{byte:02x}')}" for byte in character.encode(errors="surrogatepass"))


#: Spellings in which every character is escaped, each by a text that is in it.
_ESCAPES = {"\\u": _in_utf16, "\\x": _in_bytes, "#": _entity}


def _hexadecimal(digits: str) -> str:
    return "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in digits)


_mask_known: _Mask = masked_by(())
_known: dict[str, None] = {}
_replaced: deque[str] = deque(maxlen=100)  #: a process may run for years
