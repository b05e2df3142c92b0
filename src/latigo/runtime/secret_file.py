"""A secret that stands in a file, and changes with it."""

import os
import re
from pathlib import Path

from pydantic import SecretStr

from latigo.runtime.files import read_limited
from latigo.runtime.log import get_logger
from latigo.runtime.redaction import also_know

_log = get_logger(__name__)
_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")


def read_secret(path: Path, limit: int) -> str:
    """Return the text of a file, without the white space around it.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no regular file, is too large or empty, or is not text in UTF-8.
    """
    content = read_limited(path, limit)
    try:
        text = content.decode().strip()
    except UnicodeDecodeError:
        raise ValueError("is not text in UTF-8") from None
    if not text:
        raise ValueError("is empty")
    return text


class FileSecret(SecretStr):
    """A secret in a file. `get_secret_value` reads the file again when it has changed, which costs a ``stat``.

    So those who ask when they use it, for a request, a login or a connection, need no restart. A file that cannot be
    used, such as one that is just being replaced, leaves the secret as it was.

    Args:
        path: of the file.
        limit: its largest size, in bytes.

    Raises:
        OSError: the file cannot be read.
        ValueError: it cannot be used.
    """

    def __init__(self, path: Path, limit: int) -> None:
        self._path, self._limit = path, limit
        self._seen = _signature(path)
        super().__init__(read_secret(path, limit))

    def get_secret_value(self) -> str:
        """Return the text that is in the file, or was when it could be used last."""
        if (seen := _signature(self._path)) != self._seen:
            self._seen = seen
            self._read_again()
        return self._secret_value

    def _read_again(self) -> None:
        try:
            text = read_secret(self._path, self._limit)
            if _CONTROL_CHARACTER.search(text) and not _CONTROL_CHARACTER.search(self._secret_value):
                raise ValueError("has several lines now")  # noqa: TRY301 - as what cannot be read
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            _log.warning("secret.not_replaced", path=str(self._path), reason=reason)
            return
        if text != self._secret_value:
            also_know(text)
            self._secret_value = text
            _log.info("secret.replaced", path=str(self._path))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FileSecret) and other._path == self._path

    def __hash__(self) -> int:
        return hash(self._path)  # which stays, unlike the text


def _signature(path: Path) -> tuple[int, ...] | None:
    """Return what changes when a file is written or replaced; None: it is not there."""
    try:
        found = os.stat(path)  # noqa: PTH116 - the fastest, before each use
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size
