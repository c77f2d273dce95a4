"""`./llmos models` on a whole stack: a directory goes in and comes out the same, and nobody loses a race unnoticed."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import minio
import pytest

from deploy.local.client import Stack
from deploy.local.options import STARTER
from deploy.local.parts import objects
from libs.contracts.registry import BLOB_BYTES
from libs.testkit.models import write_adapter, write_model
from tests.integration.local.conftest import Commanded, until


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commanded]:
    stack = Commanded(tmp_path_factory.mktemp("models") / "home")
    stack.up()
    yield stack
    stack.run("down")
    assert not stack.left()


def _models(stack: Commanded, *arguments: str | Path, status: int = 0) -> Any:
    """What `models …` prints; JSON is decoded."""
    ran = stack.run("models", *map(str, arguments))
    assert ran.returncode == status, ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr
    if status:
        return " ".join(ran.stderr.split())
    return json.loads(ran.stdout) if "--json" in arguments else ran.stdout


def _files(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


def test_the_stacks_own_model_is_published_with_a_champion(stack: Commanded, tmp_path: Path) -> None:
    (version,) = _models(stack, "list", "helpdesk", "--json")
    assert (version["kind"], version["number"], version["aliases"]) == ("model", 1, ["champion"])
    _models(stack, "pull", "helpdesk@champion", tmp_path / "out")
    assert _files(tmp_path / "out") == _files(STARTER)


def test_what_is_pushed_is_listed_shown_and_pulled_byte_for_byte(stack: Commanded, tmp_path: Path) -> None:
    source = write_model(tmp_path / "source", 1, rows=10_000)
    (source / "docs").mkdir()
    (source / "docs" / "empty.md").write_text("")
    told = ("--metric", "f1=0.5", "--licence", "MIT", "--job", "j7", "--code", "0123abc", "--note", "run=night")
    pushed = _models(stack, "push", source, "shop", *told, "--alias", "champion", "--json")
    assert pushed["published_by"] == "operator"
    assert "nothing had to be sent" in _models(stack, "push", source, "shop", *told)
    shown = _models(stack, "show", "shop", "--json")
    assert (shown["manifest"]["licence"], shown["manifest"]["metrics"]) == ("MIT", {"f1": 0.5})
    assert shown["manifest"]["lineage"] == {"job": "j7", "code": "0123abc"}
    assert shown["manifest"]["annotations"] == {"run": "night"}
    assert (shown["version"]["aliases"], shown["card"]) == (["champion"], "# Model 1\n")
    assert "shop@sha256:" in _models(stack, "show", "shop@1")

    for number, reference in enumerate(("shop", "shop@champion", "shop@1", f"shop@sha256:{pushed['digest'][:12]}")):
        _models(stack, "pull", reference, tmp_path / f"out-{number}")
        assert _files(tmp_path / f"out-{number}") == _files(source)
    assert "all as published" in _models(stack, "verify", "shop")


def test_an_alias_moves_only_from_where_it_was_expected(stack: Commanded, tmp_path: Path) -> None:
    digests = [
        _models(stack, "push", write_model(tmp_path / str(seed), seed), "moving", "--json")["digest"]
        for seed in (11, 12, 13)
    ]
    first, second, third = digests
    _models(stack, "alias", "moving", "champion", "1", "--expect", "")
    assert "points to" in _models(stack, "alias", "moving", "champion", "2", "--expect", "", status=3)
    _models(stack, "alias", "moving", "champion", f"moving@sha256:{second[:12]}", "--expect", first[:12])
    for stale in (first, first[:12], f"sha256:{third[:12]}"):
        _models(stack, "alias", "moving", "champion", "3", "--expect", stale, status=3)
    (now,) = _models(stack, "aliases", "moving", "--json")
    assert (now["digest"], now["author"]) == (second, "operator")
    _models(stack, "alias", "moving", "champion", "--remove", "--reason", "enough")
    moves = _models(stack, "aliases", "moving", "--history", "champion", "--json")
    assert [move["digest"] for move in moves] == ["", second, first]


def test_mistakes_say_what_happened_and_what_to_do(stack: Commanded, tmp_path: Path) -> None:
    unsafe = write_model(tmp_path / "unsafe")
    (unsafe / "pytorch_model.bin").write_bytes(b"x")
    assert "pytorch_model.bin" in _models(stack, "push", unsafe, "unsafe", status=1)
    assert "is not a name" in _models(stack, "push", write_model(tmp_path / "x"), "No!", status=1)
    assert "models list" in _models(stack, "show", "nobody", status=1)
    assert "--base" in _models(stack, "push", write_adapter(tmp_path / "adapter"), "tone", status=2)
    assert "--metric" in _models(stack, "push", tmp_path / "x", "x", "--metric", "f1", status=2)
    assert "--remove" in _models(stack, "alias", "helpdesk", "champion", status=2)
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "mine").write_text("keep")
    _models(stack, "pull", "helpdesk", taken, status=1)
    assert (taken / "mine").read_text() == "keep"


def test_an_adapter_names_its_base_in_full(stack: Commanded, tmp_path: Path) -> None:
    base = _models(stack, "push", write_model(tmp_path / "base", 21), "tall", "--json")
    adapter = _models(stack, "push", write_adapter(tmp_path / "adapter", 1), "tone", "--base", "tall@1", "--json")
    assert (adapter["kind"], adapter["base"]) == ("adapter", f"tall@sha256:{base['digest']}")
    assert "tall" in _models(stack, "delete", "tall@1", status=1)
    wide = _models(stack, "push", write_model(tmp_path / "wide", 22, hidden=16), "wide", "--json")
    assert wide["number"] == 1
    refused = _models(stack, "push", write_adapter(tmp_path / "adapter", 1), "tone", "--base", "wide", status=1)
    assert "wide" in refused


def test_what_is_deleted_is_garbage_that_a_dry_run_leaves_alone(stack: Commanded, tmp_path: Path) -> None:
    source = write_model(tmp_path / "gone", 31)
    _models(stack, "push", source, "gone")
    _models(stack, "delete", "gone@1")
    assert not _models(stack, "list", "gone", "--json")
    looked = _models(stack, "gc", "--json")
    assert looked["dry_run"] is True
    assert looked["kept"] > 0
    again = _models(stack, "gc", "--json")
    assert (again["kept"], again["deleted"]) == (looked["kept"], looked["deleted"])
    # Its bytes are still there: the same directory is back at once.
    assert "nothing had to be sent" in _models(stack, "push", source, "gone")


def test_a_push_outlives_a_storage_that_dies_and_comes_back(stack: Commanded, tmp_path: Path) -> None:
    source = write_model(tmp_path / "big", 41, rows=6_000_000)
    objects = next(part for part in stack.state.parts if part.name == "objects")
    killed = threading.Event()

    def kill() -> None:
        os.kill(objects.pid, signal.SIGKILL)
        killed.set()

    killer = threading.Timer(1.2, kill)
    killer.start()
    _models(stack, "push", source, "big")
    assert killed.is_set(), "the push was over before the storage died: make the model larger"
    killer.join()
    until(lambda: next(p for p in stack.state.parts if p.name == "objects").restarts == objects.restarts + 1, "restart")
    assert "all as published" in _models(stack, "verify", "big@1")


@pytest.mark.slow
def test_a_push_that_failed_goes_on_where_it_stopped(stack: Commanded, tmp_path: Path) -> None:
    source = write_model(tmp_path / "resumed", 51, rows=8_000_000)
    stop = threading.Event()

    def keep_it_down() -> None:
        """Kill the storage whenever it is there, beginning in the middle of the push."""
        stop.wait(2.5)
        while not stop.wait(0.05):
            pid = next(part for part in stack.state.parts if part.name == "objects").pid
            if pid:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue

    thread = threading.Thread(target=keep_it_down)
    thread.start()
    try:
        failed = _models(stack, "push", source, "resumed", status=1)
    finally:
        stop.set()
        thread.join()
    assert "repeat the command" in failed
    assert not _models(stack, "list", "resumed", "--json")
    until(lambda: stack.state.phase == "ready", "the storage's return")

    told = _models(stack, "push", source, "resumed")
    assert "sent" in told
    _models(stack, "pull", "resumed@1", tmp_path / "out")
    assert _files(tmp_path / "out") == _files(source)


def _ask(stack: Commanded, model: str) -> tuple[int, str]:
    """Status of one request for `model`, and the version that answered."""
    answer = httpx2.post(
        f"{stack.state.base_url}/chat/completions",
        json={"model": model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4},
        headers={"authorization": f"Bearer {Stack(stack.home).api_key()}"},
        timeout=60,
        trust_env=False,
    )
    return answer.status_code, answer.headers.get("x-llmos-model-version", "")


def test_a_deployment_is_followed_and_can_be_waited_for(stack: Commanded, tmp_path: Path) -> None:
    pushed = _models(stack, "push", write_model(tmp_path / "new", 61), "fresh", "--alias", "champion", "--json")
    before = _models(stack, "deployments", "default", "--json")[0]["deployment"]
    assert _ask(stack, "helpdesk") == (200, before["base"]["reference"])
    assert _ask(stack, "fresh")[0] == 404

    said = _models(stack, "deploy", "default", "fresh", "--wait", "--timeout", "60")
    assert pushed["reference"] in said
    (status,) = _models(stack, "deployments", "default", "--json")
    assert status["deployment"]["base"]["digest"] == pushed["digest"]
    assert all(worker["revision"] >= status["deployment"]["revision"] for worker in status["workers"])
    for model in ("fresh", "fresh@champion", pushed["reference"]):
        assert _ask(stack, model) == (200, pushed["reference"])
    assert json.loads(stack.run("status", "--json").stdout)["model_version"] == pushed["reference"]

    _models(stack, "deploy", "default", "helpdesk", "--expect", str(before["generation"]), status=3)
    _models(stack, "delete", "fresh@1", status=1)
    _models(stack, "deploy", "default", "helpdesk", "--wait", "--timeout", "60")
    assert _ask(stack, "helpdesk") == (200, before["base"]["reference"])


def test_an_adapter_that_is_deployed_answers_under_its_own_name(stack: Commanded, tmp_path: Path) -> None:
    base = _models(stack, "show", "helpdesk", "--json")["version"]["reference"]
    write_adapter(tmp_path / "adapter", 71, hidden=128)
    pushed = _models(stack, "push", tmp_path / "adapter", "voice", "--base", base, "--alias", "champion", "--json")
    _models(stack, "deploy", "default", base, "--adapter", "voice@1", "--wait", "--timeout", "60")

    until(lambda: _ask(stack, "voice") == (200, pushed["reference"]), "the adapter's name")
    assert _ask(stack, pushed["reference"]) == (200, pushed["reference"])
    _models(stack, "delete", "voice@1", status=1)
    _models(stack, "adjust", "default", "--drop", "voice@1", "--wait", "--timeout", "60")
    _models(stack, "adjust", "default", "--drop", "voice@1")
    _models(stack, "adjust", "default", status=2)
    assert base in _models(stack, "adjust", "default", "--add", "voice@1", "--wait", "--timeout", "60")
    assert _ask(stack, "voice") == (200, pushed["reference"])
    _models(stack, "deploy", "default", base, "--wait", "--timeout", "60")


def _whole_blobs(stack: Commanded) -> set[str]:
    """Keys of stored blobs of the largest size there is."""
    access, secret = (stack.home.secret(name) for name in (objects.ACCESS_KEY_NAME, objects.SECRET_KEY_NAME))
    client = minio.Minio(f"127.0.0.1:{stack.state.ports['s3']}", access, secret, secure=False)
    found = client.list_objects(objects.BUCKET, prefix="sha256/", recursive=True)
    return {each.object_name for each in found if each.size == BLOB_BYTES}


STALLING = """
import asyncio
import sys

from cli.__main__ import main
from libs.contracts.registry import BLOB_BYTES
from libs.kit.publish import upload

put, sent = upload._Publication._put, []


async def first_only(self, target, piece, headers):
    if sent or piece.size_bytes < BLOB_BYTES:
        await asyncio.Event().wait()
    sent.append(target)
    await put(self, target, piece, headers)


upload._Publication._put = first_only
sys.exit(main())
"""
"""The command line, which sends one whole blob and then nothing for ever: a push that is killed halfway for certain."""


@pytest.mark.slow
def test_a_push_that_is_killed_leaves_nothing_visible_and_is_not_begun_anew(stack: Commanded, tmp_path: Path) -> None:
    source = write_model(tmp_path / "killed", 81, rows=5_000_000)
    before = _whole_blobs(stack)
    command = (sys.executable, "-P", "-c", STALLING, "models", "push", str(source), "killed")
    push = subprocess.Popen(command, env=stack.environment(), stdout=subprocess.DEVNULL)
    until(lambda: bool(_whole_blobs(stack) - before), "the first whole blob", timeout_s=120)
    assert push.poll() is None
    push.kill()
    push.wait()
    assert not _models(stack, "list", "killed", "--json")

    told = _models(stack, "push", source, "killed")
    total, *sent = (float(text) for text in re.findall(r"([\d.]+) MB", told))
    assert sum(sent) <= total - 64, "what had arrived was not sent again"
    _models(stack, "pull", "killed@1", tmp_path / "out")
    assert _files(tmp_path / "out") == _files(source)
