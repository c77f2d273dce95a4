"""The declarations: no secret on a command line, nothing undeclared to wait for, services told what they need."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from deploy.local.options import STARTER, StackOptions
from deploy.local.part import Part, Tier
from deploy.local.parts.engines import engine_environment
from deploy.local.site import Site
from deploy.local.stack import build_parts, build_site
from libs.testkit.ports import free_port


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return build_site(StackOptions(home=str(tmp_path / "home"), workers=2, ports={"gateway": free_port()}))


@pytest.fixture
def parts(site: Site) -> Mapping[str, Part]:
    return {part.name: part for part in build_parts(site)}


def test_no_secret_is_on_a_command_line_or_in_an_environment(site: Site, parts: Mapping[str, Part]) -> None:
    secrets = [path.read_text().strip() for path in site.home.secrets.iterdir()]
    seen = [text for part in parts.values() for text in (*part.command, *part.env.values(), *part.defaults.values())]

    assert len(secrets) >= 10
    assert not [secret for secret in secrets for text in seen if secret in text]


def test_what_a_part_waits_for_exists_and_is_stopped_after_it(parts: Mapping[str, Part]) -> None:
    for part in parts.values():
        for name in part.after:
            assert parts[name].tier <= part.tier or parts[name].task


def test_services_are_stopped_before_what_they_stand_on(parts: Mapping[str, Part]) -> None:
    order = sorted(parts, key=lambda name: parts[name].tier, reverse=True)

    assert order.index("gateway") < order.index("scheduler") < order.index("inference-0") < order.index("nats")
    assert order.index("gateway") < order.index("feedback") < order.index("nats"), "what the gateway last says is heard"
    assert {parts[name].tier for name in ("nats", "postgres", "objects")} == {Tier.STORE}


def test_text_is_kept_unless_somebody_says_otherwise(parts: Mapping[str, Part]) -> None:
    told = parts["gateway"].defaults["GATEWAY_CAPTURE_CONTENT"], parts["feedback"].defaults["FEEDBACK_CONTENT"]
    assert told == ("1", "full")
    assert not {"GATEWAY_CAPTURE_CONTENT", "FEEDBACK_CONTENT"} & {*parts["gateway"].env, *parts["feedback"].env}


def test_each_worker_has_a_name_of_its_own(parts: Mapping[str, Part]) -> None:
    names = [parts[f"inference-{number}"].env["INFERENCE_NAME"] for number in range(2)]

    assert names == ["worker-0", "worker-1"]


def test_every_port_is_declared_by_the_part_that_listens_on_it(site: Site, parts: Mapping[str, Part]) -> None:
    declared = sorted(port for part in parts.values() for port in part.ports.values())

    assert declared == sorted(site.ports.values())


def test_other_peoples_servers_do_not_see_the_callers_environment(parts: Mapping[str, Part]) -> None:
    assert {part.name for part in parts.values() if part.inherits} == {
        "audit",
        "events",
        "feedback",
        "gateway",
        "identity",
        "registry",
        "rollout",
        "scheduler",
        "trainer",
        "inference-0",
        "inference-1",
    }


def test_files_with_secrets_are_private(site: Site, parts: Mapping[str, Part]) -> None:
    assert parts
    secrets = [path.read_text().strip() for path in site.home.secrets.iterdir()]
    holders = [
        path for path in site.home.root.rglob("*") if path.is_file() and any(s in path.read_text() for s in secrets)
    ]

    assert {path.name for path in holders} >= {"nats.conf", "options", "security.toml", "identities.json"}
    assert not [path for path in holders if path.stat().st_mode & 0o077]


def test_a_local_model_is_never_looked_up_on_the_hub() -> None:
    assert engine_environment(workers=1, is_local=True)["HF_HUB_OFFLINE"] == "1"
    assert "HF_HUB_OFFLINE" not in engine_environment(workers=1, is_local=False)
    assert engine_environment(workers=64, is_local=True)["OMP_NUM_THREADS"] == "1"


def test_a_directory_reaches_the_workers_through_the_registry(site: Site, parts: Mapping[str, Part]) -> None:
    model, worker = parts["publish-model"], parts["inference-0"]

    assert (model.env["PUBLISH_DIRECTORY"], model.env["PUBLISH_NAME"]) == (str(STARTER), "helpdesk")
    assert model.env["PUBLISH_ASKED"] == "False"
    assert worker.env["INFERENCE_MODEL"] == ""
    assert Path(worker.env["INFERENCE_CACHE_DIR"]).is_relative_to(site.home.root)
    assert "publish-model" not in worker.after, "the engine's imports need not wait"


def test_a_hugging_face_name_goes_to_the_engine_itself(tmp_path: Path) -> None:
    options = StackOptions(home=str(tmp_path / "home"), model="Qwen/Qwen3-0.6B", ports={"gateway": free_port()})
    parts = {part.name: part for part in build_parts(build_site(options))}

    assert "publish-model" not in parts
    assert "registry" in parts
    worker = parts["inference-0"].env
    assert worker["INFERENCE_MODEL"] == worker["INFERENCE_MODEL_NAME"] == "Qwen/Qwen3-0.6B"
