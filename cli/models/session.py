"""How the asynchronous part of a verb is run beside the registry."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from cli.models.rest import RestRegistry
from cli.session import AUTHOR, run_with

__all__ = ["AUTHOR", "with_registry"]

T = TypeVar("T")


def with_registry(work: Callable[[RestRegistry], Awaitable[T]]) -> T:
    """Run `work` with the registry that is meant, as `cli.session.run_with` says."""
    return run_with(RestRegistry, work)
