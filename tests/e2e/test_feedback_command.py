"""A judgement's way on a whole stack: from the SDK's answer to statistics, and into a data set on disk."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pyarrow.parquet as pq  # type: ignore[import-untyped] # it ships no types
import pytest

from deploy.local.client import Stack
from deploy.local.state import Phase
from libs.kit import clock
from tests.integration.local.conftest import Commanded, until

USER = "u-7"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commanded]:
    stack = Commanded(tmp_path_factory.mktemp("feedback") / "home")
    stack.up()
    yield stack
    stack.run("down")
    assert not stack.left()


def _run(stack: Commanded, *arguments: str | Path, status: int = 0) -> Any:
    """What a command prints; JSON is decoded."""
    ran = stack.run(*map(str, arguments))
    assert ran.returncode == status, ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr
    if "--json" in arguments:
        return json.loads(ran.stdout)
    return ran.stdout + ran.stderr if status else ran.stdout


def _feedback(stack: Commanded, *arguments: str | Path, status: int = 0) -> Any:
    return _run(stack, "feedback", *arguments, status=status)


def _datasets(stack: Commanded, *arguments: str | Path, status: int = 0) -> Any:
    return _run(stack, "datasets", *arguments, status=status)


def _client(stack: Commanded) -> openai.OpenAI:
    return openai.OpenAI(
        base_url=stack.state.base_url,
        api_key=Stack(stack.home).api_key(),
        max_retries=5,
        timeout=30,
        http_client=openai.DefaultHttpxClient(trust_env=False),
    )


def _ask(stack: Commanded, question: str, *, stream: bool = False, **more: Any) -> tuple[str, str]:
    """Id and text of an answer, as the SDK shows them."""
    completions = _client(stack).chat.completions
    messages: Any = [{"role": "user", "content": question}]
    if not stream:
        answer = completions.create(model="helpdesk", messages=messages, max_tokens=8, user=USER, **more)
        return answer.id, answer.choices[0].message.content or ""
    chunks = list(completions.create(model="helpdesk", messages=messages, max_tokens=8, stream=True, user=USER, **more))
    return chunks[0].id, "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def _api(stack: Commanded, path: str, **query: str) -> httpx2.Response:
    """The admin API itself: a command takes a second to start, which is long for a question that is asked often."""
    return httpx2.get(
        f"{stack.state.base_url.removesuffix('/v1')}/admin/v1{path}",
        params=query,
        headers={"authorization": f"Bearer {Stack(stack.home).admin_key()}"},
        trust_env=False,
    )


def _shown(stack: Commanded, ident: str) -> dict[str, Any]:
    """The interaction, as soon as it is recorded."""
    until(lambda: _api(stack, f"/interactions/{ident}").status_code == 200, f"the record of {ident}")
    found: dict[str, Any] = _api(stack, f"/interactions/{ident}").json()
    return found


def _judged(stack: Commanded, ident: str, count: int) -> dict[str, Any]:
    """The interaction, as soon as it has so many judgements."""
    until(lambda: len(_shown(stack, ident).get("signals", ())) >= count, f"{count} judgements of {ident}")
    return _shown(stack, ident)


@pytest.mark.parametrize("stream", [False, True])
def test_a_thumb_finds_its_answer_by_the_id_that_the_sdk_shows(stack: Commanded, stream: bool) -> None:
    tag = f"thumb-{stream}"
    ident, text = _ask(stack, "How much is the teapot?", stream=stream, extra_headers={"x-llmos-episode": "talk-1"})
    _feedback(stack, "give", ident, "up", "--rater", "ann", "--comment", "Right [b]!", "--tag", tag)
    assert _judged(stack, ident, 2) == _feedback(stack, "show", ident, "--json")
    found = _shown(stack, ident)

    assert found["messages"] == [{"role": "user", "content": "How much is the teapot?"}]
    assert found["answer"]["content"] == text
    assert (found["user"], found["episode_id"], found["tenant"]) == (USER, "talk-1", "default")
    assert found["model_version"].startswith("helpdesk@sha256:")
    assert {(one["kind"], one["value"], one["rater"]) for one in found["signals"]} == {
        ("thumb", True, "ann"), ("comment", "Right [b]!", "ann"),
    }  # fmt: skip
    (row,) = [row for row in _feedback(stack, "stats", "--by", "tag", "--json") if row["group"] == {"tag": tag}]
    assert (row["thumbs_up"], row["comments"], row["approval"]) == (1, 1, 1.0)
    assert 0 < row["approval_low"] < row["approval_high"] <= 1
    assert ident in _feedback(stack, "list", "--judged")
    assert "Right [b]!" in _feedback(stack, "show", ident)


DIALECTS: dict[str, tuple[dict[str, Any], str]] = {
    "/chat/completions": ({"messages": [{"role": "user", "content": "Which teapot?"}], "max_tokens": 8}, "chatcmpl-"),
    "/completions": ({"prompt": "Which teapot?", "max_tokens": 8}, "cmpl-"),
    "/responses": ({"input": "Which teapot?", "max_output_tokens": 8}, "resp_"),
    "/messages": ({"messages": [{"role": "user", "content": "Which teapot?"}], "max_tokens": 8}, "chatcmpl-"),
}


@pytest.mark.parametrize("path", DIALECTS)
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_of_each_dialect_is_judged_by_the_id_that_its_client_got(
    stack: Commanded, path: str, stream: bool
) -> None:
    fields, prefix = DIALECTS[path]
    with httpx2.Client(trust_env=False, timeout=30) as http:
        http.headers["authorization"] = f"Bearer {Stack(stack.home).api_key()}"
        answer = http.post(f"{stack.state.base_url}{path}", json=fields | {"model": "helpdesk", "stream": stream})
        assert answer.status_code == 200, answer.text
        found_id = re.search(rf'"id": ?"({prefix}[0-9a-f]{{24}})"', answer.text)
        assert found_id is not None, answer.text[:500]
        body = {"inference_id": found_id[1], "kind": "thumb", "value": True, "rater": "ann"}
        assert http.post(f"{stack.state.base_url}/feedback", json=body).status_code == 201
    found = _judged(stack, found_id[1], 1)
    assert (found["inference_id"], found["route"]) == (found_id[1], f"/v1{path}")
    assert "Which teapot?" in json.dumps(found["messages"])
    assert found["answer"]["content"]


def test_a_changed_mind_supersedes_and_does_not_count_twice(stack: Commanded) -> None:
    ident, _ = _ask(stack, "And the lamp?")
    for rating in ("up", "down", "down"):
        _feedback(stack, "give", ident, rating, "--rater", "bob", "--tag", "mind")
        _judged(stack, ident, 1)
    found = _judged(stack, ident, 2)
    assert [one["value"] for one in sorted(found["signals"], key=lambda one: one["time_ms"])] == [True, False]
    until(lambda: _counts(stack, "mind") == (0, 1), "the newer judgement alone")


def _counts(stack: Commanded, tag: str) -> tuple[int, int]:
    answer = _api(stack, "/feedback/statistics", by="tag")
    rows = [row for row in answer.json().get("rows", ()) if row["group"] == {"tag": tag}]
    return (rows[0].get("thumbs_up", 0), rows[0].get("thumbs_down", 0)) if rows else (0, 0)


def test_a_file_with_broken_rows_is_taken_but_for_them_and_again_without_counting_twice(
    stack: Commanded, tmp_path: Path
) -> None:
    ident, _ = _ask(stack, "Do you ship to Rome?")
    file, report = tmp_path / "ratings.csv", tmp_path / "refused.jsonl"
    with file.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["inference_id", "kind", "value", "rater", "tags"])
        writer.writerows([ident, "thumb", "up", f"rater-{number}", "import"] for number in range(50))
        writer.writerow([ident, "thumb", "sideways", "x", ""])
        writer.writerow([ident, "score", "7", "x", ""])
        writer.writerow(["chatcmpl-1", "thumb", "up", "x", ""])
        writer.writerow([ident, "thumb", "up"])
    told = _feedback(stack, "import", file, "--report", report, status=1)
    assert "50 of 54 rows taken" in told
    assert [json.loads(line)["line"] for line in report.read_text().splitlines()] == [52, 53, 54, 55]
    until(lambda: _counts(stack, "import") == (50, 0), "every good row")

    lines = tmp_path / "ratings.jsonl"
    rows = [
        {"inference_id": ident, "kind": "thumb", "value": True, "rater": f"rater-{number}", "tags": ["import"]}
        for number in range(60)
    ]
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    for _ in range(2):
        assert _feedback(stack, "import", lines, "--json")["taken"] == 60
    until(lambda: _counts(stack, "import") == (60, 0), "ten more")
    assert len(_shown(stack, ident)["signals"]) == 60


@pytest.mark.slow
def test_mistakes_say_what_happened_and_what_to_do(stack: Commanded, tmp_path: Path) -> None:
    assert "is not an id of an answer" in _feedback(stack, "give", "chatcmpl-1", "up", status=1)
    assert "from 0 to 1" in _feedback(stack, "give", "chatcmpl-" + "0" * 24, "7", status=1)
    assert "feedback list" in _feedback(stack, "show", "chatcmpl-" + "0" * 24, status=1)
    assert "There is no file" in _feedback(stack, "import", tmp_path / "none.csv", status=1)
    _feedback(stack, "stats", "--by", "zebra", status=2)
    assert "is no data set" in _datasets(stack, "export", "nobody", tmp_path / "x", status=1)
    assert "not a data set" in _datasets(stack, "export", "helpdesk@1", tmp_path / "x", status=1)
    assert not (tmp_path / "x").exists()
    _datasets(stack, "build", "--name", "x", status=2)
    assert "The share of train" in _datasets(
        stack, "build", "--name", "x", "--shape", "sft", "--split", "train=2", status=1
    )


def test_a_stranger_cannot_judge_and_a_tenant_cannot_be_chosen(stack: Commanded) -> None:
    url = stack.state.base_url + "/feedback"
    body = {"inference_id": "chatcmpl-" + "0" * 24, "kind": "thumb", "value": True}
    with httpx2.Client(trust_env=False) as http:
        assert http.post(url, json=body, headers={"authorization": "Bearer sk-x"}).status_code == 401
        own = {"authorization": f"Bearer {Stack(stack.home).api_key()}"}
        refused = http.post(url, json=body | {"tenant": "other"}, headers=own)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "tenant")


def test_what_is_given_while_feedback_is_dead_is_recorded_when_it_is_back(stack: Commanded) -> None:
    ident, _ = _ask(stack, "Is the kettle blue?")
    part = next(part for part in stack.state.parts if part.name == "feedback")
    os.kill(part.pid, signal.SIGKILL)
    for number in range(5):
        _feedback(stack, "give", ident, "up", "--rater", f"r{number}", "--tag", "dead")
    until(lambda: _counts(stack, "dead") == (5, 0), "all five")
    until(lambda: stack.state.phase is Phase.READY, "readiness")
    assert next(part for part in stack.state.parts if part.name == "feedback").restarts > part.restarts


@pytest.mark.slow
def test_an_import_outlives_a_bus_that_dies_and_no_row_is_lost_or_counted_twice(
    stack: Commanded, tmp_path: Path
) -> None:
    ident, _ = _ask(stack, "Is the sofa long?")
    rows = [
        {"inference_id": ident, "kind": "thumb", "value": True, "rater": f"sofa-{number}", "tags": ["sofa"]}
        for number in range(40_000)
    ]
    file = tmp_path / "sofa.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    command = (sys.executable, "-P", "-m", "cli", "feedback", "import", str(file), "--json")
    with subprocess.Popen(command, env=stack.environment(), stdout=subprocess.PIPE) as importing:
        until(lambda: _counts(stack, "sofa")[0] > 100, "the first rows")
        nats = next(part for part in stack.state.parts if part.name == "nats")
        os.kill(nats.pid, signal.SIGKILL)
        assert importing.poll() is None, "it was over before the bus died: take more rows"
        told = json.loads(importing.communicate(timeout=120)[0])
    assert (importing.returncode, told["taken"]) == (0, len(rows))
    until(lambda: _counts(stack, "sofa") == (len(rows), 0), "every row, once", timeout_s=90)
    until(lambda: stack.state.phase is Phase.READY, "readiness")


def _shop(stack: Commanded, tmp_path: Path) -> dict[str, str]:
    """Eight questions that were asked and judged, with the better answer to each."""
    questions = ["Where is my order?", "Can I return the lamp?", "Is the teapot made of glass?", "Who wrote it?"]
    asked = {
        f"{question} It is number {number}.": f"The answer to “{question}” is on page {number}."
        for number, question in enumerate(questions * 2)
    }
    lines = tmp_path / "shop.jsonl"
    with lines.open("w", encoding="utf-8") as out:
        for question, better in asked.items():
            common = {"inference_id": _ask(stack, question)[0], "rater": "ann", "tags": ["set"]}
            for kind, value in (("thumb", True), ("demonstration", better)):
                out.write(json.dumps({**common, "kind": kind, "value": value}) + "\n")
    _feedback(stack, "import", lines)

    def all_there() -> bool:
        rows = _api(stack, "/feedback/statistics", by="tag").json()["rows"]
        return any(row["group"] == {"tag": "set"} and row.get("demonstrations") == len(asked) for row in rows)

    until(all_there, "every better answer")
    until(lambda: _counts(stack, "set") == (len(asked), 0), "every thumb")
    return asked


def test_a_data_set_is_built_exported_and_compared(stack: Commanded, tmp_path: Path) -> None:
    asked = _shop(stack, tmp_path)
    declared = tmp_path / "set.yaml"
    declared.write_text(
        "name: e2e-set\nshape: sft\nsince: 2026-01-01\ntags: [set]\nnear_duplicates: 0\n"
        f"quarantine: {{enabled: false}}\nuntil_ms: {clock.unix_ms()}\n"
    )
    dry = _datasets(stack, "build", declared, "--dry-run", "--wait", "--json")
    assert (dry["state"], dry.get("reference", "")) == ("succeeded", "")
    built = _datasets(stack, "build", declared, "--wait", "--json")
    assert built["state"] == "succeeded"
    assert built["digest"] == dry["digest"], "the same selection over the same rows"
    assert sum(rows for step, rows in built["counts"].items() if step.startswith("split.")) == len(asked)
    assert built["reference"] in _datasets(stack, "show", "e2e-set")
    assert built["reference"] in _datasets(stack, "list")
    assert "succeeded" in _datasets(stack, "show", built["id"])

    _datasets(stack, "export", "e2e-set", tmp_path / "out")
    lines = [line for split in ("train", "test") for line in (tmp_path / "out" / f"{split}.jsonl").open("rb")]
    rows = [json.loads(line) for line in lines]
    assert {row["messages"][0]["content"]: row["messages"][-1]["content"] for row in rows} == asked
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["counts"] == built["counts"]
    table = pq.read_table(tmp_path / "out" / "train.parquet")
    assert table.num_rows == built["counts"]["split.train"]


@pytest.mark.slow
def test_two_data_sets_are_compared_row_by_row(stack: Commanded) -> None:
    common = ("build", "--name", "compared", "--shape", "raw", "--tag", "compared", "--split", "all=1", "--wait")
    ids = []
    references = []
    for question in ("One?", "Two?"):
        ident, _ = _ask(stack, question)
        ids.append(ident.removeprefix("chatcmpl-"))
        _feedback(stack, "give", ident, "up", "--tag", "compared")
        _judged(stack, ident, 1)
        references.append(_datasets(stack, *common, "--json")["reference"])
    found = _datasets(stack, "diff", "compared@1", references[1], "--json")
    assert (found["added"], found["removed"], found["same_rows"]) == ([ids[1]], [], 1)
    assert list(found["selection"]) == ["until_ms"]
    assert "1 only after" in _datasets(stack, "diff", *references)
    assert "one and the same" in _datasets(stack, "diff", "compared", references[1])


def test_what_is_erased_is_gone_and_the_data_sets_with_it_are_named(stack: Commanded) -> None:
    ident, _ = _ask(stack, "My name is Secret Person.")
    _feedback(stack, "give", ident, "up", "--rater", "ann", "--tag", "erased", "--comment", "Secret Comment")
    _judged(stack, ident, 2)
    built = _datasets(stack, "build", "--name", "erased-set", "--shape", "raw", "--tag", "erased", "--wait", "--json")
    erased = _feedback(stack, "erase", ident, "--yes", "--json")
    assert (erased["interactions"], erased["datasets"]) == (1, [built["reference"]])
    found = _shown(stack, ident)
    assert found["erased"] is True
    assert "Secret" not in json.dumps(found)
    assert "erased" in _feedback(stack, "show", ident)
    _feedback(stack, "erase", status=2)
