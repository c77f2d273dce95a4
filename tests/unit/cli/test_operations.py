"""The verbs of operators: what is asked, what is shown, and that nothing written elsewhere orders a terminal."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import typer
from typer.testing import CliRunner

from cli.commands import dead_letters as letters_command
from cli.commands import queues as queues_command
from cli.commands import settings as settings_command
from cli.commands import workers as workers_command
from cli.operations import letters, queues, settings, workers
from libs.contracts import effective as e
from libs.contracts import letters as d
from libs.contracts import scheduling as s
from libs.contracts.inference import ServiceClass
from tests.contract.operations_samples import LETTER, SECRET, SETTING
from tests.contract.scheduling_samples import CORDON, POOL, WAITING, WORKER

NASTY = msgspec.structs.replace(WORKER, name="w [bold]\x1b[31m", id="w2", cordon=None)
BUSY = s.WorkerChanged(worker=WORKER, left=0, warning="No worker of the pool is left.")
IDLE = s.WorkerChanged(worker=WORKER, idle=True, left=1)


class Service:
    """Answers each call with the next of its answers."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.answers: dict[str, list[Any]] = {}

    async def call(self, operation: str, request: msgspec.Struct) -> Any:
        self.asked.append((operation, request))
        return self.answers[operation].pop(0)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    made = Service()

    def run_with(_: type, work: Callable[[Any], Any]) -> Any:
        return asyncio.run(work(made))

    for module in (workers, queues, letters, settings):
        monkeypatch.setattr(module, "run_with", run_with)
    return made


def _run(command: Any, *arguments: str, given: str = "") -> Any:
    app = typer.Typer(add_completion=False)
    verbs = getattr(command, "VERBS", None)
    if verbs is None:
        app.command()(command.run)
    else:
        for verb, run in verbs.items():
            app.command(verb)(run)
    return CliRunner().invoke(app, arguments, input=given, env={"COLUMNS": "300"})


def test_workers_are_listed_over_all_pages_and_absent_cordons_are_named(service: Service) -> None:
    service.answers["worker_list"] = [s.WorkerPage((WORKER,), (CORDON,), "w1"), s.WorkerPage((NASTY,))]
    shown = _run(workers_command, "list", "--pool", "default")
    assert shown.exit_code == 0, shown.output
    assert [request.after for _, request in service.asked] == ["", "w1"]
    assert all(text in shown.output for text in ("w1", "w2", "3/16", "it is hot", "cordoned, and not there", "[bold]"))
    assert "\x1b[31m" not in shown.output


def test_a_worker_is_shown_cordoned_and_given_work_again(service: Service) -> None:
    service.answers = {"worker_show": [WORKER], "worker_cordon": [BUSY], "worker_uncordon": [s.WorkerChanged(left=1)]}
    shown = _run(workers_command, "show", "worker-0")
    assert all(text in shown.output for text in ("no, since", "by ops", "it is hot", "r1", "no room"))
    told = _run(workers_command, "cordon", "worker-0", "--reason", "hot")
    assert ("No worker of the pool is left." in told.output, told.exit_code) == (True, 0)
    assert _run(workers_command, "uncordon", "worker-0").exit_code == 0
    (_, cordon), (_, uncordon) = service.asked[1:]
    assert (cordon.id, cordon.reason, uncordon.id) == ("worker-0", "hot", "worker-0")


def test_a_drain_asks_until_the_worker_is_idle_or_time_is_over(service: Service) -> None:
    service.answers["worker_drain"] = [BUSY, BUSY, IDLE]
    done = _run(workers_command, "drain", "worker-0", "--timeout", "50")
    assert (done.exit_code, "is idle" in done.output) == (0, True)
    assert [request.wait_s for _, request in service.asked] == [20.0, 20.0, 10.0]
    service.answers["worker_drain"] = [BUSY]
    late = _run(workers_command, "drain", "worker-0", "--timeout", "1")
    assert (late.exit_code, "still busy" in late.output) == (1, True)


def test_queues_are_shown_and_requests_called_off(service: Service) -> None:
    page, last = s.RequestPage((WAITING,), 9), s.RequestPage((msgspec.structs.replace(WAITING, id="r2"),))
    service.answers = {
        "queue_list": [s.PoolPage((POOL,))],
        "request_list": [page, last],
        "request_cancel": [s.RequestCancelled(id="r1", was="running", worker="w1")],
        "queue_purge": [s.QueuePurged(1_300)],
    }
    listed = _run(queues_command, "list")
    assert all(text in listed.output for text in ("default", "3/32", "batch"))
    shown = _run(queues_command, "show", "default", "--class", "standard")
    assert all(text in shown.output for text in ("r1", "r2", "shop", "helpdesk"))
    assert [request.after for name, request in service.asked if name == "request_list"] == [0, 9]
    assert "it was running on w1" in _run(queues_command, "cancel", "r1").output
    assert _run(queues_command, "purge", "default", given="n\n").exit_code == 1
    assert service.answers["queue_purge"], "nothing was asked"
    purged = _run(queues_command, "purge", "default", "--class", "batch", "--yes")
    assert "1,300 requests" in purged.output
    assert service.asked[-1][1].service_class is ServiceClass.BATCH


def test_dead_letters_are_listed_shown_replayed_and_dropped(service: Service) -> None:
    other = msgspec.structs.replace(LETTER, id="rollout-8")
    service.answers = {
        "letter_list": [
            d.AllLetters(letters=(LETTER,), away=("audit",), next="rollout-7"),
            d.AllLetters(letters=(other,), away=("audit",)),
        ],
        "letter_show": [LETTER],
        "letter_read": [d.LetterText(LETTER, "words \x1b[31m")],
        "letter_replay": [LETTER, msgspec.structs.replace(LETTER, waits=True)],
        "letter_drop": [LETTER],
    }
    listed = _run(letters_command, "list", "--service", "rollout")
    assert all(text in listed.output for text in ("rollout-7", "rollout-8", "audit does not answer", "no such event"))
    assert "words" not in _run(letters_command, "show", "rollout-7").output
    read = _run(letters_command, "show", "rollout-7", "--payload")
    assert ("words" in read.output, "\x1b[31m" in read.output) == (True, False)
    assert "is taken in" in _run(letters_command, "replay", "rollout-7").output
    assert "is a dead letter again" in _run(letters_command, "replay", "rollout-7").output
    assert "is forgotten" in _run(letters_command, "drop", "rollout-7").output
    assert [request.id for _, request in service.asked[2:]] == ["rollout-7"] * 5


def test_settings_are_shown_service_by_service(service: Service) -> None:
    level = e.Setting(name="ROLLOUT_LOG_LEVEL", value="DEBUG", source="default", was="INFO")
    rollout = e.Settings(service="rollout", settings=(SETTING, SECRET, level), instance="r1")
    told = e.AllSettings((rollout, e.Settings(service="audit", away=True)))
    service.answers["settings_show"] = [told, told]
    everything = _run(settings_command)
    assert all(text in everything.output for text in ("ROLLOUT_RETRY_S", "0.5", "set", "audit does not answer"))
    changed = _run(settings_command, "rollout", "--changed")
    assert ("ROLLOUT_RETRY_S" in changed.output, "ROLLOUT_NATS__PASSWORD" in changed.output) == (False, True)
    assert "an operator; was INFO" in changed.output
    assert service.asked[-1][1].service == "rollout"


def test_a_service_is_told_how_much_to_log(service: Service) -> None:
    told = e.ProcessLogLevel(instance="r1", level="DEBUG", was="INFO")
    away = e.ProcessLogLevel(instance="r2", away=True)
    service.answers["log_level_set"] = [
        e.LogLevels(service="rollout", processes=(told,)),
        e.LogLevels(service="rollout", processes=(told, away)),
    ]
    one = _run(settings_command, "rollout", "--log-level", "debug", "--process", "r1")
    assert ("rollout r1 logs DEBUG, was INFO" in one.output, one.exit_code) == (True, 0)
    both = _run(settings_command, "rollout", "--log-level", "DEBUG")
    assert ("rollout r2 does not answer" in both.output, both.exit_code) == (True, 1)
    asked = [request for _, request in service.asked]
    assert [(one.service, one.level, one.instance) for one in asked] == [
        ("rollout", "DEBUG", "r1"), ("rollout", "DEBUG", ""),
    ]  # fmt: skip
    for wrong in (("--log-level", "DEBUG"), ("rollout", "--process", "r1")):
        assert _run(settings_command, *wrong).exit_code == 2
    assert len(service.asked) == 2


@pytest.mark.parametrize(
    ("command", "arguments", "operation", "answer"),
    [
        (workers_command, ("list",), "worker_list", s.WorkerPage((WORKER,), (CORDON,))),
        (workers_command, ("show", "w1"), "worker_show", WORKER),
        (workers_command, ("cordon", "w1"), "worker_cordon", BUSY),
        (queues_command, ("cancel", "r1"), "request_cancel", s.RequestCancelled(id="r1", was="waiting")),
        (letters_command, ("show", "rollout-7"), "letter_show", LETTER),
        (settings_command, (), "settings_show", e.AllSettings((e.Settings(service="rollout", settings=(SETTING,)),))),
    ],
)
def test_for_programs_the_answer_is_json(
    service: Service, command: Any, arguments: tuple[str, ...], operation: str, answer: msgspec.Struct
) -> None:
    service.answers[operation] = [answer]
    shown = _run(command, *arguments, "--json")
    assert msgspec.json.decode(shown.output, type=type(answer)) == answer
