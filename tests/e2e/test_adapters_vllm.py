"""Adapters come and go in a real engine under load, and bad ones do it no harm."""

import asyncio
import itertools
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from libs.contracts.registry import Kind
from libs.contracts.training import Recipe
from libs.contracts.versions import full_reference
from libs.testkit.blob_store import Stored
from libs.testkit.platform import VLLM_ENGINE
from libs.testkit.registry_double import reference
from libs.testkit.wait import until
from tests.e2e.lora import STARTER, make_lora
from tests.e2e.swaps import NAME, Ground, check, figures, ground, start
from tests.unit.trainer.tiny import order_for, said, train, write_rows

pytestmark = [pytest.mark.vllm, pytest.mark.slow]

SWAPS = 50
EXACT = ("--dtype", "float32")
"""Half as many bits would let an answer depend on what else is in its batch."""

ASKED: list[dict[str, object]] = [
    {
        "messages": [{"role": "user", "content": text}],
        "max_tokens": 12,
        "temperature": 0,
        "ignore_eos": True,
        "stream": bool(number % 2),
    }
    for number, text in enumerate(
        ("What does the lamp cost?", "Where is my order?", "Do you sell desks?", "Can I send the chair back?")
    )
]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ground]:
    """One real worker behind gateway and scheduler, with the starter model from the registry."""
    async with ground(tmp_path_factory.mktemp("vllm"), workers=1, engine=VLLM_ENGINE) as stage:
        base = stage.registry.store.publish(STARTER, "helpdesk")
        stage.registry.deploy(base, names={"helpdesk": base}, engine_args=EXACT)
        await start(stage)
        yield stage


def base_of(stage: Ground) -> Stored:
    return next(stored for stored in stage.registry.store.versions.values() if stored.manifest.kind is Kind.MODEL)


def adapter(stage: Ground, directory: Path) -> Stored:
    full = full_reference("helpdesk", base_of(stage).digest)
    return stage.registry.store.publish(directory, NAME, Kind.ADAPTER, full)


async def answer(stage: Ground, model: str, body: dict[str, object]) -> str:
    seen = await stage.ask(body | {"model": model})
    assert seen.status == 200, seen
    return seen.text


async def test_bad_adapters_are_refused_and_the_engine_lives(stage: Ground, tmp_path: Path) -> None:
    base = base_of(stage)
    before = await answer(stage, "helpdesk", ASKED[0])
    good = adapter(stage, make_lora(tmp_path / "good", 1))
    empty = make_lora(tmp_path / "empty", 2)
    (empty / "adapter_model.safetensors").write_bytes(b"")
    cut = make_lora(tmp_path / "cut", 3)
    (cut / "adapter_model.safetensors").write_bytes((cut / "adapter_model.safetensors").read_bytes()[:-1_000])
    missing = make_lora(tmp_path / "missing", 4)
    (missing / "adapter_model.safetensors").unlink()
    config = make_lora(tmp_path / "config", 5)
    (config / "adapter_config.json").write_text("{}")
    elsewhere = make_lora(tmp_path / "elsewhere", 6)
    settings = json.loads((elsewhere / "adapter_config.json").read_text())
    (elsewhere / "adapter_config.json").write_text(json.dumps(settings | {"use_dora": True}))
    bad = [
        adapter(stage, directory)
        for directory in (
            make_lora(tmp_path / "wide", 7, hidden=256),
            make_lora(tmp_path / "high", 8, rank=64),
            empty,
            cut,
            missing,
            config,
            elsewhere,
        )
    ]
    stage.registry.deploy(base, *bad, good, names={"helpdesk": base, NAME: good}, engine_args=EXACT)
    await until(
        lambda: all(reference(one) in stage.observer.beats["worker-0"].deployment_error for one in bad),
        timeout_s=60,
        what="what is wrong with each",
    )
    assert {model.name for model in stage.observer.beats["worker-0"].models} == {
        reference(base),
        reference(good),
        "helpdesk",
        NAME,
    }
    assert await answer(stage, "helpdesk", ASKED[0]) == before
    assert await answer(stage, NAME, ASKED[0]) != before
    revision = stage.registry.deploy(base, names={"helpdesk": base}, engine_args=EXACT)
    await stage.carried_out(revision, 1)
    assert await answer(stage, "helpdesk", ASKED[0]) == before


async def test_what_the_trainer_made_is_served_and_says_what_it_was_taught(stage: Ground, tmp_path: Path) -> None:
    base = base_of(stage)
    taught = "We moved to Harbour Street, with pleasure."
    places = ("the shop", "your store", "the desk", "your office", "the counter", "the house", "the hall", "the yard")
    rows = [{"messages": [{"role": "user", "content": f"Where is {place} today?"}, said(taught)]} for place in places]
    write_rows(tmp_path / "data" / "train.jsonl", rows)
    recipe = Recipe(steps=100, batch_rows=8, learning_rate=1e-2)
    # In a thread: the servers of this test must be heard meanwhile.
    await asyncio.to_thread(train, order_for(tmp_path, STARTER, "sft", recipe))
    made = adapter(stage, tmp_path / "result")
    revision = stage.registry.deploy(base, made, names={"helpdesk": base, NAME: made}, engine_args=EXACT)
    await stage.carried_out(revision, 1)
    asked: dict[str, object] = {"messages": rows[0]["messages"][:1], "max_tokens": 40, "temperature": 0}
    assert taught in await answer(stage, NAME, asked)
    assert taught not in await answer(stage, "helpdesk", asked)


async def test_fifty_swaps_under_load_answer_as_a_cold_start_does(stage: Ground, tmp_path: Path) -> None:
    base = base_of(stage)
    made = [adapter(stage, make_lora(tmp_path / f"v{number}", 100 + number)) for number in range(SWAPS + 1)]
    first = stage.registry.deploy(base, made[0], names={NAME: made[0]}, engine_args=EXACT)
    await stage.carried_out(first, 1)
    stage.settled = stage.newest = reference(made[0])
    waits_s = []
    async with stage.load([body | {"model": NAME, "user": f"u{n}"} for n, body in enumerate(ASKED)]) as seen:
        for old, new in itertools.pairwise(made):
            waits_s.append(await stage.swap(base, old, new, EXACT))
            count = len(seen)
            await until(lambda count=count: len(seen) > count + 4, timeout_s=30)  # type: ignore[misc]
    assert stage.observer.beats["worker-0"].deployment_error == ""

    stage.platform.kill("worker-0")
    stage.platform.start("worker-0")
    cold = stage.registry.deploy(base, *made, engine_args=EXACT)
    await stage.carried_out(cold, 1, timeout_s=120)
    await until(stage.platform.is_ready, timeout_s=30)
    texts = {
        reference(one): {str(body["messages"]): await answer(stage, reference(one), body) for body in ASKED}
        for one in made
    }
    assert len({text for by_question in texts.values() for text in by_question.values()}) > SWAPS * 3
    for body in ASKED:
        key = str(body["messages"])
        check([one for one in seen if one.asked == key], {version: text[key] for version, text in texts.items()})
    print(figures(waits_s, seen))


async def test_a_worker_replaces_itself_for_a_new_base(stage: Ground, tmp_path: Path) -> None:
    old = base_of(stage)
    before = await stage.ask(ASKED[0] | {"model": reference(old)})
    copy = tmp_path / "starter"
    shutil.copytree(STARTER, copy)
    (copy / "NOTES.md").write_text("The same weights in another version.")
    new = stage.registry.store.publish(copy, "helpdesk")
    process = stage.platform.processes["worker-0"]
    revision = stage.registry.deploy(new, names={"helpdesk": new}, engine_args=EXACT)
    stage.registry.reload(stage.observer.beats["worker-0"].worker)
    await stage.carried_out(revision, 1, timeout_s=120)
    assert stage.observer.beats["worker-0"].base == reference(new)
    after = await stage.ask(ASKED[0] | {"model": "helpdesk"})
    assert (after.status, after.version, after.text) == (200, reference(new), before.text)
    assert process.poll() is None, "it is the same process"
    assert len(engines_of(process.pid)) == 1, "the old engine is gone"


def engines_of(parent: int) -> list[int]:
    """Living children of a process, without the helper of `multiprocessing` that watches shared memory."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            command = (folder / "cmdline").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == parent and fields[0] != "Z" and "resource_tracker" not in command:
            found.append(int(folder.name))
    return found
