"""Brings the schema `audit` to this code's version."""

from pathlib import Path
from typing import Final

from libs.kit import migrations
from libs.kit.postgres import Database

SCHEMA: Final = "audit"
_LOCK_KEY: Final = 0x6C6C_6E51


async def migrate(database: Database, revision: str = "head") -> None:
    """Apply what is missing up to `revision`; other processes wait meanwhile.

    Raises:
        ServiceError: `storage_unavailable`, the database does not answer.
    """
    await migrations.migrate(
        database, schema=SCHEMA, scripts=Path(__file__).parent, lock_key=_LOCK_KEY, revision=revision
    )
