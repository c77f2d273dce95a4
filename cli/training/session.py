"""How the asynchronous part of a verb is run beside the trainer."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from cli.session import AUTHOR, run_with
from cli.training.rest import RestTrainer

__all__ = ["AUTHOR", "with_trainer"]

T = TypeVar("T")


def with_trainer(work: Callable[[RestTrainer], Awaitable[T]]) -> T:
    """Run `work` with the trainer that is meant, as `cli.session.run_with` says."""
    return run_with(RestTrainer, work)
