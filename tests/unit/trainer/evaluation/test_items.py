"""Task files: what is read, what is refused, and which items a limit takes."""

import json
from pathlib import Path
from typing import Any

import pytest

from libs.kit.errors import ServiceError
from services.trainer.evaluation.items import Item, read_items, sample

ASKED = [{"role": "user", "content": "How much is the kettle?"}]


def _file(directory: Path, *rows: Any) -> Path:
    path = directory / "items.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return path


def test_a_row_of_the_feedback_service_is_an_item(tmp_path: Path) -> None:
    row = {"id": "req1", "messages": ASKED, "reference": "12 euros", "model_version": "m@sha256:1", "time_ms": 5}
    assert read_items(_file(tmp_path, row)).items == (Item(id="req1", messages=tuple(ASKED), references=("12 euros",)),)


def test_everything_that_a_row_may_say_is_kept_once(tmp_path: Path) -> None:
    row = {
        "messages": ASKED, "reference": "a", "references": ["b", "a"], "tags": ["x", "x", ""],
        "labels": ["a", "b"], "cluster": "price", "id": 7,
    }  # fmt: skip
    (item,) = read_items(_file(tmp_path, row)).items
    assert (item.id, item.references, item.tags, item.labels, item.cluster) == (
        "7", ("a", "b"), ("x",), ("a", "b"), "price",
    )  # fmt: skip


def test_rows_without_ids_are_named_by_their_content(tmp_path: Path) -> None:
    other = [{"role": "user", "content": "And the pot?"}]
    first = read_items(_file(tmp_path, {"messages": ASKED}, {"messages": other})).items
    again = read_items(_file(tmp_path, {"messages": other}, {"messages": ASKED})).items
    assert {item.id for item in first} == {item.id for item in again}
    assert len({item.id for item in first}) == 2


def test_equal_rows_count_once_and_are_named(tmp_path: Path) -> None:
    read = read_items(_file(tmp_path, {"messages": ASKED}, "", {"messages": ASKED}))
    assert len(read.items) == 1
    assert "1 items were there more than once" in read.notes[0]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], "has no items"),
        (["", "  "], "has no items"),
        (["{"], "line 1 is not an evaluation row"),
        ([{"messages": ASKED}, "[1]"], "line 2 is not an evaluation row"),
        ([{"prompt": "x"}], "line 1 is not an evaluation row"),
        ([{"messages": []}], "must be a list of messages with a role"),
        ([{"messages": [{"content": "x"}]}], "must be a list of messages with a role"),
        ([{"messages": [*ASKED, {"role": "assistant", "content": "12"}]}], "ends in an answer"),
        ([{"messages": ASKED, "tags": "red"}], "line 1 is not an evaluation row"),
        ([{"messages": ASKED, "id": "a"}, {"messages": ASKED, "reference": "x", "id": "a"}], "have the id 'a'"),
    ],
)
def test_what_is_no_task_file_is_refused_by_line(tmp_path: Path, rows: list[Any], says: str) -> None:
    with pytest.raises(ServiceError, match=says) as refused:
        read_items(_file(tmp_path, *rows))
    assert refused.value.code == "bad_dataset"


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="cannot be read"):
        read_items(tmp_path / "nowhere.jsonl")
    broken = tmp_path / "broken.jsonl"
    broken.write_bytes(b'{"messages": [{"role": "user", "content": "\xff\xfe"}]}')
    with pytest.raises(ServiceError, match="line 1 is not an evaluation row"):
        read_items(broken)


def test_a_sample_depends_on_ids_alone_and_grows_by_adding() -> None:
    items = [Item(id=f"i{n}", messages=tuple(ASKED)) for n in range(50)]
    ten = [item.id for item in sample(items, 10)]
    assert len(ten) == 10
    assert set(ten) == {item.id for item in sample(items[::-1], 10)}
    assert set(ten) <= {item.id for item in sample(items, 11)}
    assert ten == [item.id for item in items if item.id in ten]
    assert sample(items, 0) == sample(items, 50) == sample(items, 99) == tuple(items)
