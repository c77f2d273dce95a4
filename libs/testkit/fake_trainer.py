"""`python -m libs.testkit.fake_trainer`: obeys a trainer's order as `services.trainer.work` does, in milliseconds.

Its weights are a chain of digests over the rows and steps, so that a run that was killed and resumed can be compared
with one that was not. The file that `FAKE_TRAINER` names says how it behaves, and is read again at every step.
"""

import hashlib
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from libs.contracts.evaluation import EvaluationReport, Outcome, Verdict
from libs.contracts.training import JobProgress
from libs.kit.errors import ServiceError
from libs.testkit.models import write_adapter
from services.trainer import evaluation
from services.trainer.work.failures import failure_of
from services.trainer.work.order import (
    Checkpointed,
    Done,
    Evaluate,
    Failed,
    Order,
    Progressed,
    Report,
    Said,
    Started,
    Stopped,
    Train,
)

VARIABLE: Final = "FAKE_TRAINER"
_STEPS: Final = 10
_LOOK_S: Final = 0.01
_TINY_FILE_BYTES: Final = 64


class Behaviour(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """How it behaves."""

    wait_at: int = -1
    """Stay before this step until this changes."""
    fail: str = ""
    """`diverge`, `killed`, `silent`, `disk`, `deaf` (does not hear the order to stop), `retry`, or `refuse`."""
    fail_at: int = 0
    """Before which step."""
    once: bool = False
    """Fail only once, whoever does it first."""
    step_ms: float = 1.0
    really_evaluates: bool = False
    """Have an evaluation ask and score as the service's own process does."""


def behave(file: Path, behaviour: Behaviour) -> None:
    """Tell those that run with `file` how to behave from here on."""
    draft = file.with_name(f".{file.name}")
    draft.write_bytes(msgspec.json.encode(behaviour))
    draft.rename(file)


class _Run:
    """One order."""

    def __init__(self, file: str, stop: threading.Event) -> None:
        self._file = Path(file) if file else None
        self._stop = stop

    @property
    def behaviour(self) -> Behaviour:
        """As it is now."""
        if self._file is None:
            return Behaviour()
        return msgspec.json.decode(self._file.read_bytes(), type=Behaviour)

    def train(self, order: Train) -> None:
        """Make an adapter."""
        steps = order.recipe.steps or _STEPS
        directory = Path(order.directory)
        rows = Path(order.rows).read_bytes()
        step, state = _newest(directory, hashlib.sha256(rows).hexdigest())
        _tell(Started(method="sft", rows=rows.count(b"\n"), steps=steps, resumed_step=step))
        while step < steps:
            if not self._before(step):
                _checkpoint(directory, step, state)
                _tell(Checkpointed(step=step))
                _tell(Stopped(step=step))
                return
            step, state = step + 1, hashlib.sha256(f"{state} {step}".encode()).hexdigest()
            _tell(Progressed(progress=JobProgress(step=step, steps=steps, loss=1 / step, tokens_per_s=100.0)))
            if step % order.recipe.checkpoint_steps == 0:
                _checkpoint(directory, step, state)
                _tell(Checkpointed(step=step))
        result = write_adapter(directory / "result", seed=int(state[:8], 16))
        (result / "README.md").write_text("# Made by the fake trainer\n")
        # As with a time that was taken: no two runs say exactly the same.
        _tell(Done(metrics={"loss": 1 / steps, "process": float(os.getpid())}))

    def evaluate(self, order: Evaluate) -> None:
        """Write a report that says what was ordered, and a verdict."""
        if self.behaviour.really_evaluates:
            evaluation.run(order, _tell)
            return
        _tell(Started(rows=len(order.tasks), steps=len(order.tasks)))
        if not self._before(0):
            _tell(Stopped(step=0))
            return
        missing = [path for path in (*order.tasks.values(), *order.seen, order.base) if not Path(path).exists()]
        if missing:
            _tell(Failed(code="internal_error", message=f"not there: {missing}"))
            return
        result = Path(order.directory) / "result"
        result.mkdir()
        verdict = Verdict(outcome=Outcome.BETTER, passed=True, reason="It is better by far.")
        report = EvaluationReport(
            candidate=order.plan.candidate,
            baseline=order.plan.baseline,
            plan=order.plan,
            values=(),
            verdict=verdict,
        )
        (result / "report.json").write_bytes(msgspec.json.encode(report))
        (result / "order.json").write_bytes(msgspec.json.encode(order))
        (result / "README.md").write_text("# A report of the fake trainer\n")
        # No two runs say the same, so that a report that was published twice is two versions.
        _tell(Done(metrics={"shop/exact_match": 1.0, "process": float(os.getpid())}))

    def _before(self, step: int) -> bool:
        """Do what the behaviour says; False if it is time to stop."""
        behaviour = self.behaviour
        if behaviour.fail and behaviour.fail_at == step:
            if behaviour.once and self._file is not None:
                behave(self._file, msgspec.structs.replace(behaviour, fail=""))
            _FAILURES[behaviour.fail]()
        while behaviour.wait_at == step and (not self._stop.is_set() or behaviour.fail == "deaf"):
            time.sleep(_LOOK_S)
            behaviour = self.behaviour
        time.sleep(behaviour.step_ms / 1_000)
        return not self._stop.is_set()


def _newest(directory: Path, seed: str) -> tuple[int, str]:
    whole = sorted((int(path.parent.name), path) for path in (directory / "checkpoints").glob("*/manifest.json"))
    if not whole:
        return 0, seed
    found = msgspec.json.decode(whole[-1][1].read_bytes())
    return whole[-1][0], str(found["state"])


def _checkpoint(directory: Path, step: int, state: str) -> None:
    target = directory / "checkpoints" / str(step)
    if (target / "manifest.json").exists():
        return
    write_adapter(target, seed=int(state[:8], 16))
    (target / "adapter_config.json").rename(target / "state.json")
    (target / "manifest.json").write_bytes(msgspec.json.encode({"state": state, "step": step}))


def _diverge() -> None:
    _end(Failed(code="training_diverged", message="The loss is not a number at step 3."))


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _silent() -> None:
    sys.stderr.write("a library gave up\n")
    sys.stderr.flush()
    os._exit(3)


def _disk() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (_TINY_FILE_BYTES, _TINY_FILE_BYTES))


def _retry() -> None:
    _end(Failed(code="no_worker", message="Nobody answers."))


def _refuse() -> None:
    _end(Failed(code="bad_dataset", message="There are only ups."))


_FAILURES: Final[dict[str, Callable[[], None]]] = {
    "diverge": _diverge,
    "killed": _kill,
    "silent": _silent,
    "disk": _disk,
    "deaf": lambda: None,
    "retry": _retry,
    "refuse": _refuse,
}


def _end(report: Report) -> None:
    _tell(report)
    os._exit(1)


def _tell(report: Report) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
    sys.stdout.buffer.flush()


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)


def main() -> None:
    """Read the order and obey."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    order: Order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Train | Evaluate)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    run = _Run(os.environ.get(VARIABLE, ""), stop)
    sys.stdout.write("not a report\n")
    _tell(Said(text="begins"))
    try:
        if isinstance(order, Train):
            run.train(order)
        else:
            run.evaluate(order)
    except (OSError, ServiceError) as error:
        _tell(failure_of(error))


if __name__ == "__main__":
    main()
