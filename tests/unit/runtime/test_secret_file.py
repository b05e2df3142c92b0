"""A secret in a file changes with the file, however that is replaced, and stays when the file cannot be used."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from latigo.runtime.redaction import MASK, know, redact
from latigo.runtime.secret_file import FileSecret

LIMIT = 100


def mounted(folder: Path, text: str) -> Path:
    """A secret as the kubelet mounts one: a link to a file below a link to a folder, which is replaced."""
    for version in range(2):
        (folder / f"..{version}").mkdir()
    (folder / "..0" / "token").write_text(text, encoding="utf-8")
    (folder / "..data").symlink_to("..0")
    (folder / "token").symlink_to("..data/token")
    return folder / "token"


def replace_mounted(folder: Path, text: str) -> None:
    (folder / "..1" / "token").write_text(text, encoding="utf-8")
    (folder / "..new").symlink_to("..1")
    (folder / "..new").rename(folder / "..data")


def test_a_secret_that_the_kubelet_replaces_is_used_and_logged_without_its_text(tmp_path: Path) -> None:
    secret = FileSecret(mounted(tmp_path, "one\n"), LIMIT)
    before = secret.get_secret_value()

    with capture_logs() as logged:
        replace_mounted(tmp_path, "two\n")
        after = [secret.get_secret_value() for _ in range(3)]

    assert (before, after) == ("one", ["two"] * 3)
    assert logged == [{"event": "secret.replaced", "log_level": "info", "path": str(tmp_path / "token")}]


def test_a_secret_that_is_written_in_place_is_used(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("one", encoding="utf-8")
    secret = FileSecret(path, LIMIT)

    path.write_text("another", encoding="utf-8")

    assert secret.get_secret_value() == "another"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file or directory"),
        (b"", "is empty"),
        (b"\xff\xfe", "is not text in UTF-8"),
        (b"x" * 200, "is larger than 100 bytes"),
        (b"one\r\nX-Admin: yes", "has several lines now"),
    ],
)
def test_a_file_that_cannot_be_used_leaves_the_secret_and_is_logged_once(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    path = tmp_path / "token"
    path.write_text("one", encoding="utf-8")
    secret = FileSecret(path, LIMIT)

    with capture_logs() as logged:
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        during = [secret.get_secret_value() for _ in range(3)]
        path.write_text("two", encoding="utf-8")
        after = secret.get_secret_value()

    assert (during, after) == (["one"] * 3, "two")
    assert [(each["event"], each.get("reason")) for each in logged] == [
        ("secret.not_replaced", reason),
        ("secret.replaced", None),
    ]


def test_both_secrets_are_masked_after_a_change(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("first-secret", encoding="utf-8")
    secret = FileSecret(path, LIMIT)
    know([secret.get_secret_value()])

    path.write_text("second-secret", encoding="utf-8")
    secret.get_secret_value()

    assert redact("first-secret second-secret") == f"{MASK} {MASK}"


def test_a_secret_stays_the_same_key_of_a_mapping_and_never_shows(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("one", encoding="utf-8")
    secret = FileSecret(path, LIMIT)
    before = hash(secret)

    path.write_text("two", encoding="utf-8")

    assert secret.get_secret_value() == "two"
    assert hash(secret) == before
    assert secret == FileSecret(path, LIMIT)
    assert "two" not in f"{secret} {secret!r}"
