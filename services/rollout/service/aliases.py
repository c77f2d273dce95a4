"""Aliases of a name in the registry, moved by compare-and-swap."""

from libs.contracts.registry import Alias, AliasList, ListAliases, SetAlias
from libs.contracts.versions import full_reference
from libs.kit.calls import Caller
from libs.kit.errors import ServiceError

_AUTHOR = "rollout"


class Aliases:
    """Reads and moves them; who is faster wins, and is believed."""

    def __init__(self, registry: Caller) -> None:
        self._registry = registry

    async def of(self, name: str) -> dict[str, str]:
        """Where every alias of `name` points, as whole digests.

        Raises:
            ServiceError: the registry is away.
        """
        found: AliasList = await self._registry.call("alias_list", ListAliases(name))
        return {one.alias: one.digest for one in found.aliases}

    async def move(self, name: str, alias: str, *, expected: str, to: str, why: str) -> str:
        """Move an alias from one digest to another (empty: nowhere); where it points then, whoever moved it.

        Raises:
            ServiceError: `version_not_found`, or the registry is away.
        """
        target = full_reference(name, to) if to else ""
        wanted = SetAlias(name=name, alias=alias, target=target, author=_AUTHOR, expected=expected, reason=why)
        try:
            moved: Alias = await self._registry.call("alias_set", wanted)
        except ServiceError as error:
            if error.code not in ("conflict", "not_found"):
                raise
            return (await self.of(name)).get(alias, "")
        return moved.digest
