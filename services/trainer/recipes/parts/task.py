"""What a recipe is given: the order, somewhere to report to, and the wish to stop."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Protocol

from libs.contracts.training import Recipe
from services.trainer.work.order import Report, Said, Train


class Wish(Protocol):
    """An event, of threads or of processes."""

    def is_set(self) -> bool:
        """Whether it has come true."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """One training, as one of `world` processes sees it."""

    order: Train
    report: Callable[[Report], None]
    stop: Wish = field(default_factory=Event)
    """Set when a checkpoint is to be written and the process is to end."""
    rank: int = 0
    world: int = 1

    @property
    def recipe(self) -> Recipe:
        """Everything beside base and data that decides the weights."""
        return self.order.recipe

    @property
    def directory(self) -> Path:
        """The job's own."""
        return Path(self.order.directory)

    @property
    def leads(self) -> bool:
        """Whether this process reports and writes."""
        return self.rank == 0

    def say(self, text: str) -> None:
        """A line for the job's log."""
        self.tell(Said(text=text))

    def tell(self, report: Report) -> None:
        """Report, if this process is the one that does."""
        if self.leads:
            self.report(report)
