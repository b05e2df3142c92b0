"""``[ledger]``: the PostgreSQL database of the ledger."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, Tag

from latigo.postgres.places import OF_USERS, default_home
from latigo.settings.sections.base import Section, by_kind
from latigo.settings.values import PathName, Positive, Secret, postgres_url


class _Ledger(Section):
    kind: str
    pool_size: int = Field(default=10, ge=2, le=200, description="Most connections one process opens.")
    connect_timeout: Positive = Field(default=timedelta(seconds=5), description="Time limit to connect.")
    statement_timeout: Positive = Field(
        default=timedelta(seconds=60), description="Time limit of one statement, those of the PostgreSQL sink included."
    )
    history: Positive = Field(
        default=timedelta(days=30),
        description="How long settled tasks and their receipts are kept, in daily partitions.",
    )


class EmbeddedLedger(_Ledger):
    """PostgreSQL started by Latigo itself; one machine, nothing to install."""

    kind: Literal["embedded"] = Field(default="embedded", description="Where the ledger is kept.")
    data_dir: PathName = Field(
        default_factory=default_home,
        description="Folder of its files. By default ~/.local/share/latigo/ledger, below $XDG_DATA_HOME where that is "
        "set; of root /var/lib/latigo/ledger, unless the other one exists.",
        examples=[str(OF_USERS)],
    )


class PostgresLedger(_Ledger):
    """A PostgreSQL server, version 14 or newer."""

    kind: Literal["postgres"] = Field(default="postgres", description="Where the ledger is kept.")
    url: Annotated[Secret, AfterValidator(postgres_url)] = Field(
        description="URL of the database.", examples=["postgresql://latigo:password@localhost:5432/latigo"]
    )


Ledger = Annotated[
    Annotated[EmbeddedLedger, Tag("embedded")] | Annotated[PostgresLedger, Tag("postgres")], by_kind("embedded")
]
