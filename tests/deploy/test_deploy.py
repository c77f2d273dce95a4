"""`docker compose`: up, an answer, a judgement, every container killed, the network cut, workers scaled, down."""

import asyncio
import os
from collections.abc import Callable
from typing import Any, Final

import httpx2
import pytest

from cli.mission.mission import Place, play
from libs.kit import clock
from tests.deploy.project import FAKE_ENGINE, PROJECT, Compose, keep_asking
from tests.deploy.watching import WATCHERS, addresses, panels, prometheus, rules, targets, trace

pytestmark = pytest.mark.deploy

Row = Callable[..., None]


def _answer(project: Compose) -> Any:
    return project.answer()


PROBES: Final[dict[str, Callable[[Compose], Any]]] = {
    "registry": lambda project: project.admin("/versions"),
    "postgres": lambda project: project.admin("/versions"),
    "s3": lambda project: project.admin("/versions/helpdesk@champion/verify", "POST"),  # reads every byte
    "feedback": lambda project: project.admin("/interactions"),
    "rollout": lambda project: project.admin("/rollouts"),
    "trainer": lambda project: project.admin("/jobs"),
}
"""What a service is needed for, where that is not an answer of the model."""
KILLED: Final = (
    "gateway", "scheduler", "balancer", "nats", "postgres", "s3", "registry", "feedback", "identity", "events", "audit",
    "rollout", "trainer", "inference",
)  # fmt: skip

FOREIGN: Final = ("balancer", "nats", "postgres", "s3")
"""Those that show no page to Prometheus."""
QUIET: Final = {
    "Overview: Not ready", "Stores and bus: Missing dependencies", "Learning loop: Dead letters",
    "Learning loop: Decisions, last hour", "Learning loop: Harm, last hour", "Stores and bus: Webhooks: attempts",
    "Engine: Fetching versions", "Engine: Put back, for the cache was full",
}  # fmt: skip
"""Panels of what happens rarely, or should not."""


def test_it_comes_up_from_nothing(compose: Compose, row: Row) -> None:
    row("`up -d --wait` with no volume, images built", "", "", compose.came_up_s)
    assert compose.answer()["choices"]


def test_a_second_up_changes_nothing(compose: Compose) -> None:
    before = {name: compose.containers(name) for name in KILLED}
    compose.up()
    assert {name: compose.containers(name) for name in KILLED} == before


def test_an_answer_is_streamed_through_the_balancer_word_by_word(compose: Compose) -> None:
    asked = {"model": "helpdesk", "messages": [{"role": "user", "content": "When are you open?"}], "max_tokens": 24}
    body = {**asked, "stream": True, "user": "pace-30ms"}  # to the fake engine this is an order
    with compose.http() as http, http.stream("POST", "/v1/chat/completions", json=body) as reply:
        assert reply.status_code == 200
        pieces = [piece for piece in reply.iter_raw() if b"data:" in piece]
    assert pieces[-1].rstrip().endswith(b"[DONE]")
    assert len(pieces) > 2, "all at once: somebody collects what should pass"


def test_a_judgement_is_recorded(compose: Compose) -> None:
    judged = compose.judge()
    keep_asking(lambda: bool(compose.admin(f"/interactions/{judged}")["signals"]), "the judgement")


@pytest.mark.skipif(FAKE_ENGINE, reason="not run: the fake engine cannot learn")
def test_it_learns_from_its_customers(compose: Compose, row: Row) -> None:
    def ask(question: str) -> str:
        text: str = compose.answer(question, max_tokens=128)["choices"][0]["message"]["content"]
        return text

    keys = (compose.key, compose.admin_key)
    place = Place(url=f"http://127.0.0.1:{compose.port}", keys=keys, name="helpdesk", folder=compose.folder, ask=ask)
    began_s = clock.monotonic_s()
    assert asyncio.run(play(place, is_short=True)), "it had learned already"
    row("one turn of the learning loop: rated, trained, judged, rolled out", "", clock.monotonic_s() - began_s)
    learned = compose.answer()["id"]
    keep_asking(
        lambda: bool(compose.admin(f"/lineage/answers/{learned}").get("dataset")), "which data shaped an answer", 60
    )


def test_secrets_can_be_read_by_their_owner_only(compose: Compose) -> None:
    for service in ("gateway", "registry", "nats", "postgres"):
        listed = compose.run("exec", "-T", service, "sh", "-c", "stat -Lc '%a %u' /run/secrets/*; id -u").stdout.split()
        user = listed.pop()
        assert user != "0"
        assert set(zip(listed[::2], listed[1::2], strict=True)) == {("600", user)}


def test_a_wrong_setting_stops_a_service_with_one_line_that_names_it(compose: Compose) -> None:
    for variable in ("SCHEDULER_LEASE_S=-1", "SCHEDULER_POOLS=nonsense"):
        ended = compose.run("run", "--rm", "--no-deps", "-T", "-e", variable, "scheduler", check=False)
        said = [line for line in ended.stderr.splitlines() if line.startswith("scheduler:")]
        assert ended.returncode == 2, ended.stderr
        assert len(said) == 1
        assert variable.partition("=")[0] in said[0]


@pytest.mark.parametrize("service", KILLED)
def test_a_killed_container_comes_back(compose: Compose, row: Row, service: str) -> None:
    container = compose.containers(service)[0]
    before = compose.state(container)["StartedAt"]
    began_s = clock.monotonic_s()
    compose.kill(container)
    probe = PROBES.get(service, _answer)
    served_s, failures = keep_asking(lambda: probe(compose), service)

    def healthy() -> bool:
        state = compose.state(container)
        return bool(state["StartedAt"] != before and state["Health"]["Status"] == "healthy")

    keep_asking(healthy, f"the container of {service}")
    others = len(compose.containers(service)) - 1
    what = f"`{service}` killed" + (f", {others} more there" if others else "")
    row(what, failures, served_s, clock.monotonic_s() - began_s)
    keep_asking(compose.answer, "the model")


@pytest.mark.parametrize("service", ["inference", "nats"])
def test_a_container_that_was_cut_off_works_on(compose: Compose, row: Row, service: str) -> None:
    (container,) = compose.containers(service)
    network = f"{PROJECT}_bus"
    compose.docker("network", "disconnect", network, container)
    with pytest.raises((httpx2.HTTPError, AssertionError)):
        compose.answer()
    compose.docker("network", "connect", "--alias", service, network, container)
    served_s, failures = keep_asking(compose.answer, service)
    row(f"`{service}` cut off the bus's network, then connected again", failures, served_s)


def test_workers_are_scaled(compose: Compose, row: Row) -> None:
    def ready() -> int:
        with compose.http() as http:
            return sum(each["ready_workers"] for each in http.get("/v1/models").json()["data"][:1])

    began_s = clock.monotonic_s()
    compose.up("--no-recreate", "--scale", "inference=2")
    keep_asking(lambda: ready() == 2, "the second worker")
    row("second inference worker (`--scale inference=2`)", "", "", clock.monotonic_s() - began_s)
    compose.up("--no-recreate", "--scale", "inference=1")
    keep_asking(lambda: ready() == 1, "the end of the second worker")
    compose.answer()


def test_prometheus_finds_every_process_and_nothing_to_call_about(compose: Compose) -> None:
    compose.up("--no-recreate", *WATCHERS)
    there = {service: addresses(compose, service) for service in KILLED if service not in FOREIGN}
    keep_asking(lambda: targets(compose) == there, "every process", 120)
    keep_asking(lambda: set(rules(compose).values()) == {"inactive"}, "alerts that are evaluated and silent", 120)


def test_every_panel_of_the_dashboards_shows_something(compose: Compose) -> None:
    compose.judge()
    compose.answer()
    unlike = {title for title, query in panels() if FAKE_ENGINE and "vllm:" in query}

    def drawn() -> None:
        empty = shown - {title for title, query in panels() if prometheus(compose, "query", query=query)["result"]}
        assert not empty, empty

    shown = {title for title, _ in panels()} - QUIET - unlike
    keep_asking(drawn, f"something in each of {len(shown)} panels", 120)


def test_a_service_that_is_gone_is_told_of(compose: Compose) -> None:
    compose.run("stop", "audit")
    keep_asking(lambda: rules(compose)["LlmosServiceDown"] != "inactive", "the alert", 120)
    compose.run("start", "audit")
    keep_asking(lambda: rules(compose)["LlmosServiceDown"] == "inactive", "the end of the alert", 120)


def test_a_request_leaves_its_whole_trace_with_the_collector(compose: Compose) -> None:
    asked = {"model": "helpdesk", "messages": [{"role": "user", "content": "When are you open?"}], "max_tokens": 8}
    answered = compose.traced("/v1/chat/completions", compose.key, asked)
    spans = {("llmos-gateway", "POST /v1/chat/completions"), ("llmos-inference", "chat helpdesk")}
    keep_asking(lambda: trace(compose, answered) >= spans, "the trace of an answer", 60)
    verified = compose.traced("/admin/v1/versions/helpdesk@champion/verify", compose.admin_key, {})
    spans = {("llmos-gateway", "POST /admin/v1/versions/{reference}/verify")} | {
        ("llmos-registry", name) for name in ("registry.version_verify", "transaction", "S3 stream")
    }
    keep_asking(lambda: trace(compose, verified) >= spans, "the trace of an admin call", 60)


def test_down_leaves_nothing(compose: Compose, row: Row) -> None:
    began_s = clock.monotonic_s()
    compose.down()
    row("`down --volumes`", "", "", clock.monotonic_s() - began_s)
    label = f"label=com.docker.compose.project={PROJECT}"
    for kind in (("ps", "--all"), ("volume", "ls"), ("network", "ls")):
        assert not compose.docker(*kind, "--quiet", "--filter", label).stdout.split(os.linesep)[0]
