"""The parts of `./llmos datasets` that need no service: selections in YAML, and what differs between two data sets."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer

from cli.datasets import contents, declare, tables
from deploy.local.errors import StackError
from libs.contracts.datasets import Quarantine, Shape
from libs.kit.errors import ServiceError


def _declared(tmp_path: Path, text: str | bytes) -> Any:
    path = tmp_path / "a.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return declare.from_file(path)


def test_a_file_declares_a_selection_with_dates_in_utc(tmp_path: Path) -> None:
    found = _declared(
        tmp_path,
        """
        name: good
        shape: sft
        since: 2026-01-02
        until: 2026-01-02T03:04:05+01:00
        tags: [shop]
        splits: {train: 0.8, test: 0.2}
        quarantine: {max_rater_share: 0.1, trusted_raters: [ann]}
        """,
    )
    assert (found.name, found.shape, found.tenant, found.tags) == ("good", Shape.SFT, "", ("shop",))
    assert (found.since_ms, found.until_ms) == (1_767_312_000_000, 1_767_319_445_000)
    assert found.splits == {"train": 0.8, "test": 0.2}
    assert found.quarantine.trusted_raters == ("ann",)
    assert found.quarantine.similarity == Quarantine().similarity


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: [", "not YAML"),
        ("- a", "names and values"),
        ("", "names and values"),
        (b"name: \xff", "not YAML"),
        ("name: x", "shape"),
        ("{name: x, shape: zebra}", "shape"),
        ("{name: x, shape: sft, tag: [a]}", "tag"),
        ("{name: x, shape: sft, quarantine: {max: 1}}", "max"),
        ("{name: x, shape: sft, since: soon}", "since"),
        ("{name: x, shape: sft, since: [1]}", "since"),
        ("{name: x, shape: sft, since: 2026-01-01, since_ms: 5}", "since_ms"),
        ("!!python/object/apply:os.system ['true']", "not YAML"),
    ],
)
def test_what_is_mistyped_is_said_and_never_ignored(tmp_path: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(StackError, match=said):
        _declared(tmp_path, text)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="cannot be read"):
        declare.from_file(tmp_path / "none.yaml")


def test_splits_are_names_and_shares() -> None:
    assert declare.splits(["train=0.5", "test=.5"]) == {"train": 0.5, "test": 0.5}
    with pytest.raises(typer.BadParameter):
        declare.splits(["train"])


def _write(directory: Path, selection: dict[str, Any], splits: dict[str, dict[str, str]]) -> contents.Content:
    directory.mkdir()
    counts = {"read": 9} | {f"split.{name}": len(rows) for name, rows in splits.items()}
    (directory / "manifest.json").write_bytes(msgspec.json.encode({"selection": selection, "counts": counts, "x": 1}))
    for name, rows in splits.items():
        lines = [msgspec.json.encode({"id": key, "text": text}) + b"\n" for key, text in rows.items()]
        (directory / f"{name}.jsonl").write_bytes(b"".join(lines))
    return contents.read(directory, directory.name)


def test_a_difference_names_every_row(tmp_path: Path) -> None:
    before = _write(
        tmp_path / "a", {"seed": 0, "tags": ["x"]}, {"train": {"1": "a", "2": "b", "3": "c"}, "test": {"4": "d"}}
    )
    after = _write(tmp_path / "b", {"seed": 1, "tags": ["x"]}, {"train": {"1": "a", "2": "B", "4": "d", "5": "e"}})
    found = contents.compare(before, after)

    assert found.selection == {"seed": contents.Change(0, 1)}
    assert found.counts == {"split.train": contents.Change(3, 4), "split.test": contents.Change(1, None)}
    assert (found.same_rows, found.added, found.removed) == (1, ("5",), ("3",))
    assert (found.changed, found.moved) == (("2",), ("4",))
    same = contents.compare(before, before)
    assert (same.same_rows, same.added, same.removed, same.changed, same.moved) == (4, (), (), (), ())


def test_what_is_no_data_set_is_not_compared(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="not a data set"):
        contents.read(tmp_path, "x")
    (tmp_path / "manifest.json").write_text('{"selection":{},"counts":{"split.../../etc/passwd":1}}')
    assert contents.read(tmp_path, "x").rows == {}


@pytest.mark.parametrize(
    ("counts", "rows"),
    [({}, 0), ({"read": 5, "judged": 3}, 3), ({"read": 5, "split.test": 1, "split.train": 2}, 3)],
)
def test_the_rows_of_a_build_are_those_of_its_splits(counts: dict[str, int], rows: int) -> None:
    assert tables.final_rows(counts) == rows
