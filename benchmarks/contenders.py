"""What is compared: each contender answers the same requests at a port of its own."""

from dataclasses import dataclass

from benchmarks.accounting import Role
from benchmarks.generator import Target
from benchmarks.records import ContenderInfo


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One way to the answer, running."""

    name: str
    title: str
    version: str
    target: Target
    roles: tuple[Role, ...]
    """Every process on the way, so that CPU time can be told by part."""
    is_peer: bool = False
    """Whether the run can do without it."""

    def info(self, pss_mib: dict[str, float]) -> ContenderInfo:
        """What the record keeps of it."""
        return ContenderInfo(
            name=self.name,
            title=self.title,
            version=self.version,
            roles=tuple(role.name for role in self.roles),
            pss_mib=pss_mib,
        )
