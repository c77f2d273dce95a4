"""The message catalogue is current, and the bus users may do exactly what it says."""

import re
from pathlib import Path

import pytest

from deploy.nats.permissions import APPLICATION_USERS, User
from libs.contracts.catalogue import CATALOGUE, Entry
from libs.contracts.catalogue.page import render

ROOT = Path(__file__).resolve().parents[2]
PULLING = {"scheduler", "feedback", "rollout", "events", "audit", "gateway"}
"""Read streams through durable consumers or by number, which takes permission to ask, not to listen."""
JETSTREAM_OWN = ("$JS.", "_INBOX.", "evt.>")


def _spelled(subject: str) -> list[str]:
    """A subject of the catalogue with each of the words of its `<CHOICE,OF,WORDS>`."""
    choice = re.search(r"<(\w+(?:,\w+)+)>", subject)
    return [subject.replace(choice[0], word) for word in choice[1].split(",")] if choice else [subject]


def _covers(pattern: str, subject: str) -> bool:
    """Whether NATS pattern `pattern` covers every subject of the shape `subject` (with `<placeholders>`)."""
    wanted, have = re.sub(r"<[^>]+>", "x", subject).split("."), pattern.split(".")
    for i, token in enumerate(have):
        if token == ">":
            return len(wanted) > i
        if i >= len(wanted) or token not in ("*", wanted[i]):
            return False
    return len(have) == len(wanted)


def test_the_committed_page_is_what_the_contracts_say() -> None:
    page = (ROOT / "architecture" / "messages.md").read_text(encoding="utf-8")
    assert page == render(), "run: .venv/bin/python -m libs.contracts.catalogue > architecture/messages.md"


@pytest.mark.parametrize(
    "entry", [entry for entry in CATALOGUE if entry.said_by != ("nats-server",)], ids=lambda entry: entry.subject
)
def test_senders_may_publish_and_readers_may_listen(entry: Entry) -> None:
    users = {user.name: user for user in APPLICATION_USERS}
    for name in entry.said_by:
        for subject in _spelled(entry.subject):
            assert any(_covers(allowed, subject) for allowed in users[name].publish), name
    for name in entry.heard_by:
        listens = users[name].publish if entry.stream and name in PULLING else users[name].subscribe
        stored = entry.stream is not None and any(entry.stream.name in allowed for allowed in listens)
        for subject in _spelled(entry.subject):
            assert stored or any(_covers(allowed, subject) for allowed in users[name].subscribe), name


@pytest.mark.parametrize("user", APPLICATION_USERS, ids=lambda user: user.name)
def test_no_user_has_a_permission_that_no_message_needs(user: User) -> None:
    said = [subject for entry in CATALOGUE if user.name in entry.said_by for subject in _spelled(entry.subject)]
    heard = [subject for entry in CATALOGUE if user.name in entry.heard_by for subject in _spelled(entry.subject)]
    for allowed in user.publish:
        assert allowed.startswith(JETSTREAM_OWN) or any(_covers(allowed, subject) for subject in said), allowed
    for allowed in user.subscribe:
        assert allowed.startswith(JETSTREAM_OWN) or any(_covers(allowed, subject) for subject in heard), allowed
