"""Brings the schema `registry` to this code's version."""

from typing import Final

from libs.kit.migrations import Migrations
from services.registry.tables import SCHEMA

migrate: Final = Migrations(SCHEMA, __file__, lock_key=0x6C6C_6D01)
