"""Makes requests and beats for the scheduler's tests."""

from libs.contracts.inference import Envelope, Running, ServedModel, ServiceClass, WorkerBeat, WorkerState
from services.scheduler.domain.held import Held

FAR_MS = 1 << 60


def held(
    request_id: str,
    service_class: ServiceClass = ServiceClass.STANDARD,
    *,
    age: int = 0,
    model: str = "m",
    start_by_ms: int = FAR_MS,
    retry: int = 0,
) -> Held:
    """A request; a smaller `age` was submitted earlier."""
    envelope = Envelope(
        request_id=request_id,
        reply=f"rpl.gateway.g.{request_id}",
        route="/v1/completions",
        model=model,
        pool="default",
        service_class=service_class,
        tenant="t",
        start_by_ms=start_by_ms,
        deadline_ms=FAR_MS,
        submitted_ms=age,
        retry=retry,
    )
    return Held(envelope=envelope, raw_envelope=b"{}", body=b"", ack_subject="", delivery=1)


def beat(
    worker: str,
    capacity: int = 2,
    models: tuple[tuple[str, bool], ...] = (("m", False),),
    state: WorkerState = WorkerState.READY,
    running: tuple[tuple[str, int], ...] = (),
) -> WorkerBeat:
    """A beat; `models` are names and whether each is an adapter."""
    return WorkerBeat(
        worker=worker,
        name=worker,
        pool="default",
        state=state,
        capacity=capacity,
        models=tuple(ServedModel(name=name, adapter=adapter) for name, adapter in models),
        engine="none",
        running=tuple(Running(*execution) for execution in running),
    )
