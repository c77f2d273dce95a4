"""Measures a version against another on questions that training never saw, and judges it by a gate."""

from collections.abc import Callable

from services.trainer.work.order import Evaluate, Report


def run(order: Evaluate, report: Callable[[Report], None]) -> None:
    """Carry out an order; the last report is `Done`.

    Raises:
        ServiceError: why there is no report.
    """
    # The pure parts of this package are of use without clients and statistics libraries, which take a second to import.
    from services.trainer.evaluation.job import carry_out  # noqa: PLC0415

    carry_out(order, report)
