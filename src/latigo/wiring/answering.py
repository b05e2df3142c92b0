"""What the API answers from, out of what is open."""

from latigo.web.api.context import Context, Kept
from latigo.wiring.resources import Resources
from latigo.wiring.retention import readings_kept_for


def context_of(resources: Resources, kept: Kept) -> Context:
    """Return what the API answers from."""
    settings = resources.settings
    return Context(
        database=resources.database,
        settings=settings,
        clock=resources.clock,
        server=resources.models,
        readings=resources.sensors,
        stores=[sink.store for sink in resources.sinks],
        readings_kept=lambda report: readings_kept_for(settings, resources.clock, report=report),
        kept=kept,
    )
