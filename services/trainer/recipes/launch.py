"""One process, or one per GPU that the recipe asks for."""

from collections.abc import Callable
from threading import Event

from services.trainer.recipes.parts.task import Task
from services.trainer.recipes.run import run
from services.trainer.work.order import Report, Train


def launch(order: Train, report: Callable[[Report], None], stop: Event) -> None:
    """Train as the order says."""
    run(Task(order=order, report=report, stop=stop))
