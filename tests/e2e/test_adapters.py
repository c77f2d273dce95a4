"""Adapters and bases change under load, on the fake engine: no request fails, no answer mixes two versions."""

import itertools
from pathlib import Path

import pytest

from libs.contracts.registry import Kind
from libs.contracts.versions import full_reference
from libs.testkit.blob_store import Stored
from libs.testkit.fake_versions import expected, make_weights
from libs.testkit.registry_double import reference
from libs.testkit.wait import until
from tests.e2e.swaps import NAME, Ground, check, figures, ground, questions, start


def publish(stage: Ground, directory: Path, text: str, base: Stored | None = None) -> tuple[Stored, Path]:
    """A base, or an adapter of `base`."""
    path = make_weights(directory / f"weights-{text}", text)
    if base is None:
        return stage.registry.store.publish(path, "helpdesk"), path
    return stage.registry.store.publish(path, NAME, Kind.ADAPTER, full_reference("helpdesk", base.digest)), path


@pytest.mark.parametrize("swaps", [50, pytest.param(1_000, marks=pytest.mark.slow)])
async def test_a_name_that_moves_from_adapter_to_adapter_under_load(tmp_path: Path, swaps: int) -> None:
    async with ground(tmp_path) as stage:
        base, base_path = publish(stage, tmp_path, "base")
        made = [publish(stage, tmp_path, f"v{number}", base) for number in range(swaps + 1)]
        texts = {"": ""} | {reference(stored): expected(base_path, path) for stored, path in made}
        stage.registry.deploy(base, made[0][0], names={NAME: made[0][0]})
        stage.settled = stage.newest = reference(made[0][0])
        await start(stage)
        await stage.carried_out(1, stage.platform.workers)
        waits_s = []
        async with stage.load(questions(6)) as seen:
            for (old, _), (new, _) in itertools.pairwise(made):
                waits_s.append(await stage.swap(base, old, new))
        check(seen, texts)
        assert len({one.version for one in seen}) > swaps / 2, "the load was there while names moved"
        last = stage.observer.beats["worker-0"]
        assert {model.name for model in last.models} == {reference(base), reference(made[-1][0]), NAME}
        print(figures(waits_s, seen))


async def test_a_new_base_rolls_through_the_workers_under_load(tmp_path: Path) -> None:
    async with ground(tmp_path) as stage:
        (old, old_path), (new, new_path) = (publish(stage, tmp_path, text) for text in ("old", "new"))
        texts = {reference(old): expected(old_path), reference(new): expected(new_path)}
        stage.registry.deploy(old, names={NAME: old})
        await start(stage)
        await stage.carried_out(1, 2)
        processes = {name: process.pid for name, process in stage.platform.processes.items()}
        async with stage.load(questions(6)) as seen:
            revision = stage.registry.deploy(new, names={NAME: new})
            for worker in ("worker-0", "worker-1"):
                before = stage.observer.beats[worker]
                stage.registry.reload(before.worker)
                await until(
                    lambda worker=worker: (  # type: ignore[misc]
                        stage.observer.beats[worker].revision == revision
                        and stage.observer.beats[worker].base == reference(new)
                    ),
                    timeout_s=30,
                    what=f"{worker} with the new base",
                )
                assert stage.observer.beats[worker].worker != before.worker
            count = len(seen)
            await until(lambda: len(seen) > count + 20, what="answers of the new base")
        assert [one for one in seen if one.status != 200] == []
        for one in seen:
            assert one.text == texts[one.version], one
        assert {one.version for one in seen} == set(texts)
        assert {one.version for one in seen[-6:]} == {reference(new)}
        alive = {name: process.pid for name, process in stage.platform.processes.items() if process.poll() is None}
        assert alive == processes, "the same processes, as a supervisor sees them"
