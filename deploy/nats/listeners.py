"""People outside who may hear one tenant's public events over NATS: each in an account of its own.

An account is a world of its own: what its user says stays inside, and of ours it sees what is exported to it, the live
events of its tenant, and nothing else. No request reaches JetStream from there, so what was missed is read by
`GET /v1/events`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from libs.contracts import subjects

FOLDER: Final = "listeners"
"""Beside the server's configuration, which includes both files in it."""
EXPORTS: Final = "exports.conf"
ACCOUNTS: Final = "accounts.conf"
_OWNER: Final = "LLMOS"


def user_of(token: str) -> str:
    """Name of the user, and of its account, for the tenant that stands as `token` in subjects."""
    return f"events-{token}"


def render(passwords: Mapping[str, str]) -> dict[str, str]:
    """Both files, by name, for tenants as they stand in subjects; they hold passwords, so write them with mode 0600."""
    quote = json.dumps
    exports = [
        f"  {{ stream: {quote(subjects.all_public(token))}, accounts: [ {quote(user_of(token))} ] }}"
        for token in passwords
    ]
    accounts = [_account(token, password) for token, password in passwords.items()]
    return {
        EXPORTS: "exports: [\n" + ",\n".join(exports) + "\n]\n",
        ACCOUNTS: "# One account for each tenant that listens.\n" + "".join(accounts),
    }


def includes(directory: Path) -> tuple[str, str]:
    """The lines that put the files in `directory` into our account, and beside it."""
    return (
        f"include {json.dumps(f'{directory.name}/{EXPORTS}')}",
        f"include {json.dumps(f'{directory.name}/{ACCOUNTS}')}",
    )


def _account(token: str, password: str) -> str:
    quote = json.dumps
    pattern = quote(subjects.all_public(token))
    return (
        f"{quote(user_of(token))} {{\n"
        f"  imports: [ {{ stream: {{ account: {_OWNER}, subject: {pattern} }} }} ]\n"
        f"  users: [ {{ user: {quote(user_of(token))}, password: {quote(password)}, permissions {{\n"
        f'    publish: {{ deny: ">" }}, subscribe: {{ allow: [ {pattern} ] }}\n'
        f"  }} }} ]\n"
        f"}}\n"
    )
