"""A Gordo-compatible model server, for the demo, tests and benchmarks. A development part, not for production.

In an event loop: ``async with open_sandbox_gordo(demo_project(plant, "plant-a", 50), plant) as server``. In a process
of its own: ``python -m latigo.sandbox.gordo``.
"""

from latigo.sandbox.gordo.controls import CallKind, Controls, Scope, Trouble
from latigo.sandbox.gordo.definition import ModelDefinition, ModelKind, ProjectDefinition, demo_faults, demo_project
from latigo.sandbox.gordo.predictions import CannedPredictions
from latigo.sandbox.gordo.server import SandboxGordo, open_sandbox_gordo

__all__ = [
    "CallKind",
    "CannedPredictions",
    "Controls",
    "ModelDefinition",
    "ModelKind",
    "ProjectDefinition",
    "SandboxGordo",
    "Scope",
    "Trouble",
    "demo_faults",
    "demo_project",
    "open_sandbox_gordo",
]
