"""Every endpoint of the API."""

from typing import Any

from latigo.web.api import controls, executors, failures, models, queue, requests, status
from latigo.web.api.endpoint import Endpoint

ENDPOINTS: tuple[Endpoint[Any, Any], ...] = (
    *status.ENDPOINTS,
    *models.ENDPOINTS,
    *failures.ENDPOINTS,
    *requests.ENDPOINTS,
    *queue.ENDPOINTS,
    *executors.ENDPOINTS,
    *controls.ENDPOINTS,
)
