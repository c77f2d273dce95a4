"""Invented customers: they rate by the rule, never ask a held-out question, and do the same for the same seed."""

from collections.abc import Sequence
from dataclasses import replace

from libs.contracts.datasets import Shape
from libs.kit.clock import seeded_random
from services.trainer.corpus.answers import statements
from services.trainer.corpus.catalogue import CHANGED_PRICES_EUR, Attribute, euros, product
from services.trainer.corpus.dialogue import answer
from services.trainer.corpus.heldout import DEV, HELD_BACK_NAMES, TEST, is_held_back, normalise
from services.trainer.corpus.items import Group, Item, Role, Turn
from services.trainer.corpus.judge import is_right, read
from services.trainer.study.customers import Habits, Rated, Reply, collect, is_good
from services.trainer.study.rows import rows

HABITS = Habits(ratings=600)
PAN = "Saffron pan"


class ScriptedDesk:
    """Knows nothing: it says the same to everybody, or what it is told to say."""

    def __init__(self, said: str = "Hm.") -> None:
        self.said = said
        self.asked: list[tuple[Turn, ...]] = []
        self.judged: list[Rated] = []

    async def ask(self, dialogues: Sequence[tuple[Turn, ...]]) -> list[Reply]:
        self.asked += dialogues
        return [Reply(self.said, stopped=True, id=f"chatcmpl-{n}") for n in range(len(dialogues))]

    async def judge(self, rated: Sequence[Rated]) -> None:
        self.judged += rated


def price_question(price_eur: int) -> Item:
    wanted = frozenset(statements(Attribute.PRICE, PAN, euros(price_eur)))
    return Item(Group.FACTS, Attribute.PRICE, (Turn(Role.USER, "How much is the pan?"),), wanted)


def test_only_a_right_kind_and_finished_answer_is_good() -> None:
    today = price_question(CHANGED_PRICES_EUR[PAN])
    kind = answer(today, seeded_random(1), polite_share=1.0)
    curt = answer(today, seeded_random(1), polite_share=0.0)
    outdated = answer(price_question(product(PAN).price_eur), seeded_random(1), polite_share=1.0)
    assert is_good(today, Reply(kind, stopped=True))
    assert not is_good(today, Reply(kind, stopped=False))
    assert not is_good(today, Reply(curt, stopped=True))
    assert not is_good(today, Reply(outdated, stopped=True))
    assert not is_good(today, Reply("Gladly! I made this up.", stopped=True))


async def test_customers_want_todays_prices_and_ask_for_them_more_often_if_told_to() -> None:
    desk = ScriptedDesk()
    hot = await collect(desk, replace(HABITS, changed_price_share=0.5), 1)
    ordinary = await collect(desk, replace(HABITS, changed_price_share=0.0), 1)
    new = {s for name, eur in CHANGED_PRICES_EUR.items() for s in statements(Attribute.PRICE, name, euros(eur))}
    old = {s for name in CHANGED_PRICES_EUR for s in statements(Attribute.PRICE, name, euros(product(name).price_eur))}
    assert sum(bool(one.item.wanted & new) for one in hot) > 3 * sum(bool(one.item.wanted & new) for one in ordinary)
    assert not any(one.item.wanted & old for one in (*hot, *ordinary))


async def test_no_customer_asks_what_is_kept_for_grading() -> None:
    desk = ScriptedDesk()
    await collect(desk, replace(HABITS, ratings=1_500), 3)
    graded = {normalise(item.turns[-1].text) for item in (*TEST, *DEV) if item.group is not Group.FOLLOW_UP}
    asked = [turn.text for turns in desk.asked for turn in turns if turn.role is Role.USER]
    assert len(set(asked)) > 1_000
    assert not {normalise(text) for text in asked} & graded
    assert not any(is_held_back(text) for text in asked)
    assert not any(f" {name} " in f" {text.lower()} " for text in asked for name in HELD_BACK_NAMES if " " in name)


async def test_the_same_seed_brings_the_same_customers() -> None:
    first, again, other = [await collect(ScriptedDesk(), HABITS, seed) for seed in (5, 5, 6)]
    assert first == again
    assert first != other


async def test_corrections_are_right_and_kind_stand_at_bad_answers_only_and_stay_under_the_cap() -> None:
    desk = ScriptedDesk()
    rated = await collect(desk, HABITS, 2)
    corrected = [one for one in rated if one.better]
    assert len(rated) == HABITS.ratings
    assert len(corrected) == int(HABITS.correction_cap * HABITS.ratings)
    assert all(not one.up and is_right(one.item, one.better) for one in corrected)
    readings = [read(one.better) for one in corrected]
    assert all(reading is not None and reading.polite for reading in readings)
    assert desk.judged == rated


async def test_who_is_content_corrects_nothing() -> None:
    rated = await collect(ScriptedDesk(), replace(HABITS, correct_wrong=0.0), 2)
    assert not any(one.better for one in rated)


async def test_some_customers_ask_again_about_what_was_said() -> None:
    desk = ScriptedDesk("The answer.")
    await collect(desk, replace(HABITS, follow_up_share=0.25), 4)
    later = [turns for turns in desk.asked if turns[-2:-1] and turns[-2].role is Role.ASSISTANT]
    assert len(later) == HABITS.ratings - round(HABITS.ratings / 1.25)
    assert {turns[-2].text for turns in later} == {"The answer."}


def test_ratings_become_rows_as_the_data_sets_have_them() -> None:
    item = price_question(52)
    good = Rated("a", item, Reply("Good.", stopped=True), up=True)
    bad = Rated("b", item, Reply("Bad.", stopped=True), up=False)
    corrected = Rated("c", item, Reply("Bad.", stopped=True), up=False, better="Better.")
    asked = [{"role": "user", "content": "How much is the pan?"}]
    said = [[{"role": "assistant", "content": text}] for text in ("Good.", "Bad.", "Better.")]
    rated = [good, bad, corrected]
    assert rows(Shape.SFT, rated) == [
        {"messages": asked + said[0]},
        {"messages": asked + said[2], "demonstration": True},
    ]
    assert rows(Shape.KTO, rated) == [
        {"prompt": asked, "completion": said[0], "label": True},
        {"prompt": asked, "completion": said[1], "label": False},
        {"prompt": asked, "completion": said[2], "label": True, "demonstration": True},
    ]
    assert rows(Shape.PREFERENCE, rated) == [
        {"prompt": asked, "chosen": said[2], "rejected": said[1], "demonstration": True},
        {"prompt": asked, "chosen": said[0], "rejected": said[1]},
    ]
