"""The words that readers meet: Latigo's own terms stand in docs/concepts.md, all others are the field's."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.support.sources import syntax

ROOT = Path(__file__).parents[2]

#: What nobody in the field says, and what is said instead.
DIALECT = {
    r"\b(?:is|are|was|were|be|goes|go) away\b": "unavailable, unreachable",
    r"\bstand-?ins?\b": "sandbox",
    r"\bnot as wanted\b": "needs attention",
    r"\bwho(?:m|so)?ever\b": "the noun itself",
    r"\b(?:told|foretold)\b": "reported, logged",
    r"\b(?:give|gives|given|gave|giving) up\b": "expire, discard, close",
    r"\b(?:look|looks|looked|looking) at again\b|\blooked at\b|\bnext look\b": "recheck, retry",
    r"\b(?:bring|brings|brought) up to date\b|\bbrought up\b": "upgrade, migrate",
    r"\b(?:believe[sd]?|doubt(?:s|ed)?)\b": "accept, quarantine",
    r"\blonely\b": "isolated start",
    r"\bbeside\b": "next to, with",
    r"\bbecause=": "error, reason",
    r"\bonly begun\b|\bhas just begun\b": "started",
    r"\bmade anew\b|\bmake(?:s)? anew\b": "created again, recreated",
    r"\bturned down\b": "rejected",
    r"\bpass(?:es|ed)? over\b": "skip",
    r"\bsigns? off\b": "deregister",
    r"\bleft alone\b": "held, not called",
    r"\bhand to hand\b": "unbuffered channel",
}
PATTERN = re.compile("|".join(f"({pattern})" for pattern in DIALECT), re.IGNORECASE)
PAGES = sorted(
    path
    for path in (
        *ROOT.glob("*.md"),
        ROOT / "Makefile",
        ROOT / "config.example.toml",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "deploy").rglob("*.*"),
    )
    if path.is_file()
)
#: Names in a page are quoted, also those that something had before.
CODE_SPAN = re.compile(r"`[^`\n]+`")


def dialect_in(text: str) -> list[str]:
    """The phrases of a text that belong to the dialect, each with what to write instead."""
    better = list(DIALECT.values())
    return [
        f"{match[0]!r}: rather {better[(match.lastindex or 1) - 1]}"
        for match in PATTERN.finditer(" ".join(text.split()))
    ]


def texts_of(module: ast.Module) -> Iterator[tuple[int, str]]:
    """The texts of a module with their lines: docstrings, messages and help texts are among them."""
    for node in ast.walk(module):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.lineno, node.value


def test_pages_need_no_dictionary() -> None:
    assert [
        f"{page.relative_to(ROOT)}: {phrase}"
        for page in PAGES
        for phrase in dialect_in(CODE_SPAN.sub("", page.read_text(encoding="utf-8")))
    ] == []


def test_texts_of_the_program_need_no_dictionary() -> None:
    assert [
        f"{file.relative_to(ROOT)}:{line}: {phrase}"
        for file, module in syntax().items()
        for line, text in texts_of(module)
        for phrase in dialect_in(text)
    ] == []


def test_the_dialect_is_recognised() -> None:
    assert dialect_in("Waits while Gordo\nis away, and whoever asked is told") == [
        "'is away': rather unavailable, unreachable",
        "'whoever': rather the noun itself",
        "'told': rather reported, logged",
    ]


def test_plain_words_that_are_like_the_dialect_are_allowed() -> None:
    assert (
        dialect_in("Take the time away. It gives the range up to now, besides the besieged. Look at the log again.")
        == []
    )
