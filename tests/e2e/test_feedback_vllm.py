"""From an answer of real vLLM to a row of a data set, on a whole stack."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from deploy.local.client import Stack
from libs.testkit.ports import free_port
from tests.integration.local.conftest import Commanded, until

pytestmark = [pytest.mark.vllm, pytest.mark.slow]

QUESTION = "How much is the teapot? Write to ann@example.org."


@pytest.fixture(scope="module")
def vllm_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commanded]:
    stack = Commanded(tmp_path_factory.mktemp("feedback-vllm") / "home", engine={})
    started = stack.run("up", "--detach", "--port", str(free_port()), timeout_s=600)
    assert started.returncode == 0, started.stdout + started.stderr
    yield stack
    stack.run("down")
    assert not stack.left()


def _shown(stack: Commanded, ident: str) -> dict[str, Any]:
    answer = httpx2.get(
        f"{stack.state.base_url.removesuffix('/v1')}/admin/v1/interactions/{ident}",
        headers={"authorization": f"Bearer {Stack(stack.home).admin_key()}"},
        trust_env=False,
    )
    return dict(answer.json()) if answer.status_code == 200 else {}


def test_an_answer_of_vllm_becomes_a_row_of_a_data_set(vllm_stack: Commanded, tmp_path: Path) -> None:
    client = openai.OpenAI(
        base_url=vllm_stack.state.base_url, api_key=Stack(vllm_stack.home).api_key(), max_retries=5, timeout=300
    )
    asked: Any = [{"role": "user", "content": QUESTION}]
    chunks = list(
        client.chat.completions.create(model=vllm_stack.state.model, messages=asked, max_tokens=8, stream=True)
    )
    ident = chunks[0].id
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    url, key = f"{vllm_stack.state.base_url}/feedback", Stack(vllm_stack.home).api_key()
    body = {"inference_id": ident, "kind": "thumb", "value": True, "rater": "ann", "tags": ["real"]}
    given = httpx2.post(url, json=body, headers={"authorization": f"Bearer {key}"}, trust_env=False)
    assert given.status_code == 201, given.text
    until(lambda: bool(_shown(vllm_stack, ident).get("signals")), "the judged interaction", timeout_s=120)
    found = _shown(vllm_stack, ident)
    assert (found["messages"], found["answer"]["content"]) == (asked, text)
    assert 0 < found["completion_tokens"] <= 8

    built = vllm_stack.run(
        "datasets", "build", "--name", "real", "--shape", "sft", "--tag", "real", "--split", "all=1", "--wait", "--json"
    )
    assert built.returncode == 0, built.stdout + built.stderr
    exported = vllm_stack.run("datasets", "export", "real", str(tmp_path / "out"))
    assert exported.returncode == 0, exported.stdout + exported.stderr
    (row,) = [json.loads(line) for line in (tmp_path / "out" / "all.jsonl").read_text().splitlines()]
    assert [one["role"] for one in row["messages"]] == ["user", "assistant"]
    assert row["messages"][0]["content"] == "How much is the teapot? Write to <email-1>."
    assert row["messages"][1]["content"].strip() == text.strip()
