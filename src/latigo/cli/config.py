"""What ``latigo config`` prints."""

import json

from latigo.settings import Settings
from latigo.settings.reference import to_toml


def effective_configuration(settings: Settings, *, as_json: bool = False) -> str:
    """The settings in effect, secrets masked; as TOML, the same file again but for the secrets."""
    masked = settings.masked()
    return json.dumps(masked, indent=2, ensure_ascii=False) if as_json else to_toml(masked)
