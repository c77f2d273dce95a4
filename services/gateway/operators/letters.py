"""Answers calls about dead letters out of the answers of the services that have some."""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from libs.contracts.letters import SERVICES, AllLetters, FindAllLetters, FindLetters, Letter, LetterPlace, LetterRef
from libs.kit.calls import Caller
from libs.kit.errors import ServiceError

_ID: Final = re.compile(r"([a-z]{1,32})-([0-9]{1,18})")
_MAX_PAGE: Final = 200
_MAX_SHOWN: Final = 80


class LettersDesk:
    """A `libs.kit.calls.Caller` of `libs.contracts.letters.DESK_OPERATIONS`."""

    def __init__(self, services: Mapping[str, Caller]) -> None:
        """Prepare; `services` are those of `libs.contracts.letters.SERVICES`, by name."""
        self._services = services

    async def call(self, operation: str, request: msgspec.Struct) -> Any:
        """The result of `operation`.

        Raises:
            ServiceError: `not_found`, or what the service says.
        """
        if isinstance(request, FindAllLetters):
            return await self._all(request)
        assert isinstance(request, LetterRef)  # noqa: S101 - the contract has no other type
        service, place = self._place(request.id)
        return await self._services[service].call(operation, LetterPlace(place, request.author))

    async def _all(self, wanted: FindAllLetters) -> AllLetters:
        if wanted.service and wanted.service not in SERVICES:
            text = f"`{wanted.service[:_MAX_SHOWN]}` has no dead letters; there are {', '.join(SERVICES)}."
            raise ServiceError("not_found", text, param="service")
        limit = min(max(1, wanted.limit), _MAX_PAGE)
        begin, after = self._place(wanted.after) if wanted.after else ("", 0)
        found: list[Letter] = []
        away: list[str] = []
        for service in SERVICES:
            if service < begin or wanted.service not in ("", service):
                continue
            if len(found) >= limit:
                return AllLetters(letters=tuple(found), away=tuple(away), next=f"{service}-0")
            asked = FindLetters(after if service == begin else 0, limit - len(found))
            try:
                page = await self._services[service].call("letter_list", asked)
            except ServiceError as error:
                if error.spec.kind != "server_error":
                    raise
                away.append(service)
                continue
            found += page.letters
            if page.next:
                return AllLetters(letters=tuple(found), away=tuple(away), next=f"{service}-{page.next}")
        return AllLetters(letters=tuple(found), away=tuple(away))

    def _place(self, letter: str) -> tuple[str, int]:
        parts = _ID.fullmatch(letter)
        if parts is None or parts[1] not in SERVICES:
            raise ServiceError("not_found", f"There is no dead letter `{letter[:_MAX_SHOWN]}`.")
        return parts[1], int(parts[2])
