"""A stack that trains in a moment, and two projects on it: what each may do, and what each of them has."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import httpx2

from libs.testkit import fake_trainer
from libs.testkit.models import write_model
from libs.testkit.wait import eventually
from tests.integration.local.conftest import FAKE, Commanded
from tests.integration.rollout.customers import Customers

PATIENCE_S: Final = 600.0
COMMAND_S: Final = 400.0
MODEL: Final = "helpdesk"
TONE: Final = "tone"
JUDGED: Final = 24
QUESTIONS: Final = 40
QUESTION: Final = [{"role": "user", "content": "How much is the teapot?"}]

KEPT: Final = "splits: {%s: 1.0}\nnear_duplicates: 0\nquarantine: {enabled: false}\n"
LESSONS: Final = "name: tone-basics\nshape: sft\ntags: [basics]\n" + KEPT % "train"
EXAM: Final = "name: tone-exam\nshape: evaluation\ntags: [exam]\n" + KEPT % "test"
LOOP: Final = f"""
name: tone-nightly
model: {TONE}
selection:
  name: tone-lessons
  shape: sft
  tags: [lesson]
  splits: {{train: 1.0}}
  near_duplicates: 0
  quarantine: {{enabled: false}}
recipe: {{steps: 6, checkpoint_steps: 2}}
evaluation:
  # The fake engine begins each answer with the digest of its weights.
  tasks: [{{name: desk, dataset: tone-exam, measures: [], rules: ['weights=[0-9a-f]{{12}}'], max_tokens: 8}}]
  temperatures: [0.0]
  gate: {{rules: [{{metric: desk/weights, kind: at_least, margin: 0.9}}]}}
rollout:
  steps:
    - {{share: 0.5, shadow: true, min_s: 0, min_requests: 20, min_signals: 0}}
    - {{share: 0.3, min_s: 0, min_requests: 30, min_signals: 20}}
    - {{share: 0.5, min_s: 0, min_requests: 30, min_signals: 20}}
  # Both versions answer alike, on a machine whose speed says nothing.
  margins:
    - {{guard: error, margin: 0.3}}
    - {{guard: slow_first_token, margin: 0.8}}
    - {{guard: slow_token, margin: 0.8}}
    - {{guard: odd_length, margin: 0.5}}
    - {{guard: disapproval, margin: 0.3}}
  promotion_margin: 0.3
  min_tag_signals: 5
  watch_s: 1
  holdback: 0.3
trigger: {{signals: {JUDGED}, min_interval_s: 0}}
budget: {{turns_per_day: 1}}
"""


@dataclass(frozen=True)
class Answer:
    """What a model said, and which version of it."""

    id: str
    version: str
    text: str


@dataclass
class Team:
    """Whoever holds one key: a project's, or the platform's."""

    stack: Commanded
    key: str

    @property
    def url(self) -> str:
        """Of the gateway."""
        return self.stack.state.base_url.removesuffix("/v1")

    async def run(self, *arguments: str | Path) -> str:
        """What the command prints with this key; it ends well."""
        command = replace(self.stack, engine={**self.stack.engine, "LLMOS_ADMIN_KEY": self.key})
        ran = await asyncio.to_thread(command.run, *map(str, arguments), timeout_s=COMMAND_S)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    @asynccontextmanager
    async def http(self) -> AsyncIterator[httpx2.AsyncClient]:
        """A client with this key."""
        headers = {"authorization": f"Bearer {self.key}"}
        async with httpx2.AsyncClient(base_url=self.url, headers=headers, timeout=60, trust_env=False) as http:
            yield http

    async def get(self, path: str) -> Any:
        """What the admin API has there."""
        async with self.http() as http:
            found = await http.get(f"/admin/v1{path}")
            assert found.status_code == 200, found.text
            return found.json()

    async def asked(self, model: str) -> httpx2.Response:
        """The reply to a question."""
        async with self.http() as http:
            body = {"model": model, "messages": QUESTION, "temperature": 0, "max_tokens": 8}
            return await http.post("/v1/chat/completions", json=body)

    async def answer(self, model: str) -> Answer:
        """A whole answer."""
        reply = await self.asked(model)
        assert reply.status_code == 200, reply.text
        told = reply.json()
        return Answer(told["id"], reply.headers["x-llmos-model-version"], told["choices"][0]["message"]["content"])

    async def has_recorded(self, tag: str, count: int) -> None:
        """Return when so many judgements with the tag count."""

        async def counted() -> bool | None:
            rows = (await self.get("/feedback/statistics?by=tag"))["rows"]
            found = [row for row in rows if row["group"]["tag"] == tag]
            return sum(row.get("thumbs_up", 0) + row.get("demonstrations", 0) for row in found) >= count or None

        await eventually(counted, timeout_s=PATIENCE_S, what=f"{count} judgements on {tag}")

    async def turn(self, *states: str) -> dict[str, Any]:
        """The loop's first turn as soon as it is in one of these states."""

        async def there() -> dict[str, Any] | None:
            turns = (await self.get("/turns"))["turns"]
            ended = {"held_back", "taken_back", "failed", "cancelled"}
            assert not turns or turns[0]["state"] not in ended, turns[0]["reason"]
            return dict(turns[0]) if turns and turns[0]["state"] in states else None

        return await eventually(there, timeout_s=PATIENCE_S, what=f"a turn that is {' or '.join(states)}")

    async def heard(self, last: str) -> list[dict[str, Any]]:
        """The events of all time until the one that says `last`."""
        found: list[dict[str, Any]] = []
        async with (
            asyncio.timeout(PATIENCE_S),
            self.http() as http,
            http.stream("GET", "/v1/events", params={"after": "0"}) as reply,
        ):
            assert reply.status_code == 200
            async for line in reply.aiter_lines():
                if line.startswith("data: "):
                    found.append(json.loads(line.removeprefix("data: ")))
                    if last in line:
                        return found
        raise AssertionError(f"the stream has ended without {last}")


@dataclass
class Stage:
    """The stack with both projects."""

    platform: Team
    first: Team
    """Everything in the project that was there from the beginning."""
    member: Team
    """The key that the first project had from the beginning."""
    second: Team


def prepared(directory: Path) -> Commanded:
    """A stack, not yet started, with a tiny model; its trainer works in milliseconds, and really evaluates."""
    behaviour = directory / "behaviour.json"
    directory.mkdir(parents=True, exist_ok=True)
    fake_trainer.behave(behaviour, fake_trainer.Behaviour(really_evaluates=True))
    told = {
        "LLMOS_MODEL": str(write_model(directory / MODEL)),
        "TRAINER_WORK_MODULE": fake_trainer.__name__,
        "TRAINER_WORK_ENVIRONMENT": json.dumps({fake_trainer.VARIABLE: str(behaviour)}),
        "TRAINER_PRIORITY": "normal",
    }
    return Commanded(directory / "home", engine={**FAKE, **told})


async def demonstrate(people: Customers, question: str, tag: str) -> None:
    """A better answer to a question; the fake engine's own are cut off, and taught by nobody."""
    answer = await people.ask(question)
    said = {"kind": "demonstration", "value": f"{question} It is so.", "rater": f"ann-{answer}", "tags": [tag]}
    reply = await people.http.post("/v1/feedback", json={"inference_id": answer, **said})
    assert reply.status_code == 201, reply.text


def belongings(found: dict[str, Any]) -> set[str]:
    """Ids and digests in what a project's lists show: none of these words may be said to anybody else."""
    words = {one["id"] for kind in ("jobs", "builds", "rollouts", "turns") for one in found[kind]}
    words |= {one["request_id"] for one in found["interactions"]}
    words |= {signal["id"] for one in found["interactions"] for signal in one.get("signals", ())}
    return words | {one["digest"][:12] for one in found["versions"]}
