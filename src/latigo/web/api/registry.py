"""Every endpoint of the API."""

from typing import Any

from latigo.web.api import grid, models, series, status
from latigo.web.api.endpoint import Endpoint

ENDPOINTS: tuple[Endpoint[Any, Any], ...] = (*status.ENDPOINTS, *models.ENDPOINTS, *grid.ENDPOINTS, *series.ENDPOINTS)
