"""Items that training saw are left out, exactly and nearly, whatever the shape of the training rows."""

import json
from pathlib import Path
from typing import Any

import pytest

from libs.kit.errors import ServiceError
from services.trainer.evaluation.items import Item, make_item
from services.trainer.evaluation.leaks import unseen

LONG = "Could you please tell me how many days it usually takes until the green hammock arrives at my house by post?"


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def _said(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def _system(text: str) -> dict[str, str]:
    return {"role": "system", "content": text}


def _left(directory: Path, items: list[Item], *rows: Any, near: float = 0.9) -> list[str]:
    path = directory / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return [item.question for item in unseen(items, [path], near)]


ITEM = make_item([_user("How much is the kettle?")], ["12"])


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [_user("How much is the kettle?"), _said("12")]},
        {"messages": [_user("how  much is the\nKETTLE?"), _said("12")]},
        {"messages": [_system("Be kind."), _user("How much is the kettle?"), _said("12")]},
        {"messages": [_user("How much is the kettle?"), _said("12"), _user("And the pot?"), _said("9")]},
        {"prompt": [_user("How much is the kettle?")], "chosen": [_said("12")], "rejected": [_said("no")]},
        {"prompt": [_user("How much is the kettle?")], "completion": [_said("12")], "label": False},
        {"prompt": "How much is the kettle?", "completion": "12", "label": True},
        {"messages": [_user("How much is the kettle?")], "reference": "12"},
        {"text": "How much is the kettle?"},
    ],
)
def test_a_question_of_any_shape_of_row_counts_as_seen(tmp_path: Path, row: Any) -> None:
    assert _left(tmp_path, [ITEM], row) == []


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [_user("How much is the pot?"), _said("9")]},
        {"messages": [_user("What do you sell?"), _said("Pots."), _user("How much is the kettle?"), _said("12")]},
        {"messages": [_user("Hi"), _said("How much is the kettle?")]},
    ],
)
def test_other_questions_and_other_contexts_do_not(tmp_path: Path, row: Any) -> None:
    assert _left(tmp_path, [ITEM], row) == [ITEM.question]


def test_nearly_the_same_counts_from_the_threshold_on(tmp_path: Path) -> None:
    item = make_item([_user(LONG)], [])
    near = {"messages": [_user(LONG.replace("please tell", "kindly tell")), _said("3")]}
    assert _left(tmp_path, [item], near, near=0.6) == []
    assert _left(tmp_path, [item], near, near=0.95) == [LONG]
    assert _left(tmp_path, [item], near, near=0.0) == [LONG]


def test_without_training_files_nothing_is_left_out() -> None:
    assert unseen([ITEM], [], 0.9) == (ITEM,)


def test_what_cannot_be_read_is_no_reason_to_trust(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="What training saw cannot be read"):
        unseen([ITEM], [tmp_path / "nowhere.jsonl"], 0.9)
    with pytest.raises(ServiceError, match="line 1 is no row of a training set"):
        _left(tmp_path, [ITEM], "nonsense")


def test_texts_without_words_and_pictures_are_compared_too(tmp_path: Path) -> None:
    item = make_item([{"role": "user", "content": [{"type": "text", "text": "?!"}, {"type": "image_url"}]}], [])
    assert _left(tmp_path, [item, ITEM], {"text": ""}, {"text": "!?"}) == [item.question, ITEM.question]
    assert _left(tmp_path, [item, ITEM], {"text": "?!"}) == [ITEM.question]
