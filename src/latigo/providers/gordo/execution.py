"""Running the models of a Gordo server.

What each status code means stands in the package's docstring.
"""

from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import replace

from latigo.domain.errors import Failed, LatigoError
from latigo.domain.model import ModelRef, ModelSpec, ModelStatus
from latigo.domain.series import Frame, Predictions
from latigo.domain.windows import Window
from latigo.providers.gordo.catalogue import GordoCatalogue
from latigo.providers.gordo.checks import check_predictions, check_request, check_targets
from latigo.providers.gordo.client import GordoClient, downstream_of
from latigo.providers.gordo.frames import RequestBody, UnreadableResponse, read_predictions, request_body
from latigo.providers.gordo.responses import Response, accepted, foreign, not_an_anomaly_model, refusal
from latigo.providers.protocols import Execution, ModelRoster
from latigo.providers.registration import RosterRegistration
from latigo.runtime.log import get_logger
from latigo.runtime.off_loop import off_loop

_log = get_logger(__name__)

ANOMALY = ("anomaly", "prediction")
PLAIN = ("prediction",)

#: Models that are remembered to answer on ``prediction`` only; a forgotten one costs a request that is refused.
_MOST_REMEMBERED = 50_000
#: From this many numbers on, frames are written and read in a thread: 10 ms of work and more.
_MANY_NUMBERS = 100_000


class GordoExecution(RosterRegistration):
    """Predictions of a Gordo server: a `ModelExecutionProvider`.

    Args:
        client: the open session.
        catalogue: of the same server.
        roster: models that were registered or unregistered by hand.
    """

    def __init__(self, client: GordoClient, catalogue: GordoCatalogue, roster: ModelRoster) -> None:
        super().__init__(catalogue, roster)
        self._client = client
        self._catalogue = catalogue
        self._plain = _Remembered(_MOST_REMEMBERED)

    async def ping(self, project: str) -> str:
        """Reach the server that runs the models of a project; nothing is run."""
        return await self._catalogue.ping(project)

    async def get_model_status(self, name: ModelRef) -> ModelStatus:
        """Return the full status of one model, registered or not, whether or not it exists.

        Raises:
            Unavailable, TimedOut: there is no response.
        """
        return replace(await self._catalogue.describe(name), registered=await self.is_registered(name))

    def servers(self, name: ModelRef) -> Sequence[str]:
        """Return the names of the servers' circuits, in the order in which they should be asked for a model."""
        return self._client.servers.preferred(name)

    def all_servers(self) -> Collection[str]:
        """Return the names of the servers' circuits; empty where there is a single one."""
        return self._client.servers.names

    def server_faults(self) -> int:
        """Return how many unexpected errors there were while the servers were followed."""
        return self._client.servers.faults

    async def execute_model(
        self,
        name: ModelSpec,
        window: Window,  # noqa: ARG002 - the protocol's; Gordo takes rows
        x: Frame,
        y: Frame,
        *,
        server: str = "",
    ) -> Execution:
        """Send X and y to the revision that ``name`` pins, on the path that its model answers.

        Where the model is no anomaly model, the same body is sent to ``prediction``, now and from then on; that is
        remembered for this model and revision only.

        Raises:
            NoData: fewer rows than the model needs.
            Unavailable, TimedOut, Failed, RevisionGone, TooLarge, Rejected: as the table of status codes says.
        """
        check_request(name, x, y)
        key = (name.ref, name.revision)
        plain = name.anomaly is False or key in self._plain
        body = await off_loop(_numbers(x) + _numbers(y), _MANY_NUMBERS, lambda: request_body(x, None if plain else y))
        server = server or next(iter(self.servers(name.ref)), "")
        response = await self._predict(name, PLAIN if plain else ANOMALY, body, server)
        if not plain and not_an_anomaly_model(response):
            plain = True
            self._plain.add(key)
            _log.info("model.downgraded", model=str(name.ref), revision=name.revision)
            response = await self._predict(name, PLAIN, body, server)
        if response.status != 200:
            raise await self._refusal(name, response, x, y, plain=plain, server=server)
        predictions = await self._read(name, response, x)
        check_predictions(name, x, predictions, anomaly=not plain)
        return Execution(predictions, anomaly=not plain)

    async def _predict(self, spec: ModelSpec, path: tuple[str, ...], body: RequestBody, server: str) -> Response:
        response = await self._client.post(
            spec.ref.project, spec.ref.name, *path, revision=spec.revision, body=body, server=server
        )
        return accepted(response, spec.ref.project, doing=_doing(spec.ref, *path), revision=spec.revision)

    async def _refusal(
        self, spec: ModelSpec, response: Response, x: Frame, y: Frame, *, plain: bool, server: str
    ) -> LatigoError:
        doing = _doing(spec.ref, *(PLAIN if plain else ANOMALY))
        if response.status == 404:
            return await self._catalogue.missing(spec.ref, spec.revision, doing)
        if response.status == 500 and not plain:
            return await self._reason(spec, x, y, server)
        return refusal(response, doing=doing)

    async def _reason(self, spec: ModelSpec, x: Frame, y: Frame, server: str) -> LatigoError:
        """Return why ``anomaly/prediction`` answered 500, which only ``prediction`` reports.

        Raises:
            Unavailable, TimedOut, RevisionGone: ``prediction`` did not answer either.
            Rejected: ``VALUES_REFUSED``; X is fine, and the scores cannot be computed from y.
        """
        body = await off_loop(_numbers(x), _MANY_NUMBERS, lambda: request_body(x))
        response = await self._predict(spec, PLAIN, body, server)
        if response.status == 200:
            check_targets(y)
            return Failed(f"{_doing(spec.ref, *ANOMALY)}: 500, while prediction takes the same X")
        if response.status == 404:
            return await self._catalogue.missing(spec.ref, spec.revision, _doing(spec.ref, *PLAIN))
        return refusal(response, doing=_doing(spec.ref, *PLAIN))

    async def _read(self, spec: ModelSpec, response: Response, x: Frame) -> Predictions:
        try:
            return await off_loop(
                len(response.body) // 8,
                _MANY_NUMBERS,
                lambda: read_predictions(
                    response.body,
                    model=spec.ref,
                    revision=spec.revision,
                    max_rows=len(x),
                    max_bytes=self._client.sizes.prediction,
                ),
            )
        except UnreadableResponse as error:
            doing, downstream = _doing(spec.ref, "prediction"), downstream_of(spec.ref.project)
            raise foreign(response, doing=doing, downstream=downstream, reason=str(error)) from error


class _Remembered:
    """Bounded set that forgets its oldest keys."""

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


def _numbers(frame: Frame) -> int:
    return int(frame.values.size)
