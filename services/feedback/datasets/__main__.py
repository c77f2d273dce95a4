"""`python -m services.feedback.datasets`: builds the one data set that its standard input orders."""

import asyncio
import os
import sys
import threading

import msgspec

from libs.kit.telemetry import configure_logging
from services.feedback.datasets.build import build
from services.feedback.datasets.order import Order, Report


def main() -> None:
    """Read the order, build, report."""
    configure_logging("feedback-datasets")
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    asyncio.run(build(order, _tell))


def _tell(report: Report) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
    sys.stdout.buffer.flush()


def _end_with_parent() -> None:
    """Whoever ordered holds the other end; when it closes, nobody wants the result any more."""
    # Past Python's own buffer, whose lock would be held when the interpreter ends.
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
