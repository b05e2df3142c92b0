"""Masking of secrets in text that people read; pure."""

import re

MASK = "********"

_SECRET_NAME = re.compile(
    r"passw(or)?d|secret|token|credential|authorization|connection_?string"
    r"|(api|access|account|private|shared_?access|storage)_?-?key",
    re.IGNORECASE,
)
_IN_TEXT = (
    re.compile(r"(://[^\s/:@]*:)[^\s/]+(?=@)"),  # to the last @ before the path: passwords hold unescaped ones
    re.compile(r"(\b(?:bearer|basic)\s+)[\w.~+/-]{8,}=*", re.IGNORECASE),
    re.compile(
        r"(\b(?:\w*password|\w*secret|\w*token|\w*(?:access|account|api)_?key|sig)=)[^\s&;,'\"]+", re.IGNORECASE
    ),
)


def is_secret_name(name: str) -> bool:
    """Return whether a value of this name must never be shown."""
    return bool(_SECRET_NAME.search(name))


def mask_text(text: str) -> str:
    """Hide passwords in URLs, bearer tokens, and the keys of connection strings."""
    for pattern in _IN_TEXT:
        text = pattern.sub(rf"\g<1>{MASK}", text)
    return text
