"""What a data set says of itself: `manifest.json`, and a card for people."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec

from libs.contracts.datasets import Selection
from services.feedback.datasets.quarantine import Verdicts
from services.feedback.datasets.tally import Tally

FILE: Final = "manifest.json"
CARD: Final = "README.md"
FORMAT: Final = 1
_LIBRARIES: Final = ("datasketch", "ftfy", "msgspec", "numpy", "phonenumbers", "pyarrow")
_MOST_RATERS: Final = 1_000
_CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the steps found out."""

    selection: Selection
    tally: Tally
    splits: Mapping[str, int]
    strata: Mapping[str, Mapping[str, int]]
    """Split → label → rows."""
    redacted: Mapping[str, int]
    verdicts: Verdicts | None


def write(directory: Path, facts: Facts) -> None:
    """Write manifest and card beside the data."""
    selection = facts.selection
    files = {
        path.name: {"sha256": _digest(path), "size_bytes": path.stat().st_size} for path in sorted(directory.iterdir())
    }
    document = {
        "format": FORMAT,
        "selection": msgspec.to_builtins(selection, enc_hook=str) | {"until_ms": selection.until_ms},
        "counts": facts.tally.counts(facts.splits),
        "strata": {split: dict(sorted(strata.items())) for split, strata in sorted(facts.strata.items())},
        "put_aside": dict(sorted(facts.tally.reasons.items())),
        "quarantine": _quarantine(facts),
        "redacted": dict(sorted(facts.redacted.items())),
        "files": files,
        "libraries": {name: version(name) for name in _LIBRARIES},
    }
    text = msgspec.json.format(msgspec.json.encode(document, order="deterministic"), indent=2)
    (directory / FILE).write_bytes(text + b"\n")
    (directory / CARD).write_text(_card(facts), encoding="utf-8")


def _quarantine(facts: Facts) -> dict[str, Any]:
    raters = [
        {"rater": rater, "put_aside": dict(sorted(counts.items()))}
        for rater, counts in sorted(facts.tally.raters.items())
    ]
    verdicts = facts.verdicts
    caps = (
        {"raters": verdicts.raters, "share_cap": verdicts.share_cap, "rows_cap": verdicts.rows_cap} if verdicts else {}
    )
    return {"enabled": facts.selection.quarantine.enabled, **caps, "put_aside": raters[:_MOST_RATERS]}


def _card(facts: Facts) -> str:
    selection = facts.selection
    lines = [
        f"# {selection.name}",
        "",
        f"A data set of shape `{selection.shape}`, built from judged interactions. `{FILE}` says from which, and how.",
        "",
        "| step | rows left |",
        "| --- | ---: |",
        *(f"| {step} | {rows} |" for step, rows in facts.tally.counts(facts.splits).items()),
        "",
        "| put aside because | rows |",
        "| --- | ---: |",
        *(f"| {reason} | {rows} |" for reason, rows in sorted(facts.tally.reasons.items())),
        "",
    ]
    return "\n".join(lines)


def _digest(path: Path) -> str:
    hashed = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            hashed.update(chunk)
    return hashed.hexdigest()
