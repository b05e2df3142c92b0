"""A Gordo server as Latigo sees it: which models there are, what they need, and what they say.

What each status code means stands in the package's docstring.
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, NamedTuple, TypeVar

import structlog

from latigo.domain.errors import Failed, LatigoError, Reason, Rejected, RevisionGone, TooLarge, Unavailable
from latigo.domain.model import ModelRef, ModelSpec
from latigo.domain.series import Frame, Predictions
from latigo.domain.windows import Window
from latigo.providers.gordo.checks import check_predictions, check_request, check_targets
from latigo.providers.gordo.client import GordoClient, downstream_of
from latigo.providers.gordo.frames import RequestBody, UnreadableAnswer, read_predictions, request_body
from latigo.providers.gordo.metadata import model_spec
from latigo.providers.gordo.responses import Answer, document, foreign, not_an_anomaly_model, outage, refusal
from latigo.providers.protocols import Execution, ModelRoster, ModelStatus, ProjectModels

log = structlog.get_logger()

_T = TypeVar("_T")

ANOMALY = ("anomaly", "prediction")
PLAIN = ("prediction",)

#: Lists and metadata at a time, over all projects: Gordo answers them with the threads that predict.
_READS_AT_ONCE = 8
#: Models that are remembered to answer on ``prediction`` only; a forgotten one costs a request that is refused.
_MOST_REMEMBERED = 50_000
#: From this many numbers on, frames are written and read beside the event loop: 10 ms of work and more.
_MANY_NUMBERS = 100_000
#: What Gordo takes for a name; it lists every directory and stray file, hidden ones and half-built models as well, and
#: of names that are not UTF-8 it makes lone surrogates, which nobody can send or store.
_USABLE_NAME = re.compile(r"[A-Za-z0-9-][^/\x00-\x1f\x7f\ud800-\udfff]{0,254}")
_REVISION = re.compile(r"[0-9]{1,32}")


class Listing(NamedTuple):
    """Every model that a project has in its newest revision, sorted, as far as its name can be used."""

    revision: str
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProjectReached:
    """What ``latigo check`` has to tell of one project."""

    project: str
    revision: str = ""
    models: int = 0  #: that the server lists
    selected: int = 0  #: after patterns and roster
    error: LatigoError | None = None


class GordoModels:
    """Models of a Gordo server: `ModelInformationProvider` and `ModelExecutionProvider`.

    Args:
        client: the open session.
        projects: those whose models are predicted.
        roster: models that were registered or unregistered by hand; stronger than the patterns.
        include: patterns on ``project/model``; one of them has to match.
        exclude: patterns on ``project/model``; none of them may match.
    """

    def __init__(
        self,
        client: GordoClient,
        *,
        projects: Sequence[str],
        roster: ModelRoster,
        include: Sequence[str] = ("*",),
        exclude: Sequence[str] = (),
    ) -> None:
        self._client = client
        self._projects = tuple(dict.fromkeys(projects))
        self._roster = roster
        self._include = tuple(include)
        self._exclude = tuple(exclude)
        self._reads = asyncio.Semaphore(_READS_AT_ONCE)
        self._plain = _Remembered(_MOST_REMEMBERED)

    # Which models there are

    async def get_model_list(self) -> Sequence[ProjectModels]:
        """The models of every project, after patterns and roster, in their newest revision; sorted."""
        decided = await self._roster.entries()
        return await asyncio.gather(*(self._project(name, decided) for name in self._asked(decided)))

    async def ping(self) -> Sequence[ProjectReached]:
        """Reach every project once, and say what is there."""
        decided = await self._roster.entries()
        return await asyncio.gather(*(self._reach(name, decided) for name in self._asked(decided)))

    async def model_exists(self, name: ModelRef) -> bool:
        """Whether the server has the model in its newest revision.

        Raises:
            Unavailable, TimedOut: it cannot be asked.
        """
        return name.name in (await self._listing(name.project)).models

    async def get_model_spec(self, name: ModelRef, revision: str) -> ModelSpec:
        """What a task needs to know of the model, out of its metadata.

        Raises:
            Rejected: ``MODEL_GONE``, or ``BAD_METADATA`` naming the key.
            RevisionGone: the server does not have this revision.
            Failed: the model is listed, but cannot be read yet.
            Unavailable, TimedOut: the server is away.
        """
        return model_spec(await self._metadata(name, revision), ref=name, revision=revision)

    # Latigo's own roster

    async def register_model(self, model_data: Mapping[str, Any]) -> ModelRef:
        """Put a model of the server, ``{"project": ..., "name": ...}``, on the roster."""
        match model_data:
            case {"project": str(project), "name": str(name), **rest} if project and name and not rest:
                ref = ModelRef(project, name)
            case _:
                raise Rejected("a model is registered with the keys project and name", reason=Reason.BAD_METADATA)
        if not await self.model_exists(ref):
            raise Rejected(f"the server has no {ref}", reason=Reason.MODEL_GONE, whole_model=True)
        await self._roster.add(ref, model_data)
        return ref

    async def unregister_model(self, name: ModelRef) -> None:
        """Stop predicting the model. Nothing is deleted, here or on the server."""
        await self._roster.remove(name)

    async def get_model_status(self, name: ModelRef) -> ModelStatus:
        """The full status of one model, registered or not, there or not.

        The metadata comes without its data provider, which may hold secrets.

        Raises:
            Unavailable, TimedOut: the server is away.
        """
        registered = (await self._roster.entries()).get(name)
        listing = await self._listing(name.project)
        exists = name.name in listing.models
        spec: ModelSpec | None = None
        metadata: Mapping[str, Any] = {}
        problem = "" if exists else "the server does not list it"
        if exists:
            try:
                metadata = await self._metadata(name, listing.revision)
                spec = model_spec(metadata, ref=name, revision=listing.revision)
            except (Rejected, Failed, RevisionGone) as error:
                problem = str(error)
        return ModelStatus(name, listing.revision, exists, registered, spec, _without_provider(metadata), problem)

    # Predictions

    async def execute_model(self, name: ModelSpec, window: Window, x: Frame, y: Frame) -> Execution:  # noqa: ARG002 - the protocol's; Gordo is asked by rows
        """Send X and y to the revision that ``name`` pins, on the path that its model answers.

        A model that turns out to be no anomaly model is asked again on ``prediction``, with the same body, and from
        then on at once; that is remembered for this model and revision only.

        Raises:
            NoData: fewer rows than the model needs.
            Unavailable, TimedOut, Failed, RevisionGone, TooLarge, Rejected: as the table of status codes says.
        """
        check_request(name, x, y)
        key = (name.ref, name.revision)
        plain = name.anomaly is False or key in self._plain
        body = await _beside_the_loop(_numbers(x) + _numbers(y), lambda: request_body(x, None if plain else y))
        answer = await self._predict(name, PLAIN if plain else ANOMALY, body)
        if not plain and not_an_anomaly_model(answer):
            plain = True
            self._plain.add(key)
            log.info("model.answers_plain", model=str(name.ref), revision=name.revision)
            answer = await self._predict(name, PLAIN, body)
        if answer.status != 200:
            raise await self._refusal(name, answer, x, y, plain=plain)
        predictions = await self._read(name, answer, x)
        check_predictions(name, x, predictions, anomaly=not plain)
        return Execution(predictions, anomaly=not plain)

    async def _predict(self, spec: ModelSpec, path: tuple[str, ...], body: RequestBody) -> Answer:
        answer = await self._client.post(spec.ref.project, spec.ref.name, *path, revision=spec.revision, body=body)
        return _gordos(answer, spec.ref.project, doing=_doing(spec.ref, *path), revision=spec.revision)

    async def _refusal(self, spec: ModelSpec, answer: Answer, x: Frame, y: Frame, *, plain: bool) -> LatigoError:
        doing = _doing(spec.ref, *(PLAIN if plain else ANOMALY))
        if answer.status == 404:
            return await self._missing(spec.ref, spec.revision, doing)
        if answer.status == 500 and not plain:
            return await self._reason(spec, x, y)
        return refusal(answer, doing=doing)

    async def _reason(self, spec: ModelSpec, x: Frame, y: Frame) -> LatigoError:
        """Why ``anomaly/prediction`` answered 500: it does not say, and ``prediction`` does.

        Raises:
            Unavailable, TimedOut, RevisionGone: ``prediction`` did not answer either.
            Rejected: ``VALUES_REFUSED``; X is fine, and the scores cannot be worked out from y.
        """
        answer = await self._predict(spec, PLAIN, await _beside_the_loop(_numbers(x), lambda: request_body(x)))
        if answer.status == 200:
            check_targets(y)
            return Failed(f"{_doing(spec.ref, *ANOMALY)}: 500, while prediction takes the same X")
        if answer.status == 404:
            return await self._missing(spec.ref, spec.revision, _doing(spec.ref, *PLAIN))
        return refusal(answer, doing=_doing(spec.ref, *PLAIN))

    async def _read(self, spec: ModelSpec, answer: Answer, x: Frame) -> Predictions:
        try:
            return await _beside_the_loop(
                len(answer.body) // 8,
                lambda: read_predictions(
                    answer.body,
                    model=spec.ref,
                    revision=spec.revision,
                    max_rows=len(x),
                    max_bytes=self._client.limits.answer_bytes,
                ),
            )
        except UnreadableAnswer as error:
            doing, downstream = _doing(spec.ref, "prediction"), downstream_of(spec.ref.project)
            raise foreign(answer, doing=doing, downstream=downstream, why=str(error)) from error

    # Lists and metadata

    def _asked(self, decided: Mapping[ModelRef, bool]) -> Sequence[str]:
        """The projects of the settings, and those of models that were registered by hand."""
        return list(dict.fromkeys((*self._projects, *sorted({ref.project for ref, on in decided.items() if on}))))

    async def _project(self, project: str, decided: Mapping[ModelRef, bool]) -> ProjectModels:
        try:
            listing = await self._listing(project)
        except LatigoError as error:
            return ProjectModels(project, error=error)
        except Exception as error:  # a bug that one project's list wakes must not stop the others
            log.exception("project.broken", project=project)
            return ProjectModels(project, error=error)
        return ProjectModels(
            project, listing.revision, self._selected(project, listing, decided), listed=listing.models
        )

    async def _reach(self, project: str, decided: Mapping[ModelRef, bool]) -> ProjectReached:
        try:
            listing = await self._listing(project)
        except LatigoError as error:
            return ProjectReached(project, error=error)
        selected = self._selected(project, listing, decided)
        return ProjectReached(project, listing.revision, len(listing.models), len(selected))

    def _selected(self, project: str, listing: Listing, decided: Mapping[ModelRef, bool]) -> tuple[str, ...]:
        refs = (ModelRef(project, name) for name in listing.models)
        return tuple(ref.name for ref in refs if decided.get(ref, self._matches(ref)))

    def _matches(self, ref: ModelRef) -> bool:
        text = str(ref)
        return (
            ref.project in self._projects
            and any(fnmatchcase(text, pattern) for pattern in self._include)
            and not any(fnmatchcase(text, pattern) for pattern in self._exclude)
        )

    async def _listing(self, project: str) -> Listing:
        doing = f"revisions of {project}"
        found = await self._document(project, "revisions", doing=doing)
        revision = found.get("latest")
        if not isinstance(revision, str) or not _REVISION.fullmatch(revision):
            raise Unavailable(
                f"{doing}: the newest is {str(revision)[:40]!r}; only digits can be asked for",
                downstream=downstream_of(project),
                alarm=True,
            )
        try:
            return Listing(revision, await self._names(project, revision))
        except RevisionGone as error:  # its directory is gone: without a revision Gordo would now list no models
            raise Unavailable(str(error), downstream=downstream_of(project), alarm=True) from error

    async def _names(self, project: str, revision: str) -> tuple[str, ...]:
        doing = f"models of {project} in revision {revision}"
        found = (await self._document(project, "models", doing=doing, revision=revision)).get("models")
        if not isinstance(found, list):
            raise Unavailable(f"{doing}: not Gordo's answer: no list", downstream=downstream_of(project))
        return tuple(sorted({name for name in found if isinstance(name, str) and _USABLE_NAME.fullmatch(name)}))

    async def _document(self, project: str, path: str, *, doing: str, revision: str | None = None) -> dict[str, Any]:
        """A list of the server; whatever goes wrong with it concerns the project and no single model."""
        downstream = downstream_of(project)
        try:
            answer = await self._get(project, path, doing=doing, revision=revision)
        except TooLarge as error:
            raise Unavailable(str(error), downstream=downstream) from error
        if answer.status != 200:
            raise Unavailable(f"{doing}: {answer.status} {answer.text}".rstrip(), downstream=downstream)
        if (found := document(answer)) is None:
            raise foreign(answer, doing=doing, downstream=downstream, why="no JSON object")
        return found

    async def _metadata(self, ref: ModelRef, revision: str) -> dict[str, Any]:
        doing = f"metadata of {ref} in revision {revision}"
        try:
            answer = await self._get(ref.project, ref.name, "metadata", doing=doing, revision=revision)
        except TooLarge as error:
            raise Rejected(str(error), reason=Reason.BAD_METADATA, whole_model=True) from error
        if answer.status == 404:
            raise await self._missing(ref, revision, doing)
        if answer.status == 422:
            raise Rejected(f"{doing}: {answer.text}", reason=Reason.BAD_METADATA, whole_model=True)
        if answer.status != 200:
            raise Failed(f"{doing}: {answer.status} {answer.text}".rstrip())
        if (found := document(answer)) is None:
            raise foreign(answer, doing=doing, downstream=downstream_of(ref.project), why="no JSON object")
        return found

    async def _get(self, project: str, *path: str, doing: str, revision: str | None) -> Answer:
        async with self._reads:
            answer = await self._client.get(project, *path, revision=revision)
        return _gordos(answer, project, doing=doing, revision=revision)

    async def _missing(self, ref: ModelRef, revision: str, doing: str) -> LatigoError:
        """What a 404 for a model means: the list of the same revision decides."""
        names = await self._names(ref.project, revision)
        if not names:  # a project without any model is a directory that is gone, not a model that was removed
            downstream = downstream_of(ref.project)
            return Unavailable(f"{doing}: 404, and no model is listed at all", downstream=downstream, alarm=True)
        if ref.name in names:
            return Failed(f"{doing}: 404, although revision {revision} lists it; it may be in the making")
        message = f"{ref} is not in revision {revision} any more"
        return Rejected(message, reason=Reason.MODEL_GONE, whole_model=True)


class _Remembered:
    """The newest of many keys."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._keys: OrderedDict[tuple[ModelRef, str], None] = OrderedDict()

    def __contains__(self, key: tuple[ModelRef, str]) -> bool:
        return key in self._keys

    def add(self, key: tuple[ModelRef, str]) -> None:
        self._keys[key] = None
        if len(self._keys) > self._most:
            self._keys.popitem(last=False)


def _doing(ref: ModelRef, *path: str) -> str:
    return f"{'/'.join(path)} of {ref}"


def _gordos(answer: Answer, project: str, *, doing: str, revision: str | None) -> Answer:
    """The answer, if it is one of Gordo, and of the revision that was asked for."""
    downstream = downstream_of(project)
    if error := outage(answer, doing=doing, downstream=downstream):
        raise error
    if revision is not None and answer.revision != revision:
        raise foreign(answer, doing=doing, downstream=downstream, why=f"revision {str(answer.revision)[:40]!r}")
    return answer


def _without_provider(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = metadata.get("metadata")
    if not isinstance(inner, Mapping) or not isinstance(inner.get("dataset"), Mapping):
        return metadata
    dataset = {key: value for key, value in inner["dataset"].items() if key != "data_provider"}
    return {**metadata, "metadata": {**inner, "dataset": dataset}}


def _numbers(frame: Frame) -> int:
    return int(frame.values.size)


async def _beside_the_loop(numbers: int, work: Callable[[], _T]) -> _T:
    return work() if numbers < _MANY_NUMBERS else await asyncio.to_thread(work)
