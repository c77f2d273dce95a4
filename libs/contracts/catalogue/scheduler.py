"""What operators ask a scheduler, and what it keeps for the next one."""

from typing import Final

from libs.contracts import scheduling, subjects
from libs.contracts.catalogue.chapter import Chapter, Entry, calls_of, structs_of

SCHEDULER: Final = Chapter(
    owner="scheduler",
    operations=scheduling.OPERATIONS,
    entries=(
        calls_of("scheduler", subjects.scheduler_call, said_by=("gateway",)),
        Entry(
            subject=subjects.cordon("<pool>", "name").replace("name", "<name>"),
            message=scheduling.Cordon,
            said_by=("scheduler",),
            heard_by=(),
        ),
        Entry(
            subject=subjects.CORDONS_CHANGED,
            message=None,
            payload="empty: read the bucket of cordons again",
            said_by=("scheduler",),
            heard_by=("scheduler",),
        ),
    ),
    structs=(
        *structs_of(scheduling.OPERATIONS),
        scheduling.Cordon,
        scheduling.QueueStatus,
        scheduling.PoolStatus,
        scheduling.WaitingRequest,
    ),
)
