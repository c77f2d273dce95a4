"""Amounts as plain tuples, one number for each kind of thing that is limited, in one order."""

from collections.abc import Iterable
from typing import Final

from libs.contracts.identity import Amounts, Limits

Quantity = tuple[int, int, int, int]
REQUESTS: Final = 0
TOKENS: Final = 1
SLOTS: Final = 2
BUDGET: Final = 3
KINDS: Final = (REQUESTS, TOKENS, SLOTS, BUDGET)
RATES: Final = (REQUESTS, TOKENS)
ZERO: Final[Quantity] = (0, 0, 0, 0)


def quantity_of(amounts: Amounts) -> Quantity:
    """The numbers of a message; what is negative counts as nothing."""
    return (
        max(0, amounts.requests),
        max(0, amounts.tokens),
        max(0, amounts.slots),
        max(0, amounts.budget_tokens),
    )


def limit_of(limits: Limits) -> Quantity:
    """The numbers of a holder's limits; 0 is no limit."""
    return (limits.requests_per_minute, limits.tokens_per_minute, limits.concurrency, limits.budget_tokens)


def amounts_of(numbers: Iterable[int]) -> Amounts:
    """As a message says them."""
    requests, tokens, slots, budget_tokens = numbers
    return Amounts(requests=requests, tokens=tokens, slots=slots, budget_tokens=budget_tokens)
