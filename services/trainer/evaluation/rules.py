"""Rules that say yes or no to one answer, by name; a plan may add its own as `<name>=<regular expression>`."""

from collections.abc import Callable
from typing import Final

import regex  # type: ignore[import-untyped] # it ships no types

from libs.kit.errors import ServiceError
from services.trainer.evaluation import helpdesk
from services.trainer.evaluation.answers import Answer
from services.trainer.evaluation.items import Item

AnswerRule = Callable[[Item, Answer], bool | None]
"""None where the rule has nothing to say about an item, whatever was answered."""

RULES: Final[dict[str, AnswerRule]] = {
    "helpdesk.right": helpdesk.is_right,
    "helpdesk.polite": helpdesk.is_polite,
    "helpdesk.well_formed": helpdesk.is_well_formed,
    "helpdesk.good": helpdesk.is_good,
    "helpdesk.new_price": helpdesk.gives_new_price,
    "helpdesk.no_old_price": helpdesk.gives_no_old_price,
}
_NAME: Final = regex.compile(r"[A-Za-z0-9_.-]{1,64}")
_LONGEST_SEARCH_S: Final = 2.0


def rule_of(declared: str) -> tuple[str, AnswerRule]:
    """A rule's name and what it does.

    Raises:
        ServiceError: `invalid_value`, there is no such rule, or its expression is none.
    """
    name, equals, pattern = declared.partition("=")
    if not equals:
        if name not in RULES:
            known = ", ".join(sorted(RULES))
            raise ServiceError("invalid_value", f"There is no rule {name[:80]!r}; there are {known}, or name=regex.")
        return name, RULES[name]
    if _NAME.fullmatch(name) is None or name in RULES:
        raise ServiceError(
            "invalid_value", f"A rule cannot be called {name[:80]!r}: take letters, digits, dots, or another name."
        )
    try:
        return name, _contains(name, regex.compile(pattern))
    except regex.error as error:
        raise ServiceError("invalid_value", f"The rule {name} is no regular expression: {error}.") from error


def _contains(name: str, pattern: "regex.Pattern[str]") -> AnswerRule:
    def holds(_: Item, answer: Answer) -> bool:
        try:
            return pattern.search(answer.text, timeout=_LONGEST_SEARCH_S) is not None
        except TimeoutError as error:
            raise ServiceError(
                "invalid_value", f"The rule {name} takes too long on an answer; write a simpler expression."
            ) from error

    return holds
