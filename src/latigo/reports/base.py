"""Base of all reports."""

from pydantic import BaseModel, ConfigDict


class Report(BaseModel):
    """An answer, or a part of one. Programs read its fields: they are neither renamed nor removed."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_timedelta="float")
