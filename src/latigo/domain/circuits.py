"""Names of circuits: one for each foreign system that can be unavailable by itself. Pure."""

from enum import StrEnum


class System(StrEnum):
    """Kinds of foreign systems."""

    MODELS = "gordo"  #: each project is a system of its own
    MODEL_SERVER = "gordo-server"  #: one of several servers that share the models
    SENSORS = "sensors"
    SINK = "sink"


def circuit_name(system: System, name: str) -> str:
    """Return the name of a circuit, such as ``gordo/plant-a``, ``sensors/influx`` or ``sink/postgres``."""
    return f"{system}/{name}"
