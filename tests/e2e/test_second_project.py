"""A second project beside the first, from its first key to its promoted adapter; and the first one notices nothing."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from deploy.local.client import Stack
from libs.testkit.wait import eventually
from tests.e2e.second_project import (
    EXAM,
    JUDGED,
    LESSONS,
    LOOP,
    MODEL,
    PATIENCE_S,
    QUESTIONS,
    TONE,
    Stage,
    Team,
    belongings,
    demonstrate,
    prepared,
)
from tests.integration.local.conftest import Commanded
from tests.integration.rollout.customers import customers

NAME: Final = "atelier"
LISTS: Final = (
    "/versions?limit=200", "/jobs", "/datasets", "/interactions", "/feedback/statistics?by=model_version,tag,tenant",
    "/rollouts", "/loops", "/turns", "/deployments", f"/models/{TONE}/aliases", "/usage", "/keys", "/projects",
    "/organisations", "/webhooks",
)  # fmt: skip
NAMES: Final = (TONE, f"{TONE}@champion", f"{TONE}@challenger")
HEARD: Final = {
    "request.completed", "signal.recorded", "dataset.built", "job.changed", "version.published", "alias.moved",
    "rollout.changed", "turn.changed",
}  # fmt: skip


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commanded]:
    stack = prepared(tmp_path_factory.mktemp("projects"))
    stack.up()
    yield stack
    stack.run("down")
    assert not stack.left()


@pytest_asyncio.fixture(loop_scope="session")
async def stage(stack: Commanded) -> AsyncIterator[Stage]:
    local = Stack(stack.home)
    platform = Team(stack, local.admin_key())
    await platform.run("tenants", "create", "default", "--organisation", "first")
    await platform.run("tenants", "create", NAME, "--organisation", "maison")
    keys = []
    for tenant in ("default", NAME):
        made = await platform.run("keys", "create", "lead", "--tenant", tenant, "--role", "admin", "--json")
        keys.append(Team(stack, json.loads(made)["secret"]))
    yield Stage(platform, keys[0], Team(stack, local.api_key()), keys[1])


@pytest.mark.slow
async def test_a_second_project_learns_beside_the_first(stage: Stage, tmp_path: Path) -> None:
    first, second = stage.first, stage.second
    before = await _answer(stage.member, MODEL)
    await _makes_its_first_adapter(stage, tmp_path)
    beginning = await _answer(second, TONE)
    (tmp_path / "loop.yaml").write_text(LOOP)
    await second.run("loops", "apply", tmp_path / "loop.yaml")
    async with customers(second.url, second.key, TONE) as people:
        for number in range(JUDGED):
            await demonstrate(people, f"What costs lesson {number}?", "lesson")
        await second.turn("rolling_out", "promoted")
        async with people.flow():
            await _sees_nothing(first, await _has(second))
            await _cannot_ask(first, *NAMES)
            turn = await second.turn("promoted")

    async def promoted() -> bool | None:
        return (await second.answer(TONE)).version == _short(turn["version"]) or None

    await eventually(promoted, timeout_s=PATIENCE_S, what="answers of what was promoted")
    now = await second.answer(TONE)
    assert now.text != beginning.text
    after = await stage.member.answer(MODEL)
    assert (after.version, after.text) == (before.version, before.text)
    await _is_its_own(second, turn)
    has = await _has(second)
    for other in (first, stage.member):
        await _sees_nothing(other, has)
        await _hears_nothing(other, await other.answer(MODEL), belongings(has) | {NAME, TONE})
    weights = [one["reference"] for one in has["versions"] if one["kind"] == "adapter"]
    for other in (first, stage.member):
        await _cannot_ask(other, *NAMES, *weights)
    assert set(HEARD) <= {_kind(event) for event in await second.heard('"state":"promoted","dataset"')}


async def _answer(team: Team, model: str) -> Any:
    """An answer, as soon as the gateway knows the key and serves the model."""

    async def there() -> Any:
        return await team.answer(model) if (await team.asked(model)).status_code == 200 else None

    return await eventually(there, timeout_s=PATIENCE_S, what=f"an answer of {model}")


async def _makes_its_first_adapter(stage: Stage, directory: Path) -> None:
    """Of judged answers of the model that is everybody's; the platform has it loaded, and the project names it."""
    second = stage.second
    await _answer(second, MODEL)
    async with customers(second.url, second.key, MODEL) as people:
        for number in range(JUDGED):
            await demonstrate(people, f"What costs article {number}?", "basics")
        for number in range(QUESTIONS):
            await demonstrate(people, f"Which colour has item {number}?", "exam")
    await second.has_recorded("basics", JUDGED)
    await second.has_recorded("exam", QUESTIONS)
    for name, selection in (("lessons", LESSONS), ("exam", EXAM)):
        (directory / f"{name}.yaml").write_text(selection)
        await second.run("datasets", "build", directory / f"{name}.yaml", "--wait")
    await second.run("train", "--dataset", "tone-basics", "--base", MODEL, "--name", TONE, "--steps", "4")
    await stage.platform.run("models", "deploy", "default", MODEL, "--adapter", f"{TONE}@1", "--wait")
    await second.run("models", "alias", TONE, "champion", "1")


async def _has(team: Team) -> dict[str, Any]:
    """What a project's lists show of its own."""
    versions = (await team.get("/versions?limit=200"))["versions"]
    return {
        "versions": [one for one in versions if one.get("tenant") == NAME],
        "jobs": (await team.get("/jobs"))["jobs"],
        "builds": (await team.get("/datasets"))["jobs"],
        "rollouts": (await team.get("/rollouts"))["rollouts"],
        "turns": (await team.get("/turns"))["turns"],
        "interactions": (await team.get("/interactions?judged=true&limit=5"))["interactions"],
    }


async def _sees_nothing(other: Team, has: dict[str, Any]) -> None:
    """Neither in a list nor by its id is there anything of `has` for `other`."""
    words = belongings(has) | {NAME, "maison"}
    assert all(has.values()), "there is nothing to be seen"
    version, interaction = has["versions"][0]["reference"], has["interactions"][0]
    ones = [f"/jobs/{one['id']}" for one in has["jobs"]] + [f"/datasets/{one['id']}" for one in has["builds"]]
    ones += [f"/rollouts/{one['id']}" for one in has["rollouts"]] + [f"/turns/{one['id']}" for one in has["turns"]]
    ones += [f"/versions/{one['reference']}" for one in has["versions"]]
    ones += [f"/interactions/{interaction['request_id']}", f"/lineage/answers/{interaction['request_id']}"]
    ones += [f"/versions/{version}/fetch", "/loops/tone-nightly", f"/projects/{NAME}"]
    async with other.http() as http:
        for path in LISTS:
            shown = await http.get(f"/admin/v1{path}")
            assert shown.status_code in (200, 403, 404), (path, shown.text)
            assert not [word for word in words if word in shown.text], (path, shown.text)
        for path in ones:
            shown = await http.get(f"/admin/v1{path}")
            assert shown.status_code in (403, 404), (path, shown.text)
        listed = (await http.get("/v1/models")).text
        assert f'"{TONE}' not in listed, listed


async def _cannot_ask(other: Team, *models: str) -> None:
    """None of these is a model for `other`."""
    for model in models:
        reply = await other.asked(model)
        assert (reply.status_code, reply.json()["error"]["code"]) == (404, "model_not_found"), (model, reply.text)


async def _hears_nothing(other: Team, last: Any, words: set[str]) -> None:
    """Its events until its own last answer say none of these words, but for what it has asked for in vain."""
    heard = await other.heard(last.id.removeprefix("chatcmpl-"))
    told = [event for event in heard if event["data"].get("error_code") != "model_not_found"]
    assert not [event for event in told if any(word in json.dumps(event) for word in words)]
    assert {event["tenant"] for event in heard} == {"default"}


async def _is_its_own(team: Team, turn: dict[str, Any]) -> None:
    """All that the turn made is the project's, which finds it from an answer or a judgement, and makes it again."""
    shown = {one["reference"]: one["tenant"] for one in (await team.get("/versions?limit=200"))["versions"]}
    made = [_short(turn[name]) for name in ("dataset", "version", "report")]
    assert [shown[reference] for reference in made] == [NAME] * 3
    answer = await team.answer(TONE)

    async def recorded() -> Any:
        async with team.http() as http:
            found = await http.get(f"/admin/v1/lineage/answers/{answer.id}")
        return found.json() if found.status_code == 200 else None

    why = await eventually(recorded, timeout_s=PATIENCE_S, what="lineage of an answer")
    assert (why["turn"]["id"], why["rollout"]["id"], why["job"]["id"]) == (turn["id"], turn["rollout"], turn["job"])
    assert turn["id"] in await team.run("impact", why["dataset"]["shown"][0]["id"], "--json")
    await team.run("rebuild", turn["version"])


def _short(reference: str) -> str:
    name, _, digest = reference.partition("@sha256:")
    return f"{name}@sha256:{digest[:12]}"


def _kind(event: dict[str, Any]) -> str:
    return str(event["type"]).removeprefix("dev.llmos.").removesuffix(".v1")
