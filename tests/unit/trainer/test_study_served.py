"""The loop through the public API, against a platform that answers by the book and keeps what it was told."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI, Request

from libs.contracts.training import JobState
from libs.contracts.versions import parse_reference, short_reference
from libs.testkit.wait import until
from services.trainer.study import served as study
from services.trainer.study.chosen import RECIPE
from services.trainer.study.customers import Habits
from services.trainer.study.loop import Round
from services.trainer.study.served import RoundFailedError, Served

DIGEST = "a" * 64


class Platform:
    """Says the same to everybody; every training succeeds unless told otherwise."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.judged: list[dict[str, Any]] = []
        self.ordered: list[dict[str, Any]] = []
        self.aliases: dict[str, str] = {}
        self.trained: JobState = JobState.SUCCEEDED
        self.app = FastAPI()
        self.app.post("/v1/chat/completions")(self.answer)
        self.app.post("/v1/feedback", status_code=201)(self.judge)
        self.app.get("/v1/models")(self.models)
        self.app.post("/admin/v1/datasets", status_code=202)(self.build)
        self.app.get("/admin/v1/datasets/{job}")(self.built)
        self.app.post("/admin/v1/trainings", status_code=202)(self.train)
        self.app.get("/admin/v1/jobs/{job}")(self.job)
        self.app.put("/admin/v1/models/{name}/aliases/{alias}")(self.point)

    async def answer(self, request: Request) -> dict[str, Any]:
        self.asked.append(await request.json())
        message = {"role": "assistant", "content": " Hm. "}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        id_ = f"chatcmpl-{len(self.asked)}"
        return {"id": id_, "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}

    async def judge(self, request: Request) -> dict[str, str]:
        self.judged.append(await request.json())
        return {"id": "sig_1", "object": "feedback.signal"}

    async def models(self) -> dict[str, Any]:
        named = [{"id": name, "object": "model", "created": 1, "owned_by": "us"} for name in self.aliases.values()]
        return {"object": "list", "data": named}

    async def build(self, request: Request) -> dict[str, Any]:
        self.ordered.append(await request.json())
        return self.build_job("queued")

    async def built(self) -> dict[str, Any]:
        return self.build_job("succeeded")

    def build_job(self, state: str) -> dict[str, Any]:
        selection = next(one["selection"] for one in reversed(self.ordered) if "selection" in one)
        job = {"id": "dsj_1", "state": state, "selection": selection, "author": "a", "created_ms": 1}
        return {**job, "reference": f"judged@sha256:{DIGEST}"}

    async def train(self, request: Request) -> dict[str, Any]:
        self.ordered.append(await request.json())
        return {"id": "job_1", "kind": "training", "state": "queued", "author": "a", "created_ms": 1, "changed_ms": 1}

    async def job(self) -> dict[str, Any]:
        job = {
            "id": "job_1",
            "kind": "training",
            "state": self.trained,
            "author": "a",
            "created_ms": 1,
            "changed_ms": 2,
        }
        return {**job, "version": f"kind@sha256:{DIGEST}", "error": "the loss is no number"}

    async def point(self, name: str, request: Request) -> dict[str, str]:
        target = (await request.json())["target"]
        self.aliases[name] = short_reference(name, parse_reference(target).digest)
        return {}


@pytest.fixture
async def platform(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Platform, str]]:
    monkeypatch.setattr(study, "HABITS", Habits(ratings=20, correct_wrong=1.0, correction_cap=0.5))
    monkeypatch.setattr(study, "EARLY", (Round(ratings=10, steps=7),))
    made = Platform()
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(made.app, log_level="error", lifespan="off"))
        running = asyncio.create_task(server.serve(sockets=[door]))
        await until(lambda: server.started, timeout_s=60, what="the platform to listen")
        yield made, f"http://127.0.0.1:{door.getsockname()[1]}"
        server.should_exit = True
        await running


async def test_every_answer_is_judged_and_every_round_asks_what_the_one_before_made(
    platform: tuple[Platform, str], tmp_path: Path
) -> None:
    there, url = platform
    job = await Served(url, ("key", "admin"), "helpdesk", print).turn("default", "kind", 3, tmp_path / "exam.jsonl")
    assert job.state is JobState.SUCCEEDED
    early = f"kind@sha256:{DIGEST[:12]}"
    assert [one["model"] for one in there.asked] == ["helpdesk"] * 10 + [early] * 20
    assert {one["seed"] for one in there.asked[:10]} == set(range(10))
    thumbs = [one for one in there.judged if one["kind"] == "thumb"]
    better = [one for one in there.judged if one["kind"] == "demonstration"]
    assert {one["inference_id"] for one in thumbs} == {f"chatcmpl-{n + 1}" for n in range(30)}
    assert not any(one["value"] for one in thumbs)
    assert len(better) == 5 + 10
    assert all(one["rater"] and one["tags"] for one in there.judged)
    plans = [one["plan"] for one in there.ordered if "plan" in one]
    assert [one["recipe"]["steps"] for one in plans] == [7, RECIPE.steps]
    assert [one["base"] for one in plans] == ["helpdesk", "helpdesk"]
    assert ["evaluation" in one for one in plans] == [False, True]
    since = {one["selection"]["since_ms"] for one in there.ordered if "selection" in one}
    assert len(since) == 1


async def test_a_round_that_made_nothing_ends_the_loop_with_its_reason(
    platform: tuple[Platform, str], tmp_path: Path
) -> None:
    there, url = platform
    there.trained = JobState.FAILED
    with pytest.raises(RoundFailedError, match="the loss is no number"):
        await Served(url, ("key", "admin"), "helpdesk", print).turn("default", "kind", 3, tmp_path / "exam.jsonl")
    assert len(there.asked) == 10
