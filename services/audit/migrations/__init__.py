"""Brings the schema `audit` to this code's version."""

from typing import Final

from libs.kit.migrations import Migrations

SCHEMA: Final = "audit"
migrate: Final = Migrations(SCHEMA, __file__, lock_key=0x6C6C_6E51)
