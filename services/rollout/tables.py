"""The tables of rollouts, in the schema `rollout`; the migrations make them, with their indexes and checks."""

from typing import Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    Identity,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
)

from libs.contracts import subjects
from libs.contracts.rollouts import RolloutChanged, TurnChanged
from libs.kit.outbox import Outbox

SCHEMA: Final = "rollout"

metadata: Final = MetaData(schema=SCHEMA)

leadership: Final = Table(
    "leadership",
    metadata,
    # There is one row.
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("epoch", BigInteger, nullable=False),
    Column("holder", Text, nullable=False),
    # On the database's clock.
    Column("lease_until", DateTime(timezone=True), nullable=False),
)

rollouts: Final = Table(
    "rollouts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("sequence", BigInteger, Identity(always=True), nullable=False),
    Column("name", Text, nullable=False),
    Column("state", Text, nullable=False),
    # A `RolloutPlan` as JSON, its candidate made exact.
    Column("plan", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("turn", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
    # Whole digests of the two versions.
    Column("candidate", Text, nullable=False),
    Column("baseline", Text, nullable=False),
    Column("step", Integer, nullable=False),
    Column("step_began_ms", BigInteger, nullable=False),
    # A `Decision` as JSON: the newest one that changed something.
    Column("decision", Text),
    Column("reason", Text, nullable=False),
    # Whether the aliases that keep its versions loaded are gone; only of one that has ended.
    Column("settled", Boolean, nullable=False),
    # Whose it is; empty: the platform's.
    Column("tenant", Text, nullable=False, server_default=""),
)

changes: Final = Table(
    "changes",
    metadata,
    Column("rollout", Text, primary_key=True),
    Column("number", BigInteger, Identity(always=True), primary_key=True),
    Column("time_ms", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("step", Integer, nullable=False),
    Column("author", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("decision", Text),
)

outcomes: Final = Table(
    "outcomes",
    metadata,
    Column("rollout", Text, primary_key=True),
    # Of a mirrored request: its own.
    Column("request_id", Text, primary_key=True),
    # In the order in which they came.
    Column("sequence", BigInteger, Identity(always=True), nullable=False),
    Column("step", Integer, nullable=False),
    # What kept its version: episode, user or request.
    Column("sticky", Text, nullable=False),
    Column("candidate", Boolean, nullable=False),
    Column("mirror", Boolean, nullable=False),
    Column("stream", Boolean, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("fault", Boolean, nullable=False),
    Column("first_token_ms", BigInteger, nullable=False),
    Column("total_ms", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("agreement", Double),
    Column("time_ms", BigInteger, nullable=False),
)

thresholds: Final = Table(
    "thresholds",
    metadata,
    Column("rollout", Text, primary_key=True),
    Column("step", Integer, primary_key=True),
    Column("guard", Text, primary_key=True),
    # What is below or above is bad.
    Column("low", Double, nullable=False),
    Column("high", Double, nullable=False),
    # Of the last outcome that they were made of; those up to it are not counted for the last good version.
    Column("through", BigInteger, nullable=False),
)

thumbs: Final = Table(
    "thumbs",
    metadata,
    Column("signal_id", Text, primary_key=True),
    Column("sequence", BigInteger, Identity(always=True), nullable=False),
    Column("request_id", Text, nullable=False),
    Column("rater", Text, nullable=False),
    Column("up", Boolean, nullable=False),
    Column("tags", ARRAY(Text), nullable=False),
    # When it was given, and when it came here.
    Column("time_ms", BigInteger, nullable=False),
    Column("heard_ms", BigInteger, nullable=False),
)

OUTBOX: Final = Outbox(metadata, {RolloutChanged: subjects.ROLLOUT_CHANGED, TurnChanged: subjects.TURN_CHANGED})
