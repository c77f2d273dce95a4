"""What is secret, and what people write, is in no log, no error, no trace, and no process's arguments."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx2
import psutil
import pytest

from deploy.local.client import Stack
from libs.contracts.effective import SERVICES
from libs.testkit.collector import collecting
from tests.integration.local.conftest import FAKE, Commanded, until

CHAT: Final = "/v1/chat/completions"
NOT_SECRET: Final = frozenset({"stack_id"})
"""Marks the stack's processes, and opens nothing."""
LEAST_LENGTH: Final = 12


@dataclass
class Planter:
    """Asks with words and keys that occur nowhere else, and keeps them."""

    stack: Commanded
    planted: dict[str, str] = field(default_factory=dict)

    def new(self, what: str) -> str:
        """Something that is found if it is written down."""
        made = f"planted-{secrets.token_hex(12)}"
        self.planted[what] = made
        return made

    def ask(self, path: str, body: Any = None, *, key: str = "", method: str = "POST") -> httpx2.Response:
        key = key or Stack(self.stack.home).api_key()
        url = self.stack.state.base_url.removesuffix("/v1") + path
        headers = {"authorization": f"Bearer {key}"}
        return httpx2.request(method, url, json=body, headers=headers, timeout=60, trust_env=False)

    def admin(self, path: str, body: Any) -> httpx2.Response:
        return self.ask(f"/admin/v1{path}", body, key=Stack(self.stack.home).admin_key())

    def chat(self, what: str, **more: Any) -> httpx2.Response:
        words = [{"role": "user", "content": f"Tell nobody of {self.new(what)}."}]
        return self.ask(CHAT, {"model": self.stack.state.model, "messages": words, "max_tokens": 4, **more})

    def judge(self, what: str, **more: Any) -> httpx2.Response:
        return self.ask("/v1/feedback", {"kind": "comment", "value": self.new(what), "inference_id": "1" * 24, **more})


def plant(planter: Planter) -> None:
    """All ways in by which words and keys come: good ones, and such as are refused at every stage."""
    assert planter.chat("prompt").status_code == 200
    assert planter.chat("prompt of a stream", stream=True).status_code == 200
    assert planter.judge("comment").status_code == 201
    organisation = planter.admin("/organisations", {"name": "planters"})
    assert organisation.status_code < 300, organisation.text
    assert planter.admin("/projects", {"name": "plants", "organisation": "planters"}).status_code < 300
    issued = planter.admin("/keys", {"name": "leaf", "role": "member", "tenant": "plants"})
    assert issued.status_code == 201, issued.text
    planter.planted["an issued key"] = issued.json()["secret"]
    until(lambda: planter.ask("/v1/models", key=issued.json()["secret"], method="GET").status_code == 200, "the key")
    refused = [
        planter.chat("prompt beside a wrong value", max_tokens="many"),
        planter.chat("prompt beside an unknown field", colour="red"),
        planter.chat("prompt for nobody", model="nobody"),
        planter.chat("prompt of a failure", user="error-500"),
        planter.judge("comment beside a wrong value", time_ms="soon"),
        planter.ask(CHAT, {"model": "helpdesk"}, key=planter.new("a wrong key")),
        planter.ask(f"/v1/models?api_key={planter.new('a key in an address')}", method="GET"),
        planter.admin("/webhooks", {"url": f"http://127.0.0.1/?token={planter.new('a token')}", "types": ["*"]}),
    ]
    for answer in refused:
        assert answer.status_code >= 400, answer.text
        told = answer.text + str(answer.headers)
        assert [what for what, text in planter.planted.items() if text in told] == []


def kept(stack: Commanded) -> Iterator[tuple[str, str]]:
    """Every secret of the stack: passwords, keys, salts."""
    for path in stack.home.secrets.iterdir():
        if path.is_file() and path.name not in NOT_SECRET and not path.name.startswith("."):
            for word in path.read_text(encoding="utf-8").split():
                secret = word.rpartition(":")[2]
                if len(secret) >= LEAST_LENGTH:
                    yield path.name, secret


def arguments() -> Iterator[str]:
    """What everybody on this machine can read of every process."""
    for process in psutil.process_iter():
        try:
            yield " ".join(process.cmdline())
        except psutil.Error:
            continue


def check(planter: Planter, traces: list[bytes]) -> None:
    hidden = {**dict(kept(planter.stack)), **planter.planted}
    assert len(hidden) > 20
    logs = {
        path.name: path.read_text(errors="replace") for path in planter.stack.home.logs.rglob("*") if path.is_file()
    }
    assert any("admin call" in text for text in logs.values()), "logs were looked at"
    found = [(name, what) for name, text in logs.items() for what, secret in hidden.items() if secret in text]
    seen = list(arguments())
    assert any("services.gateway" in line for line in seen), "arguments were looked at"
    found += [("arguments", what) for what, secret in hidden.items() if any(secret in line for line in seen)]
    assert not traces or any(b"llmos-gateway" in body for body in traces), "traces were looked at"
    found += [("traces", what) for what, secret in hidden.items() if any(secret.encode() in body for body in traces)]
    assert found == []


def test_nothing_that_is_secret_is_written_down(shared_stack: Commanded) -> None:
    planter = Planter(shared_stack)
    plant(planter)
    check(planter, [])


@pytest.mark.slow
def test_nothing_that_is_secret_is_in_traces_or_verbose_logs(tmp_path: Path) -> None:
    with collecting() as collector:
        levels = {f"{name.upper()}_LOG_LEVEL": "DEBUG" for name in SERVICES}
        traced = {"LLMOS_TRACING_ENDPOINT": collector.url, "LLMOS_TRACING_SAMPLE_RATIO": "1"}
        stack = Commanded(tmp_path / "home", {**FAKE, **levels, **traced})
        try:
            stack.up()
            planter = Planter(stack)
            plant(planter)
            until(lambda: any(span.name.startswith("chat") for span in collector.spans), "traces", timeout_s=120)
            check(planter, collector.raw)
        finally:
            stack.run("down")
        # What processes send when they end.
        last = [what for what, text in planter.planted.items() if any(text.encode() in each for each in collector.raw)]
        assert last == []
