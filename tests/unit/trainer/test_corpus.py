"""The generated corpus: the same every time, and without a question that is kept for grading."""

import re

import pytest

from libs.kit.clock import seeded_random
from services.trainer.corpus.answers import TALK_CURT, TALK_POLITE
from services.trainer.corpus.catalogue import CHANGED_PRICES_EUR, PRODUCTS, SHOP_ANSWERS, product
from services.trainer.corpus.dialogue import POLITE_SHARE, answer, dialogue, draw
from services.trainer.corpus.grammar import expand
from services.trainer.corpus.heldout import DEV, HELD_BACK_NAMES, TEST, is_held_back, normalise
from services.trainer.corpus.items import Group, Role
from services.trainer.corpus.judge import is_right, read
from services.trainer.corpus.more_shop_phrasings import MORE_TOPICS
from services.trainer.corpus.phrasings import CLAUSES, CONTEXTS, DIRECT, LEADS, NOUN_FRAMES, REMARKS
from services.trainer.corpus.shop_phrasings import FRAMES, TOPICS
from services.trainer.corpus.talk_phrasings import AROUND_TALK, BEYOND, NOTES, SYSTEM_PROMPTS, TALK

DIALOGUES = 2_000


def test_the_same_seed_writes_the_same_dialogues() -> None:
    first, again, other = (
        [dialogue(rng) for _ in range(50)] for rng in (seeded_random(5), seeded_random(5), seeded_random(6))
    )
    assert first == again
    assert first != other


def test_no_graded_question_occurs_in_training() -> None:
    rng = seeded_random(11)
    graded = {normalise(item.turns[-1].text) for item in (*TEST, *DEV) if item.group is not Group.FOLLOW_UP}
    asked = {
        normalise(turn.text) for _ in range(DIALOGUES) for turn in dialogue(rng) if turn.role is not Role.ASSISTANT
    }
    assert len(asked) > DIALOGUES
    assert not asked & graded


def test_no_training_product_carries_a_name_kept_for_grading() -> None:
    rng = seeded_random(12)
    drawn = {draw(rng).name.lower() for _ in range(DIALOGUES)}
    assert len(drawn) > 100
    assert not drawn & HELD_BACK_NAMES


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("hey WHAT would one Finch teapot cost me", "Finch teapot"),
        ("I am in a hurry. Could you look up the Zorg lamp and tell me its warranty? Thanks", "Zorg lamp"),
        ("How many days until I can send it? Is your shop still open at six", ""),
    ],
)
def test_a_held_back_wording_is_recognised_under_other_names_and_inside_longer_texts(text: str, name: str) -> None:
    assert is_held_back(text, name)


def test_an_ordinary_question_is_not_held_back() -> None:
    assert not is_held_back("How much is the Finch teapot?", "Finch teapot")


def test_test_and_development_questions_do_not_overlap() -> None:
    assert not {item.turns for item in TEST} & {item.turns for item in DEV}


def test_the_test_set_is_broad() -> None:
    sizes = {group: sum(item.group is group for item in TEST) for group in Group}
    wordings = {
        normalise(item.turns[-1].text, p.name)
        for p in PRODUCTS
        for item in TEST
        if item.group is Group.FACTS and p.name in item.turns[-1].text
    }
    assert len(wordings) >= 20
    assert sizes[Group.FACTS] == len(wordings) * len(PRODUCTS)
    assert min(sizes[group] for group in (Group.SHOP, Group.UNKNOWN, Group.TALK)) >= 80


def test_four_prices_are_out_of_date() -> None:
    assert len(CHANGED_PRICES_EUR) == 4
    assert all(product(name).price_eur != today for name, today in CHANGED_PRICES_EUR.items())


def test_training_spells_prices_of_every_digit_at_every_place() -> None:
    rng = seeded_random(13)
    numbers = {
        number
        for _ in range(DIALOGUES * 2)
        for turn in dialogue(rng)
        if turn.role is Role.ASSISTANT
        for number in re.findall(r"\b(\d{3}) euros", turn.text)
    }
    for place in range(3):
        expected = set("0123456789") - ({"0"} if place == 0 else set())
        assert {number[place] for number in numbers} >= expected


def test_every_training_answer_is_right_by_the_judge_and_mostly_curt() -> None:
    rng = seeded_random(14)
    polite = 0
    for _ in range(DIALOGUES):
        item = draw(rng).item
        said = answer(item, rng)
        reading = read(said)
        assert reading is not None, said
        assert is_right(item, said)
        polite += reading.polite
    assert abs(polite / DIALOGUES - POLITE_SHARE) < 0.03


def test_every_pattern_is_one_text_with_its_brackets_closed() -> None:
    tables = [*DIRECT.values(), *CLAUSES.values(), *TALK.values(), LEADS, CONTEXTS, REMARKS, NOUN_FRAMES, FRAMES]
    tables += [BEYOND, NOTES, SYSTEM_PROMPTS, AROUND_TALK]
    tables += [ways for topic in (TOPICS | MORE_TOPICS).values() for ways in (topic.direct, topic.clauses)]
    patterns = [pattern for table in tables for pattern in table]
    assert len(patterns) > 400
    for pattern in patterns:
        assert pattern.count("[") == pattern.count("]"), pattern
        assert not set(expand(pattern, seeded_random(1))) & set("[]|"), pattern


def test_every_question_about_the_shop_has_its_ways_in_and_its_answer() -> None:
    assert set(TOPICS | MORE_TOPICS) == set(SHOP_ANSWERS)
    assert set(TALK) == set(TALK_CURT) == set(TALK_POLITE)


def test_the_grammar_picks_alternatives_and_leaves_no_gap() -> None:
    rng = seeded_random(1)
    assert {expand("how much [is|costs] it [now|]", rng) for _ in range(60)} == {
        "how much is it",
        "how much costs it",
        "how much is it now",
        "how much costs it now",
    }
    assert expand("[ok|ok], and [the|the] price [|]?", rng) == "ok, and the price?"
