"""The text of files, at any offset.

Blocks of a file are read by their offsets. That needs an encoding in which an ASCII character is one byte and such a
byte is nothing else, as in UTF-8, cp1252 or latin-1: line ends and separators are found in it, and a block is decoded
by itself. What is compressed, or in another encoding (UTF-16, UTF-32), is decoded into a temporary file, and that is
read instead. Temporary files have no name, so nothing is left of them, and together they have a bounded size: the one
that was read longest ago is closed, and made again when it is needed.
"""

import codecs
import os
import tempfile
import threading
import weakref
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from latigo.providers.files.reading import FileChanged, InvalidFile, Stopped

UTF_8 = "utf-8"
_GZIP = b"\x1f\x8b"
_MARKS = (  # longest first: that of UTF-16 begins that of UTF-32
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, UTF_8),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LONGEST_MARK = 4
_CHUNK = 64 * 1024
_MAX_TEXT = 1024**3  #: decoded bytes of one file
_MAX_TEXTS = 2 * 1024**3  #: of all temporary files that are kept open
_MOST_OPEN = 64  #: such files
_FINGERPRINT = 64  #: bytes before the end of what was decoded, which show that a file has grown and was not replaced


class Identity(NamedTuple):
    """Identity and extent of a file."""

    device: int
    inode: int
    size: int
    modified: int  #: ns

    @classmethod
    def of(cls, stat: os.stat_result) -> "Identity":
        return cls(stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class Text:
    """The text of an open file."""

    handle: int
    size: int
    encoding: str  #: in which ASCII characters are one byte each
    owner: object = None  #: keeps the handle open

    def read(self, size: int, offset: int) -> bytes:
        """Return bytes from an offset on; fewer at the end."""
        return os.pread(self.handle, size, offset)


class Texts:
    """The texts of files, and temporary files for those that have to be decoded. Safe to use from several threads.

    Args:
        most: bytes of one decoded text.
        most_of_all: bytes of the decoded texts that are kept.
    """

    def __init__(self, most: int = _MAX_TEXT, most_of_all: int = _MAX_TEXTS) -> None:
        self._most = most
        self._most_of_all = most_of_all
        self._lock = threading.Lock()
        self._decoded: OrderedDict[Path, _Decoded] = OrderedDict()

    @contextmanager
    def opened(self, path: Path, encoding: str) -> Iterator["OpenFile"]:
        """Open a file as it is now.

        Args:
            path: of the file.
            encoding: of a file that does not begin with a byte order mark.

        Raises:
            OSError: it cannot be read.
        """
        with path.open("rb", buffering=0) as file:
            yield OpenFile(self, path, encoding, file.fileno(), Identity.of(os.fstat(file.fileno())))

    def decoded(self, file: "OpenFile", stop: threading.Event, *, is_packed: bool) -> Text:
        """Decode a file; see `OpenFile.text`."""
        with self._lock:
            decoded = self._decoded.get(file.path)
        if decoded is None or not decoded.continues_in(file):
            decoded = _Decoded(file, is_packed=is_packed)
        with self._lock:
            self._decoded[file.path] = decoded
            self._decoded.move_to_end(file.path)
        try:
            decoded.advance(file, stop, self._most)
        except (InvalidFile, OSError):
            with self._lock:
                self._decoded.pop(file.path, None)
            raise
        if not decoded.is_complete:
            raise InvalidFile(f"{file.path} is incomplete: its compressed data has no end")
        self._close_others(file.path)
        return Text(decoded.handle, decoded.size, decoded.encoding, decoded)

    def _close_others(self, path: Path) -> None:
        """Forget the texts that were read longest ago; a read that still has one keeps it open."""
        with self._lock:
            size = sum(decoded.size for decoded in self._decoded.values())
            while (size > self._most_of_all or len(self._decoded) > _MOST_OPEN) and next(iter(self._decoded)) != path:
                size -= self._decoded.popitem(last=False)[1].size


@dataclass(frozen=True, slots=True)
class OpenFile:
    """An open file, whose text is decoded only when it is asked for."""

    texts: Texts
    path: Path
    encoding: str  #: if it does not begin with a byte order mark
    handle: int
    identity: Identity

    def text(self, stop: threading.Event | None = None) -> Text:
        """Return the text.

        Args:
            stop: cancels decoding; the next call continues.

        Raises:
            OSError: the file cannot be read, or the temporary one not be written.
            InvalidFile: it cannot be decoded, or is too large for that.
            Stopped: see ``stop``.
        """
        start = os.pread(self.handle, _LONGEST_MARK, 0)
        encoding = _marked(start) or self.encoding
        if not start.startswith(_GZIP) and _is_readable_at_offsets(encoding):
            return Text(self.handle, self.identity.size, encoding)
        return self.texts.decoded(self, stop or threading.Event(), is_packed=start.startswith(_GZIP))


class _Decoded:
    """A file that is decoded into a temporary one, as far as it has been written."""

    def __init__(self, file: OpenFile, *, is_packed: bool) -> None:
        self.handle, name = tempfile.mkstemp(prefix="latigo-")
        Path(name).unlink()
        weakref.finalize(self, os.close, self.handle)
        self.size = 0
        self.encoding = file.encoding  #: of the text
        self._path = file.path
        self._lock = threading.Lock()
        self._identity = file.identity
        self._offset = 0  #: bytes of the file that were decoded
        self._last = b""  #: of these
        self._gzip = _Gzip(file.path) if is_packed else None
        self._begun = b""  #: the first bytes, until they show the encoding
        self._decode: Callable[[bytes], bytes] | None = None

    @property
    def is_complete(self) -> bool:
        return self._gzip is None or self._gzip.is_complete

    def continues_in(self, file: OpenFile) -> bool:
        """Return whether the file is still the one that was decoded, or has grown since."""
        with self._lock:
            before, identity = self._identity, file.identity
            if identity[:2] != before[:2] or (identity != before and identity.size <= before.size):
                return False
            return os.pread(file.handle, len(self._last), self._offset - len(self._last)) == self._last

    def advance(self, file: OpenFile, stop: threading.Event, most: int) -> None:
        """Decode the rest of the file, to at most so many bytes; for the errors see `OpenFile.text`."""
        with self._lock:
            while self._offset < file.identity.size:
                if stop.is_set():
                    raise Stopped
                data = os.pread(file.handle, min(_CHUNK, file.identity.size - self._offset), self._offset)
                if not data:
                    raise FileChanged
                for part in self._gzip.unpacked(data) if self._gzip else (data,):
                    self._write(part, most)
                self._offset += len(data)
                self._last = (self._last + data)[-_FINGERPRINT:]
            self._identity = file.identity

    def _write(self, data: bytes, most: int) -> None:
        if self._decode is None:
            self._begun += data
            if len(self._begun) < _LONGEST_MARK:
                return
            data, self._begun = self._begun, b""
            self.encoding = _marked(data) or self.encoding
            self._decode = bytes
            if not _is_readable_at_offsets(self.encoding):
                self._decode, self.encoding = _to_utf_8(self.encoding), UTF_8
        try:
            data = self._decode(data)
        except UnicodeError as error:
            raise InvalidFile(f"{self._path} is not text in {self.encoding}: {error}", "encoding") from error
        if self.size + len(data) > most:
            raise InvalidFile(f"{self._path} has more than {most} bytes of text, the most that is unpacked or decoded")
        while data:
            written = os.pwrite(self.handle, data, self.size)
            self.size, data = self.size + written, data[written:]


class _Gzip:
    """Compressed data in one or several members."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._member: Any = None

    @property
    def is_complete(self) -> bool:
        return self._member is None

    def unpacked(self, data: bytes) -> Iterator[bytes]:
        """Yield the content of the next part of the file, a limited part at a time."""
        try:
            while data:
                if self._member is None:
                    if not (data := data.lstrip(b"\0")):  # some programs fill up the last sector
                        return
                    self._member = zlib.decompressobj(zlib.MAX_WBITS | 16)
                yield self._member.decompress(data, _CHUNK)
                data = self._member.unconsumed_tail or self._member.unused_data
                if self._member.eof:
                    self._member = None
        except zlib.error as error:
            raise InvalidFile(f"{self._path} is damaged: {error}") from error


def _to_utf_8(encoding: str) -> Callable[[bytes], bytes]:
    """Return a function that decodes one part of a text after another. What is no text becomes U+FFFD."""
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    return lambda data: decoder.decode(data).encode(errors="replace")


def _marked(start: bytes) -> str | None:
    """Return the encoding that the byte order mark shows, if there is one."""
    return next((encoding for mark, encoding in _MARKS if start.startswith(mark)), None)


@lru_cache(maxsize=16)
def _is_readable_at_offsets(encoding: str) -> bool:
    """Return whether an ASCII character is one byte, and that byte nothing else, wherever it stands."""
    if encoding == UTF_8:
        return True
    try:
        characters = bytes(range(128))
        return characters.decode(encoding) == characters.decode("ascii") and all(
            bytes((byte, after)).decode(encoding, "replace").endswith(chr(after))
            for byte in range(128, 256)
            for after in range(128)
        )
    except UnicodeError:
        return False
