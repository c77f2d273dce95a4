"""How versions, aliases and deployments are shown: tables for people, JSON for programs."""

from collections.abc import Iterable, Sequence

from cli import ui
from cli.show import emit, facts, size, table, when
from libs.contracts.registry import Alias, DeploymentStatus, Version
from libs.contracts.versions import short_reference

__all__ = ["aliases", "deployments", "emit", "facts", "size", "versions", "when"]


def versions(found: Iterable[Version]) -> None:
    """A list of versions."""
    rows = [
        (each.reference, str(each.number), each.kind, size(each.size_bytes), ", ".join(each.aliases),
         when(each.published_ms))
        for each in found
    ]  # fmt: skip
    table(("reference", "#", "kind", "size", "aliases", "published"), rows)


def aliases(found: Sequence[Alias]) -> None:
    """Aliases, or moves of one."""
    rows = [
        (f"{each.name}@{each.alias}", short_reference(each.name, each.digest) if each.digest else "removed",
         str(each.generation), when(each.moved_ms), each.author, each.reason)
        for each in found
    ]  # fmt: skip
    table(("alias", "points to", "generation", "since", "by", "reason"), rows)


def deployments(found: Sequence[DeploymentStatus]) -> None:
    """Pools with what they serve, and how far each worker is."""
    for status in found:
        wanted = status.deployment
        counts = f"[dim]generation {wanted.generation}, revision {wanted.revision}[/dim]"
        ui.say(f"\n  [bold]{wanted.pool}[/bold]  serves {wanted.base.reference}  {counts}")
        for adapter in wanted.adapters:
            ui.say(f"    adapter {adapter.reference}")
        for name, reference in sorted(wanted.names.items()):
            ui.say(f"    [dim]{name} → {reference}[/dim]")
        rows = [
            (each.name, each.state, str(each.revision), ", ".join(each.models), each.error) for each in status.workers
        ]
        table(("worker", "state", "revision", "models", "error"), rows)
