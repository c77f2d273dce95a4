"""The admin API and the command line's way through it, with a service behind that answers as a test says."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from libs.contracts.errors import ERRORS
from libs.testkit.front import Front
from tests.integration.gateway.registry_double import OPERATIONS, ServiceDouble

ADMIN: Final = "sk-admin-test"


async def ask(front: Front, method: str, path: str, body: Any = None, *, key: str = ADMIN, **headers: str) -> Any:
    """What the admin API answers; `x_request_id=…` becomes the header `x-request-id`."""
    content = b"" if body is None else body if isinstance(body, bytes) else msgspec.json.encode(body)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await front.http.request(
        method, f"/admin/v1{path}", content=content, headers={"authorization": f"Bearer {key}", **named}
    )


async def check_forwarded(front: Front, behind: ServiceDouble, lines: Iterable[tuple[Any, ...]]) -> None:
    """Ask as each line says: method, path, body, then the status, the one operation and the request it must become."""
    for line in lines:
        behind.asked.clear()
        method, path, body, status, operation, request = line
        answer = await ask(front, method, path, body, x_request_id="mine")
        assert behind.asked == [(operation, request)], line
        assert (answer.status_code, answer.headers["x-request-id"]) == (status, "mine"), (line, answer.text)
        if status == 204:
            assert not answer.content
        else:
            kind = OPERATIONS[behind.service][operation][1]
            assert msgspec.json.decode(answer.content, type=kind) == behind.answers[operation], line


async def check_refused(front: Front, behind: ServiceDouble, lines: Iterable[tuple[Any, ...]]) -> None:
    """Ask as each line says: method, path, body, then the code and the field of the refusal; no service hears of it."""
    for line in lines:
        method, path, body, code, param = line
        answer = await ask(front, method, path, body)
        said = (answer.status_code, answer.json()["code"], answer.json().get("param"))
        assert said == (ERRORS[code].status, code, param), line
        assert not behind.asked, line
