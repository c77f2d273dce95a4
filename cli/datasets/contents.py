"""What is in a data set, and what another one has that it has not."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from cli import show, ui
from libs.kit.errors import ServiceError

_MANIFEST: Final = "manifest.json"
_SHOWN: Final = 5


class Content(msgspec.Struct, frozen=True):
    """One data set, as far as it is compared."""

    reference: str
    selection: dict[str, Any]
    counts: dict[str, int]
    rows: dict[str, tuple[str, bytes]]
    """Row id → split, and a digest of the row."""


class Change(msgspec.Struct, frozen=True):
    """A value that differs; None where there is none."""

    before: Any = None
    after: Any = None


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """From one data set to another."""

    before: str
    after: str
    selection: dict[str, Change]
    counts: dict[str, Change]
    same_rows: int
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    """In both, with another content."""
    moved: tuple[str, ...]
    """In both, in another split."""


class _Manifest(msgspec.Struct):
    selection: dict[str, Any]
    counts: dict[str, int]


class _Row(msgspec.Struct):
    id: str


def read(directory: Path, reference: str) -> Content:
    """The content of an exported data set.

    Raises:
        ServiceError: `invalid_manifest`, it is not one that feedback has built.
    """
    rows: dict[str, tuple[str, bytes]] = {}
    decoder = msgspec.json.Decoder(_Row)
    try:
        manifest = msgspec.json.decode((directory / _MANIFEST).read_bytes(), type=_Manifest)
        for name in manifest.counts:
            kind, _, split = name.partition(".")
            if kind != "split" or not split.isidentifier():
                continue
            with (directory / f"{split}.jsonl").open("rb") as lines:
                for line in lines:
                    rows[decoder.decode(line).id] = (split, hashlib.blake2b(line, digest_size=16).digest())
    except (OSError, msgspec.MsgspecError) as error:
        raise ServiceError("invalid_manifest", f"{reference} is not a data set built by feedback: {error}") from error
    return Content(reference, manifest.selection, manifest.counts, rows)


def compare(before: Content, after: Content) -> Difference:
    """What differs, sorted by name."""
    both = sorted(before.rows.keys() & after.rows.keys())
    moved = tuple(each for each in both if before.rows[each][0] != after.rows[each][0])
    changed = tuple(each for each in both if before.rows[each][1] != after.rows[each][1])
    return Difference(
        before=before.reference,
        after=after.reference,
        selection=_changes(before.selection, after.selection),
        counts=_changes(before.counts, after.counts),
        same_rows=len(both) - len(set(moved) | set(changed)),
        added=tuple(sorted(after.rows.keys() - before.rows.keys())),
        removed=tuple(sorted(before.rows.keys() - after.rows.keys())),
        changed=changed,
        moved=moved,
    )


def tell(found: Difference) -> None:
    """The difference for people."""
    ui.say(f"  [dim]from[/dim] {show.plain(found.before)}\n  [dim]to  [/dim] {show.plain(found.after)}\n")
    if found.before == found.after:
        ui.say("  They are one and the same.")
        return
    for title, changes in (("selection", found.selection), ("step", found.counts)):
        if changes:
            rows = [(show.plain(name), _said(change.before), _said(change.after)) for name, change in changes.items()]
            show.table((title, "before", "after"), rows)
            ui.say("")
    ui.say(f"  {found.same_rows} rows are the same")
    for what, ids in (
        ("only after", found.added),
        ("only before", found.removed),
        ("with another content", found.changed),
        ("in another split", found.moved),
    ):
        if ids:
            more = " …" if len(ids) > _SHOWN else ""
            ui.say(f"  {len(ids)} {what}  [dim]{show.plain(', '.join(ids[:_SHOWN]))}{more}[/dim]")


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Change]:
    names = [*before, *(name for name in after if name not in before)]
    return {name: Change(before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)}


def _said(value: Any) -> str:
    return "" if value is None else show.short(value if isinstance(value, str) else msgspec.json.encode(value).decode())
