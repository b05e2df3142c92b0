"""Files in any encoding, and compressed ones."""

import gzip
import os
import threading
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latigo.domain.errors import ConfigurationError, PartlyDown
from latigo.providers.files import delimited, indexing, text
from latigo.providers.files.reading import FileChanged, InvalidFile, Stopped
from latigo.providers.files.text import Texts
from tests.support.sensor_files import clock, minutes, opened, settle, values, write

TAG = "Temperatur °C"


def rows(first: int, last: int) -> str:
    return "".join(f"{clock(n)},{n}\n" for n in range(first, last))


def content(
    path: Path, encoding: str = "utf-8", texts: Texts | None = None, stop: threading.Event | None = None
) -> str:
    """Return the whole text of a file."""
    with (texts or Texts()).opened(path, encoding) as file:
        got = file.text(stop)
        return got.read(got.size, 0).decode(got.encoding)


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of a few lines, so that small files have many."""
    monkeypatch.setattr(indexing, "MIN_BLOCK", 128)
    monkeypatch.setattr(delimited, "_MAX_READ", 256)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    ("encoding", "setting"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "cp1252"),
        ("cp1252", "windows-1252"),
        ("latin-1", "latin-1"),
        ("mac-roman", "mac-roman"),
        ("utf-16", "utf-8"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"),
        ("utf-32", "utf-8"),
        ("cp037", "cp037"),
        ("shift_jis", "shift_jis"),
    ],
)
async def test_a_file_may_have_any_encoding(tmp_path: Path, encoding: str, setting: str):
    tag = "温度" if encoding == "shift_jis" else TAG
    path = write(tmp_path / "a.csv", f"time,{tag}\n" + rows(0, 100), encoding=encoding)

    async with opened(tmp_path, encoding=setting) as sensors:
        assert await sensors.get_sensor_list() == [tag]
        assert await values(sensors, tag) == list(range(100))
        assert await values(sensors, tag, minutes(50, 60)) == list(range(50, 60))

        with path.open("ab") as file:  # as a logger does: without another mark
            file.write(
                rows(100, 110).encode(
                    encoding.replace("16", "16-le").replace("32", "32-le")
                    if encoding in {"utf-16", "utf-32"}
                    else encoding.removesuffix("-sig")
                )
            )
        assert await values(sensors, tag) == list(range(110))


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("suffix", [".csv.gz", ".tsv.gz", ".txt.GZ"])
async def test_a_file_may_be_compressed(tmp_path: Path, encoding: str, suffix: str):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(gzip.compress((f"time,{TAG}\n" + rows(0, 100)).encode(encoding)))

    async with opened(tmp_path) as sensors:
        assert await values(sensors, TAG, minutes(50, 60)) == list(range(50, 60))

        path.write_bytes(gzip.compress((f"time,{TAG}\n" + rows(40, 60)).encode(encoding)))
        assert await values(sensors, TAG) == list(range(40, 60))


async def test_compressed_data_may_have_several_members_and_be_padded(tmp_path: Path):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"time,A\n") + gzip.compress(rows(0, 5).encode()))
    async with opened(tmp_path) as sensors:
        assert await values(sensors) == [0, 1, 2, 3, 4]

        with path.open("ab") as file:
            file.write(gzip.compress(rows(5, 7).encode()) + b"\0" * 512)
        assert await values(sensors) == [0, 1, 2, 3, 4, 5, 6]


async def test_a_compressed_file_is_left_out_until_it_is_written_to_its_end(tmp_path: Path):
    write(tmp_path / "b.csv", f"time,B\n{clock(0)},1\n")
    path = tmp_path / "a.csv.gz"
    whole = gzip.compress(("time,A\n" + rows(0, 50)).encode())
    path.write_bytes(whole[:100])
    async with opened(tmp_path) as sensors:
        with pytest.raises(PartlyDown, match=r"a\.csv\.gz is incomplete: its compressed data has no end"):
            await values(sensors)

        path.write_bytes(whole)
        assert await values(sensors) == list(range(50))


@pytest.mark.parametrize("damage", ["content", "after"])
async def test_damaged_compressed_data_is_refused(tmp_path: Path, damage: str):
    whole = bytearray(gzip.compress(("time,A\n" + rows(0, 50)).encode()))
    if damage == "after":
        whole += b"and so on"
    else:
        whole[50:60] = b"\xff" * 10
    (tmp_path / "a.csv.gz").write_bytes(whole)

    with pytest.raises(ConfigurationError, match=r"a\.csv\.gz is damaged: "):
        async with opened(tmp_path):
            pass


@pytest.mark.parametrize("packed", [True, False])
def test_a_text_has_a_limit(tmp_path: Path, packed: bool):
    """A few bytes may unpack to more than there is room for."""
    path = tmp_path / "a.csv"
    path.write_bytes(gzip.compress(b"0" * 100_001) if packed else ("0" * 100_001).encode("utf-16"))
    texts = Texts(100_000)

    with pytest.raises(
        InvalidFile, match=r"a\.csv has more than 100000 bytes of text, the most that is unpacked or dec"
    ):
        content(path, texts=texts)

    assert texts._decoded == {}
    path.write_bytes(gzip.compress(b"0" * 100_000) if packed else ("0" * 100_000).encode("utf-16"))
    assert content(path, texts=texts) == "0" * 100_000


def test_only_so_many_texts_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(text, "_MOST_OPEN", 2)
    texts = Texts()
    paths = [write(tmp_path / f"{n}.csv", "time", encoding="utf-16") for n in range(4)]
    for path in paths:
        content(path, texts=texts)
    assert list(texts._decoded) == paths[2:]


def test_texts_have_a_limit_together(tmp_path: Path):
    texts = Texts(most_of_all=250)
    paths = [write(tmp_path / f"{n}.csv", str(n) * 100, encoding="utf-16") for n in range(4)]
    for path in (*paths[:3], paths[1]):
        content(path, texts=texts)
    assert list(texts._decoded) == [paths[2], paths[1]]  # two of 100 bytes, the one that was read last is last

    write(paths[3], "3" * 240, encoding="utf-16")
    content(paths[3], texts=texts)
    assert list(texts._decoded) == [paths[3]]
    assert content(paths[0], texts=texts) == "0" * 100


def test_nothing_is_left_of_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Neither a name nor an open file, once nobody reads them."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    path = write(tmp_path / "a.csv", "time", encoding="utf-16")
    before = open_files()
    texts = Texts(most_of_all=0)

    content(path, texts=texts)
    during = open_files()
    del texts

    assert list((tmp_path / "temporary").iterdir()) == []
    assert (during, open_files()) == (before + 1, before)


def test_what_a_log_in_utf_16_appends_is_decoded_and_only_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write(tmp_path / "a.csv", "é" * 10_000, encoding="utf-16")
    texts = Texts()
    content(path, texts=texts)
    decoded = 0
    pread = os.pread

    def reading(handle: int, size: int, offset: int) -> bytes:
        nonlocal decoded
        decoded += size
        return pread(handle, size, offset)

    more = "𝄞".encode("utf-16-le")
    with path.open("ab") as file:
        file.write(more[:3])  # in the middle of a character
    assert content(path, texts=texts) == "é" * 10_000
    with path.open("ab") as file:
        file.write(more[3:])
    with monkeypatch.context() as patch, texts.opened(path, "utf-8") as opened_file:
        patch.setattr(os, "pread", reading)
        size = opened_file.text().size

    assert size == 20_004
    assert decoded < 100
    assert content(path, texts=texts) == "é" * 10_000 + "𝄞"


@pytest.mark.parametrize(
    "after",
    ["b" * 100, "b" * 40 + "a" * 60, "b" * 200, "b" * 50],
    ids=["as long as before", "with the same end", "longer", "shorter"],
)
def test_a_file_that_is_replaced_is_decoded_anew(tmp_path: Path, after: str):
    path = write(tmp_path / "a.csv", "a" * 100, encoding="utf-16")
    texts = Texts()
    assert content(path, texts=texts) == "a" * 100

    settle(write(path, after, encoding="utf-16"))

    assert content(path, texts=texts) == after


def test_decoding_that_was_cancelled_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(text, "_CHUNK", 1000)
    whole = "".join(map(str, range(20_000)))
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(whole.encode("utf-16")))
    texts = Texts()
    stop, reads, pread = threading.Event(), 0, os.pread

    def stopping(handle: int, size: int, offset: int) -> bytes:
        nonlocal reads
        reads += 1
        if reads % 5 == 0:
            stop.set()
        return pread(handle, size, offset)

    monkeypatch.setattr(os, "pread", stopping)
    stopped = 0
    while True:
        try:
            got = content(path, texts=texts, stop=stop)
            break
        except Stopped:
            stopped += 1
            stop.clear()

    assert got == whole
    assert stopped > 3
    assert reads < 5 * path.stat().st_size / 1000


def test_a_file_that_is_cut_while_it_is_decoded_has_changed(tmp_path: Path):
    path = write(tmp_path / "a.csv", "a" * 100, encoding="utf-16")
    with Texts().opened(path, "utf-8") as file:
        write(path, "a" * 50, encoding="utf-16")
        with pytest.raises(FileChanged):
            file.text()


@given(
    whole=st.text("aé𝄞\n", max_size=50),
    encoding=st.sampled_from(["utf-16", "utf-16-be", "utf-32", "cp037", "shift_jis"]),
    packed=st.booleans(),
    chunk=st.integers(1, 20),
)
def test_a_text_is_the_same_in_chunks_of_any_size(
    tmp_path_factory: pytest.TempPathFactory, whole: str, encoding: str, packed: bool, chunk: int
):
    data = whole.encode(encoding, "replace")
    if len(data) < 4:  # too short to show its encoding, and for a row
        return
    path = tmp_path_factory.mktemp("text") / "a.csv"
    path.write_bytes(gzip.compress(data) if packed else data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "_CHUNK", chunk)
        assert content(path, encoding) == data.decode(encoding)


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8", "utf-16"])
async def test_cells_have_the_encoding_of_the_file(tmp_path: Path, encoding: str):
    write(tmp_path / "a.csv", f"tag,value,time\n{TAG},1,{clock(0)}\n{TAG},2,{clock(1)}\n", encoding=encoding)

    async with opened(tmp_path, layout="long", encoding="cp1252" if encoding == "cp1252" else "utf-8") as sensors:
        assert await sensors.get_sensor_list() == [TAG]
        assert await values(sensors, TAG) == [1, 2]


async def test_bytes_that_are_no_text_do_no_harm_where_nobody_reads_them(tmp_path: Path):
    write(tmp_path / "a.csv", f"time,A,remark\n{clock(0)},1,30 °C\n{clock(1)},2,ok\n", encoding="latin-1")
    odd = f"time,B,remark\n{clock(0)},1,".encode("utf-16") + b"\x00\xdc" + f"\n{clock(1)},2,ok\n".encode("utf-16-le")
    (tmp_path / "b.csv").write_bytes(odd)

    async with opened(tmp_path) as sensors:
        assert await values(sensors) == await values(sensors, "B") == [1, 2]


@pytest.mark.parametrize(
    ("encoding", "says"),
    [
        ("latin-1", r"sensors\.encoding: .*a\.csv: the header is not text in UTF-8: set the encoding, such as cp1252"),
        ("utf-16-le", r"sensors\.encoding: .*a\.csv.*set the encoding, such as \"utf-16-le\""),
        ("utf-16-be", r"sensors\.encoding: .*a\.csv.*set the encoding, such as \"utf-16-be\""),
    ],
)
async def test_a_header_in_another_encoding_names_the_setting(tmp_path: Path, encoding: str, says: str):
    write(tmp_path / "a.csv", f"time,{TAG}\n" + rows(0, 3), encoding=encoding)

    with pytest.raises(ConfigurationError, match=says):
        async with opened(tmp_path):
            pass


async def test_without_room_for_a_text_the_file_is_left_out_until_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write(tmp_path / "a.csv", "time,A\n" + rows(0, 3), encoding="utf-16")
    write(tmp_path / "b.csv", "time,B\n" + rows(0, 3))

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        async with opened(tmp_path / "b.csv"):
            patch.setattr(os, "pwrite", full)
        async with opened(tmp_path) as sensors:
            assert await values(sensors, "B") == [0, 1, 2]
            with pytest.raises(PartlyDown, match=r"a\.csv: .*No space left"):
                await values(sensors)
            patch.undo()
            assert await values(sensors) == [0, 1, 2]


def test_a_bomb_takes_no_more_memory_than_a_chunk(tmp_path: Path):
    """Compressed data is unpacked a limited part at a time."""
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    path = tmp_path / "a.csv.gz"
    path.write_bytes(b"".join(packer.compress(b"0" * 10**6) for _ in range(50)) + packer.flush())
    parts = list(text._Gzip(path).unpacked(path.read_bytes()))

    assert sum(map(len, parts)) == 50 * 10**6
    assert max(map(len, parts)) <= text._CHUNK
