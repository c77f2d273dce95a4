"""Names that move from version to version, by compare-and-swap."""

from typing import Final

import msgspec

DEFAULT_ALIAS: Final = "champion"
"""What a model's bare name stands for."""


class SetAlias(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Move an alias by compare-and-swap."""

    name: str
    alias: str
    target: str
    """Any reference of `Resolve`; empty removes the alias."""
    author: str
    expected: str | None = None
    """Full digest that it must point to now, empty for "must not exist", None for "whatever it is"."""
    reason: str = ""
    tenant: str = ""
    """Whose the name must be; empty: anybody's."""


class Alias(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Where an alias points, and since when."""

    name: str
    alias: str
    digest: str
    """Empty: removed."""
    generation: int
    """Counts up by one per move."""
    author: str
    moved_ms: int
    reason: str = ""


class ListAliases(msgspec.Struct, frozen=True, omit_defaults=True):
    """Aliases of a name, or every move of one alias, newest first."""

    name: str
    history_of: str = ""
    tenant: str = ""
    """Keeps those of others out of sight; empty: everybody's."""


class AliasList(msgspec.Struct, frozen=True):
    """Aliases, or the moves of one."""

    aliases: tuple[Alias, ...]


class AliasMoved(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An alias points somewhere else now."""

    id: str
    time_ms: int
    alias: Alias
    previous: str
    """Digest before; empty if there was none."""
    tenant: str = ""
    """Whose the name is; empty: the platform's."""
