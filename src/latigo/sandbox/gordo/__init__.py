"""A Gordo-compatible model server, for the demo, tests and benchmarks. A development part, not for production.

In the demo's own event loop: ``async with running_standin(demo_project(plant, "plant-a", 50), plant) as server``. In a
process of its own: ``python -m latigo.sandbox.gordo``.
"""

from latigo.sandbox.gordo.controls import CallKind, Controls, Scope, Trouble
from latigo.sandbox.gordo.definition import ModelDefinition, ModelKind, ProjectDefinition, demo_faults, demo_project
from latigo.sandbox.gordo.predictions import CannedPredictions
from latigo.sandbox.gordo.server import GordoStandin, running_standin

__all__ = [
    "CallKind",
    "CannedPredictions",
    "Controls",
    "GordoStandin",
    "ModelDefinition",
    "ModelKind",
    "ProjectDefinition",
    "Scope",
    "Trouble",
    "demo_faults",
    "demo_project",
    "running_standin",
]
