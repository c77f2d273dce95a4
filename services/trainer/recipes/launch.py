"""One process, or one per GPU that the recipe asks for, each with all weights (distributed data parallel)."""

import ctypes
import multiprocessing
import signal
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any, Final

import msgspec
import torch
from accelerate.utils import patch_environment  # type: ignore[import-untyped] # it ships no types
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException, start_processes

from libs.kit.errors import ServiceError
from services.trainer.recipes.parts.task import Task, Wish
from services.trainer.recipes.run import run
from services.trainer.work.failures import failure_of
from services.trainer.work.order import Failed, Report, Train

LOOK_EVERY_S: Final = 1.0
_PR_SET_PDEATHSIG: Final = 1
_HERE: Final = "127.0.0.1"


def launch(order: Train, report: Callable[[Report], None], stop: threading.Event) -> None:
    """Train as the order says, on as many of the GPUs that there are as it wants.

    Raises:
        ServiceError: what went wrong.
    """
    devices = min(order.recipe.devices, torch.cuda.device_count())
    if devices > 1:
        run_together(order, report, stop, devices)
    else:
        run(Task(order=order, report=report, stop=stop))


def run_together(order: Train, report: Callable[[Report], None], stop: threading.Event, processes: int) -> None:
    """Train in several processes of this machine; the first of them reports.

    Raises:
        ServiceError: what one of them failed of; the others are ended.
    """
    context = multiprocessing.get_context("spawn")
    said, wish = context.SimpleQueue(), context.Event()
    arguments = (msgspec.json.encode(order), said, wish, processes, _free_port())
    ranks: Any = start_processes(  # type: ignore[no-untyped-call] # torch's
        _work, arguments, nprocs=processes, join=False, daemon=True, start_method="spawn"
    )
    failures: list[Failed] = []

    def hear() -> None:
        while (line := said.get()) is not None:
            heard: Report = msgspec.json.decode(line, type=Report)
            if isinstance(heard, Failed):
                failures.append(heard)
            else:
                report(heard)

    ear = threading.Thread(target=hear)
    ear.start()
    try:
        while not ranks.join(timeout=LOOK_EVERY_S):
            if stop.is_set():
                wish.set()
    except (ProcessRaisedException, ProcessExitedException) as error:
        said.put(None)
        ear.join()
        raise _told(failures, error) from error
    said.put(None)
    ear.join()


def _told(failures: list[Failed], error: Exception) -> ServiceError:
    """The first failure said what happened; those after it are its echo in the other processes."""
    first = failures[0] if failures else failure_of(error)
    return ServiceError(first.code, first.message)


def _work(rank: int, order: bytes, said: Any, stop: Wish, world: int, port: int) -> None:
    """One of the processes."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # whoever started this one tells it
    place = {"rank": rank, "local_rank": rank, "world_size": world, "local_world_size": world}
    with patch_environment(master_addr=_HERE, master_port=port, **place):
        task = Task(
            order=msgspec.json.decode(order, type=Train),
            report=lambda report: said.put(msgspec.json.encode(report)),
            stop=stop,
            rank=rank,
            world=world,
        )
        try:
            run(task)
        except Exception as error:
            said.put(msgspec.json.encode(failure_of(error)))
            raise


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HERE, 0))
        port: int = probe.getsockname()[1]
        return port
