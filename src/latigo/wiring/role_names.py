"""The names of roles; apart from `resources`, since ``latigo serve --help`` shows them."""

from enum import StrEnum


class RoleName(StrEnum):
    """The roles that a process can have."""

    SCHEDULER = "scheduler"
    EXECUTOR = "executor"
    ALL = "all"
