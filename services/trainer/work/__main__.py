"""Does one job's heavy work: `python -m services.trainer.work`, an order on standard input, reports on standard output.

See `services.trainer.work.order` for what is said. What libraries print goes to standard error.
"""

import contextlib
import ctypes
import os
import signal
import sys
import threading
import traceback
from types import FrameType
from typing import IO, Final

import msgspec

from services.trainer.work.failures import failure_of
from services.trainer.work.order import Evaluate, Failed, Order, Report, Stopped, Train

_PR_SET_PDEATHSIG: Final = 1
_encoder: Final = msgspec.json.Encoder()


class Channel:
    """Standard input and output as the trainer knows them; what libraries print there goes to standard error."""

    def __init__(self) -> None:
        self._input: IO[bytes] = os.fdopen(os.dup(0), "rb")
        self._output: IO[bytes] = os.fdopen(os.dup(1), "wb")
        self._lock = threading.Lock()
        os.dup2(2, 1)

    def read_order(self) -> Order:
        """The order.

        Raises:
            msgspec.DecodeError: the line is none.
        """
        order: Order = msgspec.json.decode(self._input.readline(), type=Train | Evaluate)
        return order

    def report(self, report: Report) -> None:
        """Say it, whole and at once; with nobody left to hear it this process ends."""
        with self._lock:
            try:
                self._output.write(_encoder.encode(report) + b"\n")
                self._output.flush()
            except BrokenPipeError:
                os._exit(1)

    def end_when_nobody_waits(self) -> None:
        """Have this process end as soon as standard input does."""
        threading.Thread(target=self._wait_for_end, daemon=True).start()

    def _wait_for_end(self) -> None:
        while self._input.read(1 << 16):
            pass
        os._exit(1)


def main() -> int:
    """Read the order, do it, say how it went."""
    stop = threading.Event()

    def on_stop(_: int, __: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, on_stop)
    if sys.platform == "linux":
        # Standard input tells the same, but only to a process that is listening.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    _prepare_environment()
    channel = Channel()
    try:
        order = channel.read_order()
    except msgspec.DecodeError as error:
        channel.report(Failed(code="invalid_value", message=f"This is no order: {error}."))
        return 1
    channel.end_when_nobody_waits()
    try:
        _do(order, channel, stop)
    except Exception as error:  # noqa: BLE001 - whatever it is, the trainer is told, with a code
        channel.report(failure_of(error))
        # Standard error may be a file on the disk that is full.
        with contextlib.suppress(OSError):
            traceback.print_exception(error)
        return 1
    return 0


def _do(order: Order, channel: Channel, stop: threading.Event) -> None:
    """Libraries are imported here: they take seconds, in which the order to stop must already be understood."""
    if isinstance(order, Evaluate):
        from services.trainer import evaluation  # noqa: PLC0415

        evaluation.run(order, channel.report)
        return
    from services.trainer.recipes.launch import launch  # noqa: PLC0415

    if stop.is_set():
        channel.report(Stopped(step=0))
        return
    launch(order, channel.report, stop)


def _prepare_environment() -> None:
    """What libraries read from the environment only: nothing is fetched, and nobody is told."""
    os.environ |= {
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    }


if __name__ == "__main__":
    # Threads of libraries may still run; there is nothing left to wait for.
    code = main()
    with contextlib.suppress(OSError):
        sys.stderr.flush()
    os._exit(code)
