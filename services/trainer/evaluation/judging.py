"""Compares the answers of both sides pair by pair: a served model or a rule says which is better, or neither.

A model is asked in both orders, because models prefer a place (Zheng et al. 2023, arXiv:2306.05685); where the orders
disagree it is a tie. A tie counts one half.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from libs.contracts.evaluation import Judge
from services.trainer.evaluation.answers import Answer
from services.trainer.evaluation.items import Item, content_text
from services.trainer.evaluation.rules import AnswerRule
from services.trainer.evaluation.scores import Scores, mean

VERDICT_TOKENS: Final = 16
WIN: Final = 1.0
TIE: Final = 0.5
LOSS: Final = 0.0
_NAMED: Final = re.compile(r"\b(?:A|B|[Tt]ie|TIE)\b")
_MOST_CHARACTERS: Final = 8_000
_INSTRUCTION: Final = "Prefer the answer that is right, answers the question, and is kind."
_PROMPT: Final = """Two assistants answered the same question. {instruction}

<question>
{question}
</question>

<answer_a>
{a}
</answer_a>

<answer_b>
{b}
</answer_b>

Which answer is better? Reply with one word: A, B or tie."""

Outcomes = Mapping[tuple[str, int], float]
"""By item and sample: won, tied or lost by the candidate; a pair that was not judged is missing."""


def prompt(judge: Judge, item: Item, first: str, second: str) -> list[dict[str, Any]]:
    """What a model is asked about two answers."""
    asked = "\n".join(f"{m['role']}: {content_text(m.get('content'))}" for m in item.messages)
    text = _PROMPT.format(
        instruction=judge.instruction or _INSTRUCTION,
        question=asked[-_MOST_CHARACTERS:],
        a=first[:_MOST_CHARACTERS],
        b=second[:_MOST_CHARACTERS],
    )
    return [{"role": "user", "content": text}]


def choice(said: str) -> str:
    """`a`, `b` or `tie`; whoever names several, or none, says that it is a tie."""
    whole = said.strip(" .*\"'\n\t").lower()
    named = {whole} if whole in {"a", "b"} else {name.lower() for name in _NAMED.findall(said)}
    return named.pop() if len(named) == 1 else "tie"


def settled(first: Answer, second: Answer) -> float | None:
    """The outcome without asking anybody, where one answer never came or both say the same; else nothing."""
    if first.error or second.error:
        return TIE if first.error and second.error else LOSS if first.error else WIN
    return TIE if first.text.strip() == second.text.strip() else None


def of_both_orders(forward: str, backward: str) -> float:
    """The outcome for the candidate, who was A in the first and B in the second question."""
    if (forward, backward) == ("a", "b"):
        return WIN
    if (forward, backward) == ("b", "a"):
        return LOSS
    return TIE


def by_rule(
    rule: AnswerRule, pairs: Iterable[tuple[Item, Sequence[Answer], Sequence[Answer]]]
) -> dict[tuple[str, int], float]:
    """Outcomes where an answer that fulfils the rule beats one that does not; items it says nothing of are left out."""
    outcomes = {}
    for item, candidates, baselines in pairs:
        for number, (candidate, baseline) in enumerate(zip(candidates, baselines, strict=True)):
            ours, theirs = _held(rule, item, candidate), _held(rule, item, baseline)
            if ours is not None and theirs is not None:
                outcomes[item.id, number] = TIE if ours == theirs else float(ours)
    return outcomes


def win_rate(items: Sequence[Item], samples: int, outcomes: Outcomes) -> tuple[Scores, Scores]:
    """The candidate's wins, and one half, against which they are compared."""
    found = [[outcomes[item.id, n] for n in range(samples) if (item.id, n) in outcomes] for item in items]
    counts = np.array([len(values) for values in found], np.float64)
    points = np.array([sum(values) for values in found], np.float64)
    return mean(points, counts), mean(TIE * counts, counts)


def _held(rule: AnswerRule, item: Item, answer: Answer) -> bool | None:
    said = rule(item, answer)
    return None if said is None else said and not answer.error
