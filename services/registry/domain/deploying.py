"""What a pool's workers should be told, given what was declared, where aliases point and what workers have loaded."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from libs.contracts.registry import DEFAULT_ALIAS, DeployedVersion, Deployment


@dataclass(frozen=True, kw_only=True)
class Declared:
    """What somebody asked for."""

    pool: str
    generation: int
    """Counts up by one per declaration that is another one."""
    base_name: str
    base: DeployedVersion
    adapters: tuple[DeployedVersion, ...]
    engine_args: tuple[str, ...]
    replicas: int


@dataclass(frozen=True, kw_only=True)
class Target:
    """The version behind one alias."""

    name: str
    alias: str
    version: DeployedVersion
    base_digest: str
    """Of an adapter's base; empty for anything else."""

    @property
    def key(self) -> str:
        """`name@alias`."""
        return f"{self.name}@{self.alias}"


@dataclass(frozen=True)
class Plan:
    """What workers should be told now."""

    deployment: Deployment
    leaving: dict[str, int]
    """Adapters that nothing names any more, and since when (Unix ms); they stay loaded for a grace."""


def plan(
    declared: Declared,
    targets: Sequence[Target],
    before: Plan | None,
    *,
    is_loaded: Callable[[str], bool],
    now_ms: int,
    grace_ms: int,
) -> Plan:
    """The next desired state; its revision is that of the one before, raised by one if anything differs.

    An alias moves in two steps: its new adapter is added, and the name follows when every worker has loaded it. An
    alias whose version this base cannot serve keeps the version that it had here, if it had one.

    Args:
        declared: what was asked for.
        targets: aliases of the names that this pool may answer to.
        before: the last plan; None for the first.
        is_loaded: whether every ready worker has loaded this adapter, as it was told before.
        now_ms: Unix time.
        grace_ms: how long an adapter stays after nothing names it any more.
    """
    current, leaving = (before.deployment, before.leaving) if before else (None, {})
    known = _known(declared, targets, current)
    names, desired = _aliases(declared, targets, current.names if current else {}, known, is_loaded)
    _bare_names(declared, targets, names)
    needed = {version.reference for version in declared.adapters} | set(names.values())
    needed.update(target.version.reference for target in targets if _serves(declared, target))
    needed.discard(declared.base.reference)
    going = {
        version.reference: leaving.get(version.reference, now_ms)
        for version in (current.adapters if current else ())
        if version.reference in known and version.reference not in needed
    }
    staying = {reference: since_ms for reference, since_ms in going.items() if now_ms - since_ms < grace_ms}
    wanted = Deployment(
        pool=declared.pool,
        generation=declared.generation,
        revision=current.revision if current else 1,
        base=declared.base,
        adapters=tuple(known[reference] for reference in sorted(needed | staying.keys())),
        names=dict(sorted(names.items())),
        engine_args=declared.engine_args,
        replicas=declared.replicas,
        desired_aliases=dict(sorted(desired.items())),
    )
    if current is not None and wanted != current:
        wanted = _raised(wanted)
    return Plan(wanted, staying)


def counted(declared: Declared, before: Declared | None) -> Declared:
    """What is declared, with the generation of the declaration before, raised by one if it is another one."""
    if before is None:
        return replace(declared, generation=1)
    same = replace(declared, generation=before.generation)
    return same if same == before else replace(same, generation=before.generation + 1)


def restarts(old: Deployment | None, new: Deployment) -> bool:
    """Whether an engine that runs `old` has to start again to run `new`."""
    return old is None or (old.base.digest, old.engine_args) != (new.base.digest, new.engine_args)


def _raised(deployment: Deployment) -> Deployment:
    fields = {name: getattr(deployment, name) for name in deployment.__struct_fields__}
    return Deployment(**{**fields, "revision": deployment.revision + 1})


def _serves(declared: Declared, target: Target) -> bool:
    return declared.base.digest in (target.version.digest, target.base_digest)


def _known(declared: Declared, targets: Sequence[Target], current: Deployment | None) -> dict[str, DeployedVersion]:
    """Every version that an engine with the declared base can serve, by reference."""
    same_base = current is not None and current.base.digest == declared.base.digest
    versions = [
        declared.base,
        *declared.adapters,
        *(target.version for target in targets if _serves(declared, target)),
        *(current.adapters if current is not None and same_base else ()),
    ]
    return {version.reference: version for version in versions}


def _aliases(
    declared: Declared,
    targets: Sequence[Target],
    before: Mapping[str, str],
    known: Mapping[str, DeployedVersion],
    is_loaded: Callable[[str], bool],
) -> tuple[dict[str, str], dict[str, str]]:
    """Names of the form `name@alias` that are served, and where those that wait shall go."""
    names: dict[str, str] = {}
    desired: dict[str, str] = {}
    for target in targets:
        wanted, old = target.version.reference, before.get(target.key, "")
        serves = _serves(declared, target)
        if serves and (wanted in (old, declared.base.reference) or is_loaded(wanted)):
            names[target.key] = wanted
            continue
        desired[target.key] = wanted
        if old in known:
            names[target.key] = old
    return names, desired


def _bare_names(declared: Declared, targets: Sequence[Target], names: dict[str, str]) -> None:
    """A bare name means its champion; the base's own name means the base while its champion cannot be served."""
    for name in {declared.base_name, *(target.name for target in targets)}:
        champion = names.get(f"{name}@{DEFAULT_ALIAS}")
        if champion is not None:
            names[name] = champion
    names.setdefault(declared.base_name, declared.base.reference)
