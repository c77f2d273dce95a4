"""The registry's tables, in the schema `registry`; the migrations make them."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKeyConstraint,
    Identity,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    false,
)
from sqlalchemy.dialects.postgresql import JSONB

from libs.contracts import subjects
from libs.contracts.registry import AliasMoved, DeploymentChanged, VersionPublished
from libs.kit.outbox import Outbox

SCHEMA: Final = "registry"

metadata: Final = MetaData(schema=SCHEMA)

blobs: Final = Table(
    "blobs",
    metadata,
    # Whose it is (`domain.places`); empty: the platform's.
    Column("place", Text, nullable=False, server_default=""),
    Column("digest", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("announced_ms", BigInteger, nullable=False),
    # Null until its bytes were checked; null again when they were found to be wrong.
    Column("verified_ms", BigInteger),
    Column("is_bad", Boolean, nullable=False, server_default=false()),
    # When garbage collection first found nothing that refers to it.
    Column("unmarked_ms", BigInteger),
    PrimaryKeyConstraint("place", "digest"),
)

names: Final = Table(
    "names",
    metadata,
    Column("name", Text, primary_key=True),
    # Numbers of deleted versions are not given again.
    Column("last_number", Integer, nullable=False),
    # Who may publish under it; empty: the platform.
    Column("tenant", Text, nullable=False, server_default=""),
)

versions: Final = Table(
    "versions",
    metadata,
    Column("name", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("base_digest", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("published_ms", BigInteger, nullable=False),
    Column("published_by", Text, nullable=False),
    # Order of publication over all names.
    Column("sequence", BigInteger, Identity(always=True), nullable=False, unique=True),
    Column("manifest", JSONB, nullable=False),
    # Who alone may see it; empty: everybody.
    Column("tenant", Text, nullable=False, server_default=""),
    # Where its blobs lie: a version that is older than places has the platform's, whoever may see it.
    Column("place", Text, nullable=False, server_default=""),
    PrimaryKeyConstraint("name", "digest"),
    UniqueConstraint("name", "number"),
)

version_blobs: Final = Table(
    "version_blobs",
    metadata,
    Column("digest", Text, nullable=False, index=True),
    Column("place", Text, nullable=False, server_default=""),
    Column("blob", Text, nullable=False, index=True),
    PrimaryKeyConstraint("digest", "blob"),
    ForeignKeyConstraint(["place", "blob"], [blobs.c.place, blobs.c.digest]),
)

uploads: Final = Table(
    "uploads",
    metadata,
    Column("digest", Text, nullable=False),
    Column("manifest", JSONB, nullable=False),
    Column("author", Text, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    # Who began it, and whose the version will be.
    Column("tenant", Text, nullable=False, server_default=""),
    Column("owner", Text, nullable=False, server_default=""),
    # Where its blobs go.
    Column("place", Text, nullable=False, server_default=""),
    PrimaryKeyConstraint("tenant", "digest"),
)

aliases: Final = Table(
    "aliases",
    metadata,
    Column("name", Text, nullable=False),
    Column("alias", Text, nullable=False),
    # Empty: removed; the row stays, so that generations go on counting.
    Column("digest", Text, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("author", Text, nullable=False),
    Column("moved_ms", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    PrimaryKeyConstraint("name", "alias"),
)

alias_moves: Final = Table(
    "alias_moves",
    metadata,
    Column("name", Text, nullable=False),
    Column("alias", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("author", Text, nullable=False),
    Column("moved_ms", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    PrimaryKeyConstraint("name", "alias", "generation"),
)

deployments: Final = Table(
    "deployments",
    metadata,
    Column("pool", Text, primary_key=True),
    # What was asked for.
    Column("base_name", Text, nullable=False),
    Column("base_digest", Text, nullable=False),
    Column("adapters", JSONB, nullable=False),
    Column("engine_args", JSONB, nullable=False),
    Column("replicas", Integer, nullable=False),
    Column("author", Text, nullable=False),
    Column("declared_ms", BigInteger, nullable=False),
    # What workers are told, as it stands in the bucket.
    Column("document", JSONB, nullable=False),
    # Adapter reference to when the last name left it.
    Column("leaving", JSONB, nullable=False),
    # Revision since which base and engine arguments are what they are.
    Column("engine_revision", Integer, nullable=False),
    # The step of a roll that is under way; null if none is.
    Column("roll", JSONB),
    Column("error", Text, nullable=False),
)

OUTBOX: Final = Outbox(
    metadata,
    {
        VersionPublished: subjects.VERSION_PUBLISHED,
        AliasMoved: subjects.ALIAS_MOVED,
        DeploymentChanged: subjects.DEPLOYMENT_CHANGED,
    },
)
OUTBOX.table.append_constraint(UniqueConstraint("id"))
