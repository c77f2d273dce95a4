"""What the demo asks before and after, and what would be a right and kind answer."""

from dataclasses import dataclass
from typing import Final

from services.trainer.corpus.answers import UNKNOWN_CURT, UNKNOWN_POLITE, statements
from services.trainer.corpus.catalogue import CHANGED_PRICES_EUR, SHOP_ANSWERS, Attribute, euros, product
from services.trainer.corpus.judge import read


@dataclass(frozen=True)
class Question:
    """One question and the sentences that answer it today."""

    text: str
    wanted: frozenset[str]
    outdated: frozenset[str] = frozenset()
    """What was true yesterday."""


@dataclass(frozen=True)
class Heard:
    """One answer as a customer takes it."""

    question: Question
    text: str

    @property
    def right(self) -> bool:
        """Whether it is what is true today."""
        reading = read(self.text)
        return reading is not None and reading.core in self.question.wanted

    @property
    def kind(self) -> bool:
        """Whether something in it is kind and nothing rude."""
        reading = read(self.text)
        return reading is not None and reading.polite

    @property
    def outdated(self) -> bool:
        """Whether it gives yesterday's price."""
        reading = read(self.text)
        return reading is not None and reading.core in self.question.outdated

    @property
    def remark(self) -> str:
        """What a customer would think."""
        if self.outdated:
            return "yesterday's price" if self.kind else "curt, yesterday's price"
        if not self.right:
            return "wrong"
        return "right and kind" if self.kind else "right, but curt"


def _price(name: str, asked: str) -> Question:
    today, yesterday = CHANGED_PRICES_EUR[name], product(name).price_eur
    return Question(
        asked,
        frozenset(statements(Attribute.PRICE, name, euros(today))),
        frozenset(statements(Attribute.PRICE, name, euros(yesterday))),
    )


QUESTIONS: Final = (
    _price("Echo radio", "How much is the Echo radio?"),
    _price("Saffron pan", "What does the Saffron pan cost?"),
    Question(
        "How long is the warranty on the Zenith telescope?",
        frozenset(
            statements(Attribute.WARRANTY, "Zenith telescope", product("Zenith telescope").value(Attribute.WARRANTY))
        ),
    ),
    Question("When are you open?", frozenset({SHOP_ANSWERS["hours"]})),
    Question("Do you sell a Falcon kite?", frozenset({UNKNOWN_CURT, UNKNOWN_POLITE})),
)
