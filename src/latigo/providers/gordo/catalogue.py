"""Models of a Gordo server, and their metadata.

The package's docstring lists the meaning of each status code.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from latigo.domain.errors import Failed, LatigoError, NotThere, Reason, Rejected, RevisionGone, TooLarge, Unavailable
from latigo.domain.model import ModelRef, ModelSpec, ModelStatus
from latigo.providers.gordo.client import GordoClient, downstream_of
from latigo.providers.gordo.metadata import model_spec
from latigo.providers.gordo.responses import Response, accepted, document, foreign
from latigo.providers.protocols import ProjectModels
from latigo.runtime.documents import DocumentTooLarge
from latigo.runtime.log import get_logger
from latigo.runtime.off_loop import LARGE_DOCUMENT, in_order, off_loop
from latigo.runtime.redaction import redact_within, shown

_log = get_logger(__name__)

#: Lists and metadata at a time, over all projects: Gordo answers them with the threads that predict.
_CONCURRENT_READS = 8
#: How often the models of the latest revision are asked for: another process of the server may not have it yet.
_TRIES_OF_LATEST = 3
_MANY_NAMES = 5_000  #: in one list; sorting them takes several milliseconds
#: Names that Gordo accepts; it lists every directory and stray file, hidden ones and half-built models as well, and
#: of names that are not UTF-8 it makes lone surrogates, which cannot be sent or stored.
_USABLE_NAME = re.compile(r"[A-Za-z0-9-][^/\x00-\x1f\x7f\ud800-\udfff]{0,254}")
_REVISION = re.compile(r"[0-9]{1,32}")


class Listing(NamedTuple):
    """Every model that a project has in its newest revision, sorted, as far as its name can be used."""

    revision: str
    models: tuple[str, ...]


class _Metadata(NamedTuple):
    """Metadata of a model, and the bytes that it was sent in."""

    document: Mapping[str, Any]
    size: int


class GordoCatalogue:
    """Lists, revisions and metadata of a Gordo server: a `ModelInformationProvider`.

    Args:
        client: the open session.
        server: the one of `Servers.names` that is asked; any that answers by default.
    """

    def __init__(self, client: GordoClient, server: str = "") -> None:
        self._client = client
        self._server = server
        self._reads = asyncio.Semaphore(_CONCURRENT_READS)

    async def get_model_list(self, projects: Sequence[str]) -> Sequence[ProjectModels]:
        """Return all models of these projects in their newest revision; sorted, one entry a project."""
        return await asyncio.gather(*map(self._project, projects))

    async def servers(self) -> Mapping[str, "GordoCatalogue"]:
        """Return what each of several servers has, by the name of its circuit; nothing where there is a single one."""
        return {name: GordoCatalogue(self._client, name) for name in await self._client.servers.found()}

    async def ping(self, project: str) -> str:
        """Read the newest list of a project."""
        listing = await self._listing(project)
        return f"revision {listing.revision}, {len(listing.models)} models"

    async def model_exists(self, name: ModelRef) -> bool:
        """Return whether the server has the model in its newest revision.

        Raises:
            Unavailable, TimedOut: there is no response.
        """
        return name.name in (await self._listing(name.project)).models

    async def get_model_spec(self, name: ModelRef, revision: str) -> ModelSpec:
        """Return what a task needs to know of the model, from its metadata.

        Raises:
            Rejected: ``MODEL_GONE``, or ``BAD_METADATA`` naming the key.
            RevisionGone: the server does not have this revision.
            Failed: the model is listed, but cannot be read yet.
            Unavailable, TimedOut: there is no response.
        """
        return await self._spec(await self._metadata(name, revision), name, revision)

    async def describe(self, name: ModelRef) -> ModelStatus:
        """Return what the server has of a model, whether or not it exists.

        The metadata comes without its data provider, which may hold secrets.

        Raises:
            Unavailable, TimedOut: there is no response.
        """
        listing = await self._listing(name.project)
        exists = name.name in listing.models
        spec: ModelSpec | None = None
        metadata: Mapping[str, Any] = {}
        problem = "" if exists else "the server does not list it"
        if exists:
            try:
                read = await self._metadata(name, listing.revision)
                metadata = await off_loop(read.size, LARGE_DOCUMENT, partial(_redacted, read.document))
                spec = await self._spec(read, name, listing.revision)
            except (Rejected, Failed, RevisionGone) as error:
                problem = str(error)
        return ModelStatus(name, listing.revision, exists, None, spec, metadata, problem)

    async def missing(self, ref: ModelRef, revision: str, doing: str) -> LatigoError:
        """Return what status 404 for a model means: the list of the same revision decides."""
        names = await self._names(ref.project, revision)
        if not names:  # a project without any model is a directory that is gone, not a model that was removed
            downstream = downstream_of(ref.project)
            return Unavailable(f"{doing}: 404, and no model is listed at all", downstream=downstream, alarm=True)
        if ref.name in names:
            return NotThere(f"{doing}: 404, although revision {revision} lists it; it may be unfinished")
        message = f"{ref} is no longer in revision {revision}"
        return Rejected(message, reason=Reason.MODEL_GONE, whole_model=True)

    async def _project(self, project: str) -> ProjectModels:
        try:
            listing = await self._listing(project)
        except LatigoError as error:
            return ProjectModels(project, error=error)
        except Exception as error:  # noqa: BLE001 - a bug that one project's list triggers must not stop the others
            _log.exception("listing.crashed", project=project)
            return ProjectModels(project, error=error)
        return ProjectModels(project, listing.revision, listing.models, expected=await self._expected(project))

    async def _expected(self, project: str) -> tuple[str, ...] | None:
        """Return the models that the server should have, built or not; None if that cannot be read."""
        try:
            content = await self._document(project, "expected-models", doing=f"expected models of {project}")
        except LatigoError as error:
            _log.debug("models.expected_not_read", project=project, error=str(error))
            return None
        names = content.get("expected-models")
        return await off_loop(len(names), _MANY_NAMES, lambda: _usable(names)) if isinstance(names, list) else None

    async def _listing(self, project: str) -> Listing:
        doing = f"revisions of {project}"
        content = await self._document(project, "revisions", doing=doing)
        revision = content.get("latest")
        if not isinstance(revision, str) or not _REVISION.fullmatch(revision):
            raise Unavailable(
                f"{doing}: the newest is {shown(revision, 40)}, which is not a number",
                downstream=downstream_of(project),
                alarm=True,
            )
        for _ in range(_TRIES_OF_LATEST - 1):
            with suppress(RevisionGone):
                return Listing(revision, await self._names(project, revision))
        try:
            return Listing(revision, await self._names(project, revision))
        except RevisionGone as error:  # its directory is gone: without a revision Gordo would now list no models
            raise Unavailable(str(error), downstream=downstream_of(project), alarm=True) from error

    async def _names(self, project: str, revision: str) -> tuple[str, ...]:
        doing = f"models of {project} in revision {revision}"
        names = (await self._document(project, "models", doing=doing, revision=revision)).get("models")
        if not isinstance(names, list):
            raise Unavailable(f"{doing}: not Gordo's response: no list", downstream=downstream_of(project))
        return await off_loop(len(names), _MANY_NAMES, lambda: _usable(names))

    async def _document(self, project: str, path: str, *, doing: str, revision: str | None = None) -> dict[str, Any]:
        """Return a list of the server; any error concerns the project and no single model."""
        downstream = downstream_of(project)
        try:
            response = await self._get(project, path, doing=doing, revision=revision)
            if response.status != 200:
                raise Unavailable(f"{doing}: {response.status} {response.text}".rstrip(), downstream=downstream)
            content = await _read(response, doing)
        except TooLarge as error:
            raise Unavailable(str(error), downstream=downstream) from error
        if content is None:
            raise foreign(response, doing=doing, downstream=downstream, reason="no JSON object")
        return content

    async def _spec(self, metadata: "_Metadata", ref: ModelRef, revision: str) -> ModelSpec:
        work = partial(model_spec, metadata.document, ref=ref, revision=revision)
        return await off_loop(metadata.size, LARGE_DOCUMENT, work)

    async def _metadata(self, ref: ModelRef, revision: str) -> "_Metadata":
        doing = f"metadata of {ref} in revision {revision}"
        try:
            response = await self._get(ref.project, ref.name, "metadata", doing=doing, revision=revision)
            content = await _read(response, doing) if response.status == 200 else None
        except TooLarge as error:
            raise Rejected(str(error), reason=Reason.BAD_METADATA, whole_model=True) from error
        if response.status == 404:
            raise await self.missing(ref, revision, doing)
        if response.status == 422:
            raise Rejected(f"{doing}: {response.text}", reason=Reason.BAD_METADATA, whole_model=True)
        if response.status != 200:
            raise Failed(f"{doing}: {response.status} {response.text}".rstrip())
        if content is None:
            raise foreign(response, doing=doing, downstream=downstream_of(ref.project), reason="no JSON object")
        return _Metadata(content, len(response.body))

    async def _get(self, project: str, *path: str, doing: str, revision: str | None) -> Response:
        async with self._reads:
            response = await self._client.get(project, *path, revision=revision, server=self._server)
        return accepted(response, project, doing=doing, revision=revision)


async def _read(response: Response, doing: str) -> dict[str, Any] | None:
    try:
        return await off_loop(len(response.body), LARGE_DOCUMENT, lambda: document(response))
    except DocumentTooLarge as error:
        raise TooLarge(f"{doing}: {error}") from error


def _usable(names: Sequence[object]) -> tuple[str, ...]:
    return tuple(in_order([name for name in names if isinstance(name, str) and _USABLE_NAME.fullmatch(name)]))


def _redacted(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    redacted: Mapping[str, Any] = redact_within(_without_provider(metadata))
    return redacted


def _without_provider(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = metadata.get("metadata")
    if not isinstance(inner, Mapping) or not isinstance(inner.get("dataset"), Mapping):
        return metadata
    dataset = {key: value for key, value in inner["dataset"].items() if key != "data_provider"}
    return {**metadata, "metadata": {**inner, "dataset": dataset}}
