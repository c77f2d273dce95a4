"""The executions that a worker holds, found by request or by gateway."""

from collections.abc import Iterator

from libs.contracts.frames import retry_of
from libs.contracts.inference import Running
from services.inference.execution import Execution


class Table:
    """Holds each execution from acceptance until nothing of it is left."""

    def __init__(self) -> None:
        self._by_request: dict[str, dict[int, Execution]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Execution]:
        return iter([execution for attempts in self._by_request.values() for execution in attempts.values()])

    def add(self, execution: Execution) -> None:
        """Take it in; the same attempt must not be held already."""
        running = execution.running
        self._by_request.setdefault(running.request_id, {})[running.attempt] = execution
        self._count += 1

    def remove(self, execution: Execution) -> None:
        """Forget it."""
        running = execution.running
        attempts = self._by_request[running.request_id]
        del attempts[running.attempt]
        if not attempts:
            del self._by_request[running.request_id]
        self._count -= 1

    def of(self, request_id: str, attempt: int | None = None) -> list[Execution]:
        """Executions of a request: all, or the one numbered `attempt`."""
        attempts = self._by_request.get(request_id, {})
        return [execution for number, execution in attempts.items() if attempt is None or number == attempt]

    def twin(self, request_id: str, attempt: int) -> Execution | None:
        """An execution that the gateway will take for `attempt`, because it belongs to the same retry."""
        for execution in self.of(request_id):
            if retry_of(execution.running.attempt) == retry_of(attempt):
                return execution
        return None

    def running(self) -> tuple[Running, ...]:
        """What a beat names."""
        return tuple(execution.running for execution in self)
