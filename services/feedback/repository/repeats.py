"""Signals that come again after the inbox has forgotten them: what was recorded knows them for good."""

from typing import Final

from libs.contracts.feedback import RecordSignal, Signal
from libs.kit.signals import digest_of
from services.feedback.domain.judging import Case, Handled, Id
from services.feedback.repository.bulk import Connection
from services.feedback.repository.erasures import ERASED_RATER
from services.feedback.repository.signals import from_row

_RECORDED: Final = """
select s.* from unnest($1::text[], $2::text[]) as asked(tenant, id)
join feedback.signals s on s.tenant = asked.tenant and s.id = asked.id
"""
_PARDON: Final = """
delete from feedback.inbox where tenant = $1 and id = $2 and digest = $3 and code <> '' returning id
"""


async def pardon(connection: Connection, case: Case) -> bool:
    """Forget that this very signal was refused; whether it was."""
    return await connection.fetchval(_PARDON, *case.ident, case.digest) is not None


async def recorded(connection: Connection, cases: list[Case]) -> dict[Id, Handled]:
    """Those of `cases` whose id is among the signals, as the inbox would know them."""
    tenants, ids = [case.ident[0] for case in cases], [case.ident[1] for case in cases]
    rows = await connection.fetch(_RECORDED, tenants, ids)
    found = {(signal.tenant, signal.id): signal for signal in map(from_row, rows)}
    return {
        case.ident: Handled(_digest(found[case.ident], case), case.ident[1]) for case in cases if case.ident in found
    }


def _digest(signal: Signal, case: Case) -> bytes:
    """What a repeat must share with it; of what was erased nothing is left to compare, and any may be one."""
    if signal.value == "" or signal.rater.startswith(ERASED_RATER):
        return case.digest
    return digest_of(
        RecordSignal(
            id=signal.id,
            tenant=signal.tenant,
            kind=signal.kind,
            value=signal.value,
            time_ms=signal.time_ms,
            inference_id=signal.request_id,
            episode_id=signal.episode_id,
            rater=signal.rater,
            source=signal.source,
            tags=signal.tags,
        )
    )
