"""Every endpoint of the API."""

from typing import Any

from latigo.web.api import (
    about,
    anomalies,
    controls,
    executors,
    failures,
    grid,
    models,
    queue,
    requests,
    series,
    status,
)
from latigo.web.api.endpoint import Endpoint

ENDPOINTS: tuple[Endpoint[Any, Any], ...] = (
    *status.ENDPOINTS,
    *models.ENDPOINTS,
    *failures.ENDPOINTS,
    *requests.ENDPOINTS,
    *queue.ENDPOINTS,
    *executors.ENDPOINTS,
    *controls.ENDPOINTS,
    *grid.ENDPOINTS,
    *series.ENDPOINTS,
    *anomalies.ENDPOINTS,
    *about.ENDPOINTS,
)
