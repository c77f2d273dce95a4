"""How the asynchronous part of a verb is run beside feedback."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from cli.feedback.rest import RestFeedback
from cli.session import AUTHOR, run_with

__all__ = ["AUTHOR", "with_feedback"]

T = TypeVar("T")


def with_feedback(work: Callable[[RestFeedback], Awaitable[T]]) -> T:
    """Run `work` with the feedback that is meant, as `cli.session.run_with` says."""
    return run_with(RestFeedback, work)
