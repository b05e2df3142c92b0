"""Types of values in settings: how each is written, and what is refused."""

import codecs
import re
from collections.abc import Collection, Mapping
from datetime import timedelta
from ipaddress import IPv6Address
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from latigo.runtime.secret_file import FileSecret
from latigo.runtime.time_formats import EXCEL, TimeFormat
from latigo.runtime.units import parse_duration

_LARGEST_SECRET = 64 * 1024
_LONGEST_URL = 8192
_HOST = r"(\[[0-9A-Fa-f:.%]+\]|[^\[:,@/?#]+)(:[0-9]*)?"
_OPTION = r"[^=&#]+=[^&#]*"
_PROJECT = re.compile(r"[^/\x00-\x1f\x7f\ud800-\udfff]+")
_HOST_NAME = re.compile(r"\*|[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?")
_BASE_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+/?")
_ORIGIN = re.compile(r"'self'|https?://(\*\.)?[A-Za-z0-9_.-]+(:([0-9]{1,5}|\*))?")
_UNFIT_FOR_HEADERS = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_NO_INFLUX_NAME = re.compile(r"[\0\r\ud800-\udfff]")
#: Pattern of the names of sources and sinks, which are parts of the names of circuits.
SYSTEM_NAME = r"^[a-z0-9][a-z0-9_.:-]*$"
_POSTGRES_URL = re.compile(
    rf"\w+://([^@/?#]*@)?({_HOST}(,{_HOST})*)?(/[^?#]*)?(\?({_OPTION}(&{_OPTION})*)?)?", re.ASCII
)


def _duration(value: object) -> object:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        raise ValueError('should be text with a unit, such as "30m"')  # noqa: TRY004 - pydantic collects ValueError only
    return parse_duration(value)


def _names(value: object) -> object:
    """Split text at commas: environment variables are written by hand."""
    if isinstance(value, str):
        return tuple(name for part in value.split(",") if (name := part.strip()))
    return value


def _one_or_more(value: object) -> object:
    """Take a single value for a list of one."""
    return value if isinstance(value, list | tuple) else (value,)


def _columns(value: object) -> object:
    """Split text at commas, as in a header; an empty name has its place too."""
    return tuple(name.strip() for name in value.split(",")) if isinstance(value, str) and value else value


def _marker(value: object) -> object:
    """Return the text of a number: 192 and 192.0 are the same as "192"."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value).removesuffix(".0") if isinstance(value, int | float) else value


def one_line(text: str) -> str:
    """Refuse line ends."""
    if "\r" in text or "\n" in text:
        raise ValueError("should be part of one line")
    return _text(text)


def text_encoding(name: str) -> str:
    """Refuse what is not an encoding of text, and return its usual name."""
    try:
        encoding = codecs.lookup(name)
        "a".encode(encoding.name)
    except (LookupError, ValueError, TypeError):
        raise ValueError('is not an encoding such as "utf-8", "cp1252" or "utf-16-le"') from None
    return encoding.name


def _glob(pattern: str) -> str:
    if "/" not in pattern and "*" not in pattern:
        raise ValueError(f'matches no model: a model is project/name, so write "{pattern}/*" for a project')
    return pattern


def _http_url(url: str) -> str:
    """Refuse credentials in a URL: it is logged, shown and passed on as plain text."""
    if len(url) > _LONGEST_URL:
        raise ValueError(f"is longer than {_LONGEST_URL} characters")
    try:
        parts = urlsplit(url)
        host, credentials, _ = parts.hostname, parts.username or parts.password, parts.port
        (host or "").encode("idna")  # a part of the name may be empty or too long
    except ValueError:
        raise ValueError("is not a URL") from None  # the cause quotes the URL, credentials and all
    if credentials:
        raise ValueError("contains credentials, which belong in a secret key (token or headers)")
    if parts.scheme not in {"http", "https"} or not host or parts.query or parts.fragment:
        raise ValueError('should be a URL such as "http://host:port", without query and fragment')
    return url.rstrip("/")


def _text(value: str) -> str:
    """Refuse what no system takes as text."""
    if "\0" in value:
        raise ValueError("holds a NUL character")
    return value


def _project(name: str) -> str:
    """Refuses what cannot be one part of a path, or text in a database."""
    if not _PROJECT.fullmatch(name) or name in {".", ".."}:
        raise ValueError(f"{name!r} is not a valid project name")
    return name


def influx_name(name: str) -> str:
    """Refuses what no database, measurement, tag or field of InfluxDB can be called."""
    if _NO_INFLUX_NAME.search(name):
        raise ValueError(f"nothing in InfluxDB can have the name {name!r}")
    return name


def _home(path: object) -> object:
    if isinstance(path, str) and "\0" in path:
        raise ValueError("can be no path: it holds a NUL character")
    try:
        return Path(path).expanduser() if isinstance(path, str | Path) else path
    except RuntimeError:
        raise ValueError("starts with ~, but there is no home directory") from None


def time_zone(name: str) -> str:
    """Refuse what is not a time zone."""
    try:
        ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise ValueError('is not a time zone such as "UTC" or "Europe/Oslo"') from None
    return name


def _time_format(text: str) -> str:
    """Refuse what is no format of a whole time."""
    if text != EXCEL:
        TimeFormat.of(text)
    return text


def _separator(character: str) -> str:
    if character in '"\r\n':
        raise ValueError("should be neither a quote nor a line end")
    return character


class _SecretFile(NamedTuple):
    """Placeholder of a secret until its own field reads it, so that an error names the right key."""

    path: object
    also_given: bool

    def open(self) -> FileSecret:
        if self.also_given:
            raise ValueError("is set, and so is its _file: keep one of them")
        if not isinstance(self.path, str):
            raise ValueError("its _file should be the path of a file")  # noqa: TRY004 - pydantic collects ValueError only
        try:
            return FileSecret(Path(self.path).expanduser(), _LARGEST_SECRET)
        except (OSError, RuntimeError) as error:
            raise ValueError(f"{self.path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
        except ValueError as error:
            raise ValueError(f"{self.path} {error}") from None


def _secret(value: object) -> object:
    if isinstance(value, _SecretFile):
        return value.open()
    if isinstance(value, str) and not value.strip():
        raise ValueError("is empty")  # an empty token would let everybody in
    if isinstance(value, str) and len(value) > _LARGEST_SECRET:
        raise ValueError(f"is longer than {_LARGEST_SECRET} characters")
    return value


def point_to_files(given: Mapping[Any, Any], names: Collection[str]) -> dict[Any, Any]:
    """Move each ``X_file`` to ``X``, as a file still to be read."""
    values = dict(given)
    for name in names:
        if (path := values.pop(f"{name}_file", None)) is not None:
            values[name] = _SecretFile(path, also_given=name in values)
    return values


def header_text(text: str) -> str:
    """Refuse what no header can hold, such as the line end of a variable that was read from a file."""
    if _UNFIT_FOR_HEADERS.search(text):
        raise ValueError("must not hold control characters")
    return text


def _header_secret(secret: SecretStr) -> SecretStr:
    header_text(secret.get_secret_value())
    return secret


def _header_name(name: str) -> str:
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError(f"is no name of a header: {name[:100]!r}")
    return name


def _headers(headers: Mapping[str, SecretStr]) -> Mapping[str, SecretStr]:
    """Refuse two names that are one: the server would get both values."""
    names: dict[str, str] = {}
    for name in headers:
        if (same := names.setdefault(name.lower(), name)) != name:
            raise ValueError(f"{same} and {name} are the same header: keep one of them")
    return headers


def _secret_table(value: object) -> object:
    if not isinstance(value, Mapping):
        return value
    names = [key.removesuffix("_file") for key in value if isinstance(key, str) and key.endswith("_file")]
    return point_to_files(value, names)


def postgres_url(secret: SecretStr) -> SecretStr:
    """Refuse what asyncpg does not accept as a URL."""
    url = secret.get_secret_value()
    if not re.match(r"postgres(ql)?://", url):
        raise ValueError("should begin with postgresql://")
    if not _POSTGRES_URL.fullmatch(url):  # not quoted: it may hold a password
        raise ValueError('should be as "postgresql://user@host:5432/database"; special characters are written as %40')
    return secret


def _is_ipv6(text: str) -> bool:
    try:
        return bool(IPv6Address(text[1:-1] if text[:1] + text[-1:] == "[]" else text))
    except ValueError:
        return False


def _host_name(name: str) -> str:
    if not _HOST_NAME.fullmatch(name) and not _is_ipv6(name):
        raise ValueError(f'should be "*", or a name or address such as "latigo.example.com", not {name[:100]!r}')
    return name


def _base_path(path: str) -> str:
    if path in {"", "/"}:
        return ""
    if not _BASE_PATH.fullmatch(path):
        raise ValueError('should be a path such as "/latigo"')
    return path.rstrip("/")


def _origin(origin: str) -> str:
    """Refuse what would be more than one source in a Content-Security-Policy."""
    if not _ORIGIN.fullmatch(origin):
        raise ValueError(f'should be an origin such as "https://grafana.example.com", not {origin[:100]!r}')
    return origin


def _url_template(template: str) -> str:
    if not re.match(r"https?://[^/]", template) or len(template) > _LONGEST_URL:
        raise ValueError("should be an address that begins with http:// or https://")
    if unknown := set(re.findall(r"\{(.*?)\}", template)) - {"project", "model", "from", "to"}:
        raise ValueError(f"fills in {{project}}, {{model}}, {{from}} and {{to}}, and no {{{min(unknown)}}}")
    return one_line(template)


Duration = Annotated[timedelta, BeforeValidator(_duration), Field(ge=timedelta(0))]
Positive = Annotated[timedelta, BeforeValidator(_duration), Field(gt=timedelta(0))]
SweepAge = Annotated[timedelta, BeforeValidator(_duration), Field(gt=timedelta(0), le=timedelta(days=7))]
Interval = Annotated[timedelta, BeforeValidator(_duration), Field(gt=timedelta(0), le=timedelta(days=1))]
_NotEmpty = Annotated[str, Field(min_length=1)]
Text = Annotated[_NotEmpty, AfterValidator(_text)]
Texts = Annotated[tuple[Text, ...], Field(max_length=100), BeforeValidator(_one_or_more)]
TimeFormats = Annotated[
    tuple[Annotated[Text, AfterValidator(_time_format)], ...], Field(max_length=20), BeforeValidator(_one_or_more)
]
Columns = Annotated[
    tuple[Annotated[str, AfterValidator(one_line)], ...], Field(max_length=200_000), BeforeValidator(_columns)
]
Markers = Annotated[
    tuple[Annotated[str, BeforeValidator(_marker)], ...], Field(max_length=1000), BeforeValidator(_one_or_more)
]
Separator = Annotated[str, Field(min_length=1, max_length=1), AfterValidator(_separator)]
Project = Annotated[_NotEmpty, AfterValidator(_project)]
Projects = Annotated[tuple[Project, ...], BeforeValidator(_names)]
InfluxName = Annotated[_NotEmpty, AfterValidator(influx_name)]
InfluxText = Annotated[str, AfterValidator(influx_name)]
Glob = Annotated[Text, AfterValidator(_glob)]
TagPatterns = Annotated[tuple[Text, ...], Field(max_length=10_000), BeforeValidator(_one_or_more)]
HostName = Annotated[Text, AfterValidator(_host_name)]
HostNames = Annotated[tuple[HostName, ...], Field(min_length=1), BeforeValidator(_names)]
BasePath = Annotated[str, Field(max_length=200), AfterValidator(_base_path)]
#: Of who has a token: as it is recorded with every action.
TokenName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}$")]
Origins = Annotated[tuple[Annotated[Text, AfterValidator(_origin)], ...], Field(max_length=20), BeforeValidator(_names)]
TimeZoneName = Annotated[Text, AfterValidator(time_zone)]
UrlTemplate = Annotated[Text, AfterValidator(_url_template)]
Globs = Annotated[tuple[Glob, ...], BeforeValidator(_names)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
HttpUrls = Annotated[tuple[HttpUrl, ...], Field(min_length=1, max_length=1000), BeforeValidator(_names)]
PathName = Annotated[Path, BeforeValidator(_home)]
Secret = Annotated[SecretStr, BeforeValidator(_secret)]
Secrets = Annotated[dict[str, Secret], BeforeValidator(_secret_table)]
HeaderSecret = Annotated[Secret, AfterValidator(_header_secret)]
Headers = Annotated[
    dict[Annotated[str, AfterValidator(_header_name)], HeaderSecret],
    BeforeValidator(_secret_table),
    AfterValidator(_headers),
]
#: A factory, or the name of an entry point: other names do not come this far, since they are no kind.
PluginKind = Annotated[str, Field(pattern=r"^(python:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*|[\w.-]+)$")]
