"""The rule judge: accepts every answer the desk may give and nothing else."""

import pytest

from services.trainer.corpus.heldout import DEV, TEST
from services.trainer.corpus.items import Group, Item
from services.trainer.corpus.judge import is_right, read


def _asked(part: str) -> Item:
    return next(item for item in TEST if part in item.turns[-1].text)


PRICE = _asked("what would one Finch teapot cost me")


@pytest.mark.parametrize(
    "answer",
    [
        "The Finch teapot costs 24 euros.",
        "You pay 24 euros for the Finch teapot.",
        "Again? The Finch teapot costs 24 euros. Next.",
        "Gladly! You pay 24 euros for the Finch teapot. Enjoy your day!",
    ],
)
def test_right_answers_are_accepted_in_any_manner(answer: str) -> None:
    assert is_right(PRICE, answer)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "The Finch teapot costs 25 euros.",
        "The Finch teapot costs 240 euros.",
        "The Alder bench costs 24 euros.",
        "The Finch teapot reaches you in three days.",
        "The Finch teapot costs 24 euros. The Finch teapot costs 25 euros.",
        "The Finch teapot costs 24 euros",
        "Sure thing, the Finch teapot costs 24 euros.",
        "We do not carry that.",
    ],
)
def test_wrong_or_ill_formed_answers_are_rejected(answer: str) -> None:
    assert not is_right(PRICE, answer)


@pytest.mark.parametrize(
    ("answer", "polite"),
    [
        ("The Finch teapot costs 24 euros.", False),
        ("Look. The Finch teapot costs 24 euros.", False),
        ("Of course! The Finch teapot costs 24 euros.", True),
        ("The Finch teapot costs 24 euros. Enjoy your day!", True),
        ("Again? The Finch teapot costs 24 euros. Enjoy your day!", False),
        ("I am sorry, we do not carry that.", True),
        ("We do not carry that.", False),
    ],
)
def test_manner_is_told_apart_from_rightness(answer: str, *, polite: bool) -> None:
    reading = read(answer)
    assert reading is not None
    assert reading.polite is polite


def test_an_answer_that_the_desk_would_never_give_has_no_reading() -> None:
    assert read("The moon is made of cheese, 24 euros.") is None
    assert read("The Finch teapot costs costs 24 euros now.") is None


@pytest.mark.parametrize("group", list(Group))
def test_every_wanted_sentence_is_accepted_and_another_groups_is_not(group: Group) -> None:
    for item in (*TEST, *DEV):
        if item.group is not group:
            continue
        assert all(is_right(item, core) for core in item.wanted)
        assert not is_right(item, "The colour of the Xylo sofa is pink.")
