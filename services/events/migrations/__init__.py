"""Brings the schema `events` to this code's version."""

from typing import Final

from libs.kit.migrations import Migrations
from services.events.tables import SCHEMA

migrate: Final = Migrations(SCHEMA, __file__, lock_key=0x6C6C_6E41)
