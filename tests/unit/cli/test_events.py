"""The parts of `./llmos events` and `./llmos webhooks` that need no service: what is asked, and what is shown."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from cli.commands import events as events_command
from cli.commands import webhooks as webhooks_command
from cli.events import webhooks
from deploy.local import listeners, state
from deploy.local.client import Stack
from deploy.local.errors import StackError
from deploy.local.home import Home
from deploy.local.state import PartState, StackState
from deploy.nats.listeners import ACCOUNTS, EXPORTS, FOLDER
from libs.contracts import webhooks as w
from libs.contracts.calls import Empty
from libs.contracts.public_events import TYPES
from tests.contract.events_samples import DELIVERY, HOOK, WEBHOOK

_ANSWERS = {
    "webhook_create": w.IssuedWebhook(webhook=WEBHOOK, secret="whsec_shown"),
    "webhook_change": WEBHOOK,
    "webhook_show": WEBHOOK,
    "webhook_list": w.WebhookPage((WEBHOOK,)),
    "webhook_delete": Empty(),
    "webhook_rotate": w.IssuedWebhook(webhook=WEBHOOK, secret="whsec_shown"),
    "delivery_list": w.DeliveryPage((DELIVERY,)),
    "delivery_replay": w.Replayed(2),
}


def _run(command: Any, *arguments: str) -> Any:
    app = typer.Typer(add_completion=False)
    for verb, run in command.VERBS.items():
        app.command(verb)(run)
    return CliRunner().invoke(app, arguments)


@pytest.mark.parametrize(
    ("arguments", "request_", "shown"),
    [
        (("create", "https://x.example/", "--type", "*.job.*", "--tenant", "t1"),
         w.CreateWebhook(url="https://x.example/", author="operator", tenant="t1", types=("*.job.*",)), "whsec_shown"),
        (("list",), w.FindWebhooks(), HOOK),
        (("show", HOOK), w.WebhookRef(id=HOOK), "https://example.com/hook"),
        (("change", HOOK, "--disable"), w.ChangeWebhook(id=HOOK, author="operator", disabled=True), HOOK),
        (("rotate", HOOK, "--overlap-s", "0"), w.RotateSecret(id=HOOK, author="operator", overlap_s=0), "whsec_shown"),
        (("deliveries", HOOK, "--state", "dead"), w.FindDeliveries(webhook=HOOK, state=w.DeliveryState.DEAD, limit=20),
         "dead"),
        (("replay", HOOK), w.Replay(webhook=HOOK, author="operator"), "2 will be sent again"),
        (("replay", HOOK, "7"), w.Replay(webhook=HOOK, author="operator", delivery="7"), "2 will be sent again"),
        (("delete", HOOK), w.WebhookRef(id=HOOK), "is gone"),
    ],
)  # fmt: skip
def test_each_verb_is_one_question(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], request_: Any, shown: str
) -> None:
    asked = []

    def ask(operation: str, request: Any) -> Any:
        asked.append(request)
        return _ANSWERS[operation]

    monkeypatch.setattr(webhooks, "ask", ask)
    monkeypatch.setattr(webhooks, "AUTHOR", "operator")
    done = _run(webhooks_command, *arguments)
    assert done.exit_code == 0, done.output
    assert asked == [request_]
    assert shown in done.output


def test_types_are_listed() -> None:
    done = _run(events_command, "types")
    assert done.exit_code == 0
    assert all(one in done.output for one in TYPES)


def test_credentials_are_kept_and_the_server_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path)
    home.prepare()
    stack = Stack(home)
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: told.append((pid, number)))
    with pytest.raises(StackError):
        listeners.grant(stack, "acme")
    assert not listeners.granted(home)
    monkeypatch.setattr(Stack, "is_running", True)
    parts = [PartState(name="nats", title="", pid=7, ports={"nats": 4222})]
    state.write(home, StackState(phase=state.Phase.READY, parts=parts))

    first = listeners.grant(stack, "acme")
    assert listeners.grant(stack, "acme") == first
    odd = listeners.grant(stack, "a.b >")
    assert first[:2] == ("nats://127.0.0.1:4222", "events-acme")
    assert (first.subject, odd.subject.count(".")) == ("pub.acme.>", 2)
    folder = home.directory("nats") / FOLDER
    exports, accounts = ((folder / name).read_text() for name in (EXPORTS, ACCOUNTS))
    assert "pub.acme.>" in exports
    assert first.password in accounts
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())
    listeners.revoke(stack, "acme")
    assert first.password not in (folder / ACCOUNTS).read_text()
    assert odd.password in (folder / ACCOUNTS).read_text()
    assert told == [(7, signal.SIGHUP)] * 4
