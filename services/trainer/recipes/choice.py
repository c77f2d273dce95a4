"""Which method `auto` becomes, and why: decided by what the rows have and by what was measured."""

from dataclasses import dataclass
from typing import Final

from libs.contracts.training import Method
from libs.kit.errors import ServiceError
from services.trainer.recipes.parts.rows import Answer, Pair, Row, Text

FEW_GOOD: Final = 32
"""Fewer good answers are too few to imitate: what was judged badly has to say something, too."""
FEW_BAD: Final = 32


@dataclass(frozen=True)
class Choice:
    """A method and the reason for it, for the job's log."""

    method: Method
    reason: str


def choose(rows: list[Row]) -> Choice:
    """The method for these rows.

    On the starter model no setting of DPO or KTO that was tried was better than imitating what was judged well, and
    most lost more of what is seldom rated (LOG.md, entry 4). So that is chosen wherever there is enough to imitate; DPO
    and KTO are for data in which there is not.
    """
    if all(isinstance(row, Text) for row in rows):
        return Choice(Method.PRETRAIN, "the rows are plain text")
    pairs = sum(isinstance(row, Pair) for row in rows)
    good = pairs + sum(isinstance(row, Answer) and row.good for row in rows)
    bad = pairs + sum(isinstance(row, Answer) and not row.good for row in rows)
    if good >= FEW_GOOD or bad < FEW_BAD:
        return Choice(Method.SFT, f"{good} good answers are there to be imitated")
    if pairs:
        return Choice(Method.DPO, f"{good} good answers are too few to imitate alone, and {pairs} pairs compare")
    return Choice(Method.KTO, f"{good} good answers are too few to imitate alone, and {bad} thumbs point down")


def check(method: Method, rows: list[Row]) -> None:
    """Accept rows that `method` can use.

    Raises:
        ServiceError: `bad_dataset`, with what it would need.
    """
    texts = all(isinstance(row, Text) for row in rows)
    if texts != (method is Method.PRETRAIN):
        raise _bad("pretrain learns from plain text (rows with `text`), and from nothing else can text be learned.")
    if method is Method.DPO and not all(isinstance(row, Pair) for row in rows):
        raise _bad("dpo needs pairs: build a data set of shape preference, or let it be sft or kto.")
    if method is Method.KTO:
        labels = {row.good for row in rows if isinstance(row, Answer)} | ({True, False} if _has_pairs(rows) else set())
        if len(labels) < 2:
            only = "good" if True in labels else "bad"
            raise _bad(f"kto needs good and bad answers, and all of these are {only}: use sft, or rate more.")


def _has_pairs(rows: list[Row]) -> bool:
    return any(isinstance(row, Pair) for row in rows)


def _bad(message: str) -> ServiceError:
    return ServiceError("bad_dataset", message, param="method")
