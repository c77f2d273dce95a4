"""The life of a whole stack: it tells about itself, comes back from kills, and leaves nothing."""

import json
import os
import re
import signal
import subprocess
import sys
from typing import Any

import msgspec

from deploy.local import lock, processes
from deploy.local.options import StackOptions
from deploy.local.state import PartPhase, Phase
from libs.contracts.discovery import SERVICES
from tests.integration.local.conftest import Commanded, until

FASTEST_PYTHON_MS = 100
"""No worker can have imported what it needs in less."""


def test_status_tells_programs_how_to_reach_it(shared_stack: Commanded) -> None:
    answer = shared_stack.run("status", "--json")
    told = json.loads(answer.stdout)

    assert answer.returncode == 0
    assert told["base_url"].endswith("/v1")
    assert told["api_key"].startswith("sk-llmos-")
    assert told["phase"] == Phase.READY
    assert {part["phase"] for part in told["parts"]} == {PartPhase.READY, PartPhase.DONE}
    assert told["ports"]["gateway"] == int(told["base_url"].split(":")[2].split("/")[0])


def _services(told: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    return {service["name"]: service["instances"] for service in told["services"]}


def _status(stack: Commanded) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(stack.run("status", "--json").stdout)
    return told


def test_every_service_answers_on_the_bus_as_the_process_that_runs(shared_stack: Commanded) -> None:
    until(
        lambda: all(each and each[0].get("ready") for each in _services(_status(shared_stack)).values()),
        "everybody",
        120,
    )
    told = _status(shared_stack)
    found = _services(told)

    assert set(found) == set(SERVICES)
    pids = {part["name"].partition("-")[0]: part["pid"] for part in told["parts"]}
    assert {name: each[0]["pid"] for name, each in found.items()} == {name: pids[name] for name in SERVICES}
    asked = next(one for one in found["registry"][0]["endpoints"] if one["name"] == "version_list")
    assert asked["requests"] > 0, "the stack itself has asked whether it answers"
    assert shared_stack.run("status").stdout.count(" ready") >= len(SERVICES)
    listed = shared_stack.run("services")
    assert (listed.returncode, all(name in listed.stdout for name in SERVICES)) == (0, True), listed.stdout


def test_status_says_who_runs_but_does_not_answer(shared_stack: Commanded) -> None:
    before = {part.name: part for part in shared_stack.state.parts}
    os.kill(before["events"].pid, signal.SIGSTOP)
    try:
        shown = shared_stack.run("status").stdout
        assert not _services(_status(shared_stack))["events"]
        listed = shared_stack.run("services")
    finally:
        os.kill(before["events"].pid, signal.SIGCONT)

    assert re.search(r"! +events .*does not answer on the bus", shown), shown
    assert (listed.returncode, "nobody answers" in listed.stdout) == (1, True)
    until(lambda: bool(_services(_status(shared_stack))["events"]), "its answer", 120)


def test_it_answers_through_the_official_sdk(shared_stack: Commanded) -> None:
    assert shared_stack.ask()


def test_up_when_it_is_up_says_so_and_changes_nothing(shared_stack: Commanded) -> None:
    before = shared_stack.state.supervisor_pid
    again = shared_stack.run("up")

    assert (again.returncode, "Already up" in again.stdout) == (0, True)
    assert shared_stack.state.supervisor_pid == before


def test_a_second_supervisor_on_the_same_home_is_refused(shared_stack: Commanded) -> None:
    options = msgspec.json.encode(StackOptions(home=str(shared_stack.root))).decode()
    second = subprocess.run(
        (sys.executable, "-m", "deploy.local", options), env=shared_stack.environment(), check=False, timeout=30
    )

    assert second.returncode == lock.ALREADY_RUNNING
    assert shared_stack.ask()


def test_doctor_finds_nothing_wrong_with_the_stack(shared_stack: Commanded) -> None:
    shown = shared_stack.run("doctor").stdout

    assert "the stack is ready" in shown
    assert "feedback answers" in shown
    assert "PostgreSQL" in shown


def test_logs_of_one_process_and_of_all(shared_stack: Commanded) -> None:
    assert "Server is ready" in shared_stack.run("logs", "nats", "-n", "100").stdout
    assert "gateway" in shared_stack.run("logs").stdout


def test_a_killed_worker_comes_back_and_answers(shared_stack: Commanded) -> None:
    worker = next(part for part in shared_stack.state.parts if part.name == "inference-0")
    os.kill(worker.pid, signal.SIGKILL)

    until(
        lambda: next(p for p in shared_stack.state.parts if p.name == "inference-0").restarts == worker.restarts + 1,
        "restart",
    )
    until(lambda: shared_stack.state.phase is Phase.READY, "readiness")
    again = next(part for part in shared_stack.state.parts if part.name == "inference-0")
    assert again.ready_ms - again.started_ms > FASTEST_PYTHON_MS, "the last beat of the dead worker does not count"
    assert shared_stack.ask()


def test_the_demo_shows_answers_and_who_gave_them(shared_stack: Commanded) -> None:
    shown = shared_stack.run("demo", "--once", "--ask")

    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert shown.stdout.count("worker-0") == 4
    assert "first token after" in shown.stdout
    assert "tokens/s" in shown.stdout


def test_beside_another_stack_and_gone_without_a_trace_when_its_supervisor_is_killed(
    shared_stack: Commanded, own_stack: Commanded
) -> None:
    state = own_stack.up()
    assert own_stack.ask()
    assert not set(state.ports.values()) & set(shared_stack.state.ports.values())

    os.kill(state.supervisor_pid, signal.SIGKILL)

    until(lambda: not own_stack.left(), "the end of everything")
    until(lambda: own_stack.state.phase is Phase.STOPPED, "the note of it")
    assert not processes.alive(state.guardian_pid)
    assert "killed" in own_stack.state.message
    assert shared_stack.ask(), "the other stack goes on"
