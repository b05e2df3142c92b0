"""Secrets that the process knows, in the spellings in which peers return them."""

import base64
import html
import json
import string
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latigo.domain.errors import LatigoError
from latigo.runtime.redaction import MASK, excerpt, know, masked_by, redact, redact_within


def json_escape(character: str) -> str:
    """JSON's escape of a character, of two parts beyond the first 65 536."""
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place]:02x}{units[place + 1]:02x}" for place in range(0, len(units), 2))


ODD = 'tok/en+with="odd"&chars\\and é<>\'%41'

SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "percent": quote,
    "percent, all": lambda text: quote(text, safe=""),
    "form": quote_plus,
    "percent, twice": lambda text: quote(quote(text, safe=""), safe=""),
    "percent, each byte": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "json": lambda text: json.dumps(text)[1:-1],
    "json, unicode": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "json, twice": lambda text: json.dumps(json.dumps(text)[1:-1])[1:-1],
    "json, slashes": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "repr": lambda text: repr(text)[1:-1],
    "repr of bytes": lambda text: repr(text.encode())[2:-1],
    "json, each character": lambda text: "".join(map(json_escape, text)),
    "html, each character": lambda text: "".join(f"&#x{ord(character):X};" for character in text),
    "bytes, each": lambda text: "".join(f"\\x{byte:02x}" for byte in text.encode()),
    "hexadecimal": lambda text: text.encode().hex(),
    "upper case": str.upper,
    "html": html.escape,
    "html, twice": lambda text: html.escape(html.escape(text)),
}


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
def test_a_secret_is_masked_in_every_spelling(spell: Callable[[str], str]) -> None:
    assert masked_by([ODD])(f"a {spell(ODD)} b") == f"a {MASK} b"


@pytest.mark.parametrize("secret", ["0000\\ß", "0000\\\\中x", "abcd\\😀", "abcd\\ efg", "abcd\\\nef"])
@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
def test_a_secret_is_masked_where_an_escape_follows_a_backslash(secret: str, spell: Callable[[str], str]) -> None:
    assert spell(secret) not in masked_by([secret])(f"a {spell(secret)} b")


@pytest.mark.parametrize("end", ["\n", "\r\n\t", "\\n", "\\r\\n "])
def test_a_secret_is_masked_where_lines_are_wrapped(end: str) -> None:
    for secret in ("hunter2-x", "abcDEF0123456789xyzQabcDEF0123456789", "tok/en+with=odd&chars%41"):
        mask = masked_by([secret])
        for at in range(2, len(secret) - 1):
            assert mask(f"1\n2 {secret[:at]}{end}{secret[at:]} 3\n4") == f"1\n2 {MASK} 3\n4"
        wrapped = base64.encodebytes(b"x" * 40 + secret.encode() + b"y" * 9).decode()
        assert MASK in mask(wrapped)


def test_what_is_wrapped_elsewhere_stays_as_it_is() -> None:
    text = "1\n  hunter2-x\r\n3 \\n 4\n\nhunter2-x\n"

    assert masked_by(["hunter2-x"])(text) == text.replace("hunter2-x", MASK)


def test_what_is_redacted_can_be_written_in_utf_8() -> None:
    assert redact("a \ud800 b") == "a \\ud800 b"


@given(
    secret=st.text(st.sampled_from(string.printable[:94] + "éß中😀"), min_size=6, max_size=40),
    spell=st.sampled_from(list(SPELLINGS.values())),
    before=st.text(st.sampled_from("\"'{}:, xyz"), max_size=5),
)
def test_whatever_a_secret_is_made_of_no_spelling_of_it_stays(
    secret: str, spell: Callable[[str], str], before: str
) -> None:
    masked = masked_by([secret])(f"{before}{spell(secret)}")

    assert MASK in masked
    assert spell(secret) not in masked


@given(secret=st.binary(min_size=4, max_size=30), before=st.binary(max_size=7), after=st.binary(max_size=4))
def test_a_secret_inside_of_base64_is_masked(secret: bytes, before: bytes, after: bytes) -> None:
    text = secret.decode("latin-1")
    hidden = before + text.encode() + after
    mask = masked_by([text])
    if not text.strip() or text != text.strip():
        return

    for encoded in (base64.b64encode(hidden).decode(), base64.urlsafe_b64encode(hidden).decode()):
        assert MASK in mask(f"Basic {encoded};")
        assert encoded.rstrip("=") not in mask(f"Basic {encoded};")


@pytest.mark.parametrize(
    ("secret", "part"),
    [
        ("postgresql://me:p%40ss-w0rd@host/db", "p%40ss-w0rd"),
        ("postgresql://me:p%40ss-w0rd@host/db", "p@ss-w0rd"),
        ("postgresql://host/db?user=me&password=pa%2Bss1", "pa+ss1"),
        ("Endpoint=sb://x/;SharedAccessKeyName=Root;SharedAccessKey=kK1+/kK2=;EntityPath=q", "kK1+/kK2="),
        ("Endpoint=sb://x/;SharedAccessSignature=SharedAccessSignature sr=x&sig=aB%2Bc1d&se=9&skn=Root", "aB+c1d"),
        ("Bearer abcdef-123456", "abcdef-123456"),
        (f"Basic {base64.b64encode(b'me:sesame9').decode()}", "sesame9"),
        ("theme=dark; sessionid=0123456789abcdef", "0123456789abcdef"),
    ],
)
def test_the_parts_of_a_secret_are_secret(secret: str, part: str) -> None:
    assert masked_by([secret])(f"refused <{part}>") == f"refused <{MASK}>"


@pytest.mark.parametrize("word", ["Root", "host", "sb://x/", "me", "dark"])
def test_what_is_not_secret_in_them_stays(word: str) -> None:
    secrets = (
        "postgresql://me:p%40ss-w0rd@host/db",
        "Endpoint=sb://x/;SharedAccessKeyName=Root;SharedAccessKey=kK1+/kK2=;EntityPath=q",
        "theme=dark; sessionid=0123456789abcdef",
    )
    assert masked_by(secrets)(f"a {word} b") == f"a {word} b"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("pw42", MASK),
        ("password=pw42&x", f"password={MASK}&x"),
        ('{"p":"pw42"}', f'{{"p":"{MASK}"}}'),
        ("p%3Dpw42%26", f"p%3D{MASK}%26"),
        ("a\\npw42", f"a\\n{MASK}"),
        ("xpw42", "xpw42"),
        ("pw42x", "pw42x"),
    ],
)
def test_a_short_secret_is_masked_where_it_stands_alone(text: str, masked: str) -> None:
    assert masked_by(["pw42"])(text) == masked


def test_of_two_secrets_the_longer_one_is_masked_whole() -> None:
    assert masked_by(["abcdef", "abcdef-ghijkl"])("abcdef-ghijkl abcdef") == f"{MASK} {MASK}"


def test_a_secret_that_a_peer_cut_in_its_second_half_is_masked() -> None:
    mask = masked_by(["0123456789-abcdefghij"])

    assert mask("error: 0123456789-abc...") == f"error: {MASK}"


def test_a_long_secret_is_masked_in_all_of_its_parts() -> None:
    secret = "".join(f"line {number} of a key\n" for number in range(2_000))

    masked = masked_by([secret])(f"a {secret.strip()} b")

    assert not [number for number in range(2_000) if f"line {number} of" in masked]


@pytest.mark.parametrize("most", range(0, 60, 3))
def test_an_excerpt_holds_no_part_of_a_secret_wherever_it_is_cut(most: int) -> None:
    know([ODD])

    for before in (0, 7, 20):
        text = "-" * before + quote(ODD, safe="") + "-" * 20_000
        shown = excerpt(text, most)
        assert shown == ("-" * before + MASK + "-" * 60)[:most]


def test_an_excerpt_of_many_secrets_holds_no_part_of_one() -> None:
    know(["0123456789abcdef"])

    shown = excerpt("0123456789abcdef " * 10_000, 3_000)

    assert set(shown.replace(MASK, "").replace(" ", "")) <= {"*"}
    assert MASK in shown


def test_an_error_has_no_secret_in_its_message() -> None:
    know([ODD])

    error = LatigoError(f"status 500, {json.dumps({'authorization': ODD})}")

    assert str(error) == f'status 500, {{"authorization": "{MASK}"}}'


def test_what_the_process_knows_is_replaced_and_not_added_to() -> None:
    know(["first-secret"])
    know(["second-secret"])

    assert redact("first-secret second-secret") == f"first-secret {MASK}"


@pytest.mark.parametrize(
    "text",
    [
        '{"Authorization": "Token abc-def"}',
        'x\\"authorization\\": \\"abc-def\\"',
        "authorization: abc-def",
    ],
)
def test_what_stands_in_an_authorization_header_is_masked_without_being_known(text: str) -> None:
    assert "abc-def" not in redact(text)


def test_a_json_web_token_is_masked_without_being_known() -> None:
    assert redact("no eyJhbGciOiJI.eyJzdWIiOiIx.c2ln-x here") == f"no {MASK} here"


def test_a_document_is_redacted_at_every_depth() -> None:
    know(["first-secret"])

    assert redact_within({"a": [1, None, {"first-secret": "x first-secret"}]}) == {"a": [1, None, {MASK: f"x {MASK}"}]}
    assert redact_within([[["first-secret"]]], deepest=2) == [[MASK]]
