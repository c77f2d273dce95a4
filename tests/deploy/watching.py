"""What Prometheus and the collector of the profile `observability` say, asked inside their containers."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlencode

from deploy.grafana.boards import BOARDS
from tests.deploy.project import Compose

WATCHERS: Final = ("prometheus", "otel-collector")
"""What is started; Grafana has no stand-in."""
_INTERVAL: Final = "1m"
"""What Grafana puts in for `$__rate_interval` at these dashboards' zoom."""


def prometheus(project: Compose, path: str, **asked: str) -> Any:
    """The data of an answer of Prometheus' API, version 1; an error where there is none."""
    said = _get(project, "prometheus", f"http://127.0.0.1:9090/api/v1/{path}?{urlencode(asked)}")
    assert said["status"] == "success", said
    return said["data"]


def targets(project: Compose) -> dict[str, set[str]]:
    """Which addresses are scraped without a fault, by their job."""
    found: dict[str, set[str]] = {}
    for target in prometheus(project, "targets", state="active")["activeTargets"]:
        assert target["health"] == "up", target
        found.setdefault(target["labels"]["job"], set()).add(target["labels"]["instance"].partition(":")[0])
    return found


def rules(project: Compose) -> dict[str, str]:
    """In which state each alert is; an error where one was not evaluated, or with a fault."""
    found = [rule for group in prometheus(project, "rules")["groups"] for rule in group["rules"]]
    for rule in found:
        assert rule["health"] == "ok", rule
    return {rule["name"]: rule["state"] for rule in found}


def panels() -> Iterator[tuple[str, str]]:
    """Every panel of the dashboards and its queries, as Grafana sends them."""
    for board in BOARDS:
        for row in board.rows.values():
            for panel in row:
                for query in panel.queries.values():
                    yield f"{board.title}: {panel.title}", query.replace("$__rate_interval", _INTERVAL)


def trace(project: Compose, trace_id: str) -> set[tuple[str, str]]:
    """Service and name of all spans that the collector has of a trace; an error where it has none."""
    data = _get(project, "otel-collector", f"http://127.0.0.1:16686/api/traces/{trace_id}")["data"]
    assert data, f"nothing of {trace_id} yet"
    (found,) = data
    service = {process: about["serviceName"] for process, about in found["processes"].items()}
    return {(service[span["processID"]], span["operationName"]) for span in found["spans"]}


def addresses(project: Compose, service: str) -> set[str]:
    """Where on the network `watch` the containers of a service are."""
    found = set()
    for container in project.containers(service):
        networks = json.loads(project.docker("inspect", container).stdout)[0]["NetworkSettings"]["Networks"]
        found |= {about["IPAddress"] for name, about in networks.items() if name.endswith("_watch")}
    return found


def _get(project: Compose, service: str, url: str) -> Any:
    done: subprocess.CompletedProcess[str] = project.run("exec", "-T", service, "wget", "-qO-", url, check=False)
    assert done.returncode == 0, f"{service}: {url}: {done.stderr}"
    return json.loads(done.stdout)
