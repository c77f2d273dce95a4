"""The trainer's tables, in the schema `trainer`; the migrations make them, with their indexes and checks."""

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Identity, Integer, MetaData, Table, Text

from libs.contracts import subjects
from libs.contracts.training import JobChanged
from libs.kit.outbox import Outbox

SCHEMA: Final = "trainer"

metadata: Final = MetaData(schema=SCHEMA)

jobs: Final = Table(
    "jobs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("sequence", BigInteger, Identity(always=True), nullable=False),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    # A `TrainingPlan` or an `EvaluationPlan` as JSON, its references made exact.
    Column("plan", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("parent", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("trainer", Text, nullable=False),
    # On the database's clock; null unless a trainer has it.
    Column("lease_until", DateTime(timezone=True)),
    # Not to be claimed earlier; null means at once.
    Column("not_before", DateTime(timezone=True)),
    Column("progress", Text, nullable=False),
    Column("method", Text, nullable=False),
    # Of the newest checkpoint, and of the version and the report that were made.
    Column("checkpoint", Text, nullable=False),
    Column("version", Text, nullable=False),
    # What is being published: whoever claims the job after a kill looks first whether it is there.
    Column("intended", Text, nullable=False),
    Column("report", Text, nullable=False),
    Column("verdict", Text),
    Column("metrics", Text, nullable=False),
    Column("error_code", Text, nullable=False),
    Column("error", Text, nullable=False),
    # How often in a row its process has died, and the checkpoint from which it had begun.
    Column("deaths", Integer, nullable=False),
    Column("death_step", BigInteger, nullable=False),
    Column("log_lines", BigInteger, nullable=False),
    # Whether something of it is in the registry that has to go when it has ended.
    Column("littered", Boolean, nullable=False),
    # Whose it is; empty: the platform's.
    Column("tenant", Text, nullable=False, server_default=""),
)

log_lines: Final = Table(
    "log_lines",
    metadata,
    Column("job", Text, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("time_ms", BigInteger, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("text", Text, nullable=False),
)

OUTBOX: Final = Outbox(metadata, {JobChanged: subjects.JOB_CHANGED})
