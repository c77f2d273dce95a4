"""What `./llmos status` and `./llmos services` make of what processes say of themselves."""

import pytest

from cli import presence
from cli.commands import services as command
from cli.commands import status
from deploy.local.state import PartPhase, PartState
from libs.contracts.discovery import EndpointState, InstanceState, ServiceList, ServiceState

WELL = InstanceState(id="f1", version="0.1.0", pid=7, started_ms=1, ready=True)
AWAY = InstanceState(id="f1", version="0.1.0", pid=7, started_ms=1, ready=True, degraded=("registry", "audit"))
LACKING = InstanceState(id="f1", version="0.1.0", pid=7, started_ms=1, lacks=("database",), degraded=("registry",))
SILENT = InstanceState(id="f1", version="0.1.0", pid=7)


@pytest.mark.parametrize(
    ("instance", "says", "is_well"),
    [
        (WELL, "ready", True),
        (AWAY, "ready; away: registry, audit", False),
        (LACKING, "lacks database", False),
        (SILENT, "does not say what it lacks", False),
    ],
)
def test_a_process_is_told_in_a_few_words(instance: InstanceState, says: str, is_well: bool) -> None:
    assert (presence.condition(instance), presence.is_well(instance)) == (says, is_well)
    part = PartState(name="feedback", title="feedback", phase=PartPhase.READY, pid=7)
    row = status._row(part, ServiceList((ServiceState(name="feedback", instances=(instance,)),)))
    assert says in row[-1]
    assert ("!" in row[0]) != is_well


@pytest.mark.parametrize(("pid", "name", "said"), [(8, "feedback", True), (7, "nats", False), (0, "feedback", False)])
def test_only_a_service_that_runs_is_missed(pid: int, name: str, said: bool) -> None:
    part = PartState(name=name, title=name, phase=PartPhase.READY, pid=pid)
    there = ServiceList((ServiceState(name="feedback", instances=(WELL,)),))
    assert ("does not answer" in status._row(part, there)[-1]) == said
    assert status._row(part, None)[-1] == "", "nobody is missed where the bus itself is away"


def test_a_line_for_every_process_and_for_every_service_without_one() -> None:
    counted = EndpointState(name="erase", requests=3, errors={"conflict": 2}, last_error="[bold]conflict", busy_ms=1)
    one = InstanceState(id="f2", version="0.1.0", ready=True, endpoints=(counted,))
    rows = command._rows(ServiceState(name="feedback", instances=(WELL, one)))
    assert [row[2] for row in rows] == ["f1", "f2"]
    assert rows[1][6:] == ("3", "2", "erase: \\[bold]conflict"), "nothing that is said is an order to the terminal"
    assert "nobody answers" in command._rows(ServiceState(name="audit", instances=()))[0]
