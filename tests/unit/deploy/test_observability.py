"""Dashboards, alerts and where Prometheus looks: every name in them is one that the code shows."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped] # it ships no types

from deploy.grafana.__main__ import FOLDER, files
from deploy.grafana.boards import BOARDS
from deploy.local.home import CHECKOUT
from deploy.prometheus.__main__ import ENGINE, chapters, render, shown
from libs.kit.metrics.measure import Kind

PROMETHEUS: Final = CHECKOUT / "deploy" / "prometheus"
PROCESS: Final = {"process_cpu_seconds_total", "process_resident_memory_bytes", "up"}
"""Of the client library and of Prometheus itself."""
NAME: Final = re.compile(r"\b((?:llmos|process)_[a-z0-9_]+|vllm:[a-z0-9_]+|up)\b")
SELECTOR: Final = re.compile(r"((?:llmos|process)_[a-z0-9_]+|vllm:[a-z0-9_]+|up)\{([^}]*)\}")
GROUPED: Final = re.compile(r"\b(?:by|on) \(([^)]*)\)")
EVERYWHERE: Final = {"job", "instance", "le"}
UNITS: Final = ("_seconds", "_bytes", "_ms", "_tokens", "_messages", "_rows")
COUNTED: Final = re.compile(r"_(?:count|sum|bucket)$")


def known() -> dict[str, set[str]]:
    """Every name that a query may ask for, and its labels."""
    found: dict[str, set[str]] = {name: {"job", "instance"} for name in PROCESS}
    for name, measure in shown().items():
        names = (
            [name] if measure.kind is not Kind.HISTOGRAM else [f"{name}_{end}" for end in ("bucket", "count", "sum")]
        )
        found |= dict.fromkeys(names, set(measure.labels) | EVERYWHERE)
    for name in ENGINE:
        ends = ("", "_bucket", "_count", "_sum") if name.endswith("_seconds") else ("",)
        found |= {f"{name}{end}": EVERYWHERE | {"model_name", "engine", "finished_reason"} for end in ends}
    return found


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def queries() -> Iterator[tuple[str, str]]:
    for board in BOARDS:
        for panels in board.rows.values():
            for panel in panels:
                yield from ((f"{board.uid}: {panel.title}", query) for query in panel.queries.values())
    yield from ((rule["alert"], rule["expr"]) for rule in alerts())


def faults(query: str) -> list[str]:
    """What in a query names something that there is not."""
    names, found = known(), []
    used = set(NAME.findall(query))
    found += [f"{name} is no number of ours" for name in used - set(names)]
    for name, matchers in SELECTOR.findall(query):
        labels = {part.split("=")[0].rstrip("!") for part in matchers.split(",") if part}
        found += [f"{name} has no label {label}" for label in labels - names.get(name, labels)]
    grouped = {label.strip() for labels in GROUPED.findall(query) for label in labels.split(",")}
    having = set().union(*(names.get(name, set()) for name in used))
    found += [f"nothing in it has a label {label}" for label in grouped - having]
    if query.count("(") != query.count(")"):
        found.append("its brackets do not close")
    return found


@pytest.mark.parametrize(("where", "query"), sorted(set(queries())))
def test_a_query_names_only_what_there_is(where: str, query: str) -> None:
    assert NAME.search(query), where
    assert not faults(query), where


def test_such_a_query_is_found() -> None:
    assert faults("sum(rate(llmos_gateway_requests[5m]))") == ["llmos_gateway_requests is no number of ours"]
    assert faults('llmos_scheduler_workers{stat="ready"}') == ["llmos_scheduler_workers has no label stat"]
    assert faults("sum by (pol) (llmos_scheduler_held)") == ["nothing in it has a label pol"]
    assert faults("sum(llmos_scheduler_held") == ["its brackets do not close"]


def test_the_engines_own_numbers_are_those_of_the_vllm_that_is_installed() -> None:
    logger = next(Path(path) for path in _vllm_folders() if path.is_dir())
    text = "".join(path.read_text(encoding="utf-8") for path in logger.rglob("*.py"))
    there = set(re.findall(r'"(vllm:[a-z0-9_]+)"', text))
    assert not {name for name in ENGINE if not {name, name.removesuffix("_total")} & there}


def _vllm_folders() -> Iterator[Path]:
    """Where its numbers are declared; the package itself takes seconds to import."""
    import importlib.util  # noqa: PLC0415 - for this question only

    found = importlib.util.find_spec("vllm")
    assert found is not None, "the development environment has vLLM"
    yield from (Path(place) / "v1" / "metrics" for place in found.submodule_search_locations or ())


def test_no_name_is_declared_twice_and_each_says_its_unit_or_counts_things() -> None:
    declared = [measure for measures in chapters().values() for measure in measures]
    names = [measure.name for measure in declared]
    assert len(names) == len(set(names))
    for measure in declared:
        assert measure.sentence.endswith("."), measure.name
        assert not {"tenant", "key", "request", "user", "model"} & set(measure.labels), measure.name
        assert not measure.name.endswith("_total"), f"{measure.name}: the library adds it"
        if measure.kind is Kind.HISTOGRAM:
            assert measure.name.endswith(UNITS), measure.name


def test_the_page_of_metrics_is_up_to_date() -> None:
    """Else: `.venv/bin/python -m deploy.prometheus > architecture/metrics.md`."""
    assert (CHECKOUT / "architecture" / "metrics.md").read_text(encoding="utf-8") == render()


def test_the_files_of_grafana_are_up_to_date() -> None:
    """Else: `.venv/bin/python -m deploy.grafana`."""
    there = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.iterdir()}
    assert there == files()


def test_every_panel_has_a_unit_a_place_and_a_source_that_is_provisioned() -> None:
    provisioned = CHECKOUT / "deploy" / "grafana" / "provisioning"
    sources = yaml.safe_load((provisioned / "datasources" / "datasources.yml").read_text(encoding="utf-8"))
    uids = {source["uid"] for source in sources["datasources"]}
    boards = [json.loads(text) for text in files().values()]
    assert len({board["uid"] for board in boards}) == len(boards)
    for board in boards:
        taken: set[tuple[int, int]] = set()
        for panel in board["panels"]:
            place = panel["gridPos"]
            cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in (place["y"],)}
            assert not cells & taken, f"{board['title']}: {panel['title']} lies on another"
            assert place["x"] + place["w"] <= 24
            taken |= cells
            if panel["type"] != "row":
                assert panel["fieldConfig"]["defaults"]["unit"]
                assert {target["datasource"]["uid"] for target in panel["targets"]} <= uids
                assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        ids = [panel["id"] for panel in board["panels"]]
        assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_an_alert_says_how_grave_it_is_what_happens_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert rule["annotations"]["summary"].endswith(".")
    assert re.fullmatch(r"\d+[smh]", rule["for"])
    page, _, section = rule["annotations"]["runbook"].partition("#")
    text = (CHECKOUT / page).read_text(encoding="utf-8")
    assert section == rule["alert"].lower()
    assert f"\n## {rule['alert']}\n\n" in text
    said = set(re.findall(r"\{\{ \$labels\.(\w+) \}\}", rule["annotations"]["summary"]))
    grouped = {label.strip() for labels in GROUPED.findall(rule["expr"]) for label in labels.split(",")}
    assert said <= grouped, "what is told must be left by the query"


def test_the_runbook_has_no_section_without_an_alert() -> None:
    text = (CHECKOUT / "deploy" / "RUNBOOK.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^## (\w+)$", text, re.MULTILINE)) == {rule["alert"] for rule in alerts()}


def test_prometheus_asks_every_service_at_the_port_of_its_page() -> None:
    compose = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    told = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8"))
    asked = {config["job_name"]: config["dns_sd_configs"][0] for config in told["scrape_configs"]}
    assert set(asked) == set(chapters()) - {"every service"}
    for job, config in asked.items():
        for name in config["names"]:
            environment = compose[name]["environment"]
            port = environment.get(f"{job.upper()}_METRICS_PORT") or environment["GATEWAY_PORT"]
            assert str(config["port"]) == port
            assert "watch" in compose[name]["networks"]
    absent = set(re.findall(r'absent\(up\{job="(\w+)"\}\)', alerts()[0]["expr"]))
    assert absent == set(asked), "a service of which nothing is found is noticed"
    assert told["rule_files"] == ["/etc/prometheus/alerts.yml"]


def test_the_collector_hears_traces_and_says_how_it_is_where_others_look() -> None:
    told = yaml.safe_load((CHECKOUT / "deploy" / "otel" / "collector.yml").read_text(encoding="utf-8"))
    pipeline = told["service"]["pipelines"]["traces"]
    for kind in ("receivers", "processors", "exporters"):
        assert set(pipeline[kind]) == set(told[kind])
    assert set(told["service"]["extensions"]) == set(told["extensions"])
    compose = (CHECKOUT / "docker-compose.yml").read_text(encoding="utf-8")
    assert f"http://{told['extensions']['healthcheckv2']['http']['endpoint']}/status" in compose
    assert told["receivers"]["otlp"]["protocols"]["http"]["endpoint"] == "0.0.0.0:4318"
