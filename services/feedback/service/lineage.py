"""What data sets were built from, and where a judgement went."""

from typing import Final

from libs.contracts.datasets import Selection
from libs.contracts.feedback import DatasetOrigin, ShowOrigin, ShowReach, Signal, SignalReach
from libs.contracts.versions import BadReferenceError, parse_reference, short_reference
from libs.kit.errors import ServiceError
from libs.kit.postgres import Database
from libs.kit.signals import JUDGEMENT
from services.feedback.repository import lineage

_MOST: Final = 200
_MOST_ID: Final = 80


class Lineage:
    """Answers questions; changes nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def origin(self, wanted: ShowOrigin) -> DatasetOrigin:
        """What a data set was built from.

        Raises:
            ServiceError: `invalid_value` or `storage_unavailable`.
        """
        if not 0 <= wanted.limit <= _MOST:
            raise ServiceError("invalid_value", f"`limit` must be from 0 to {_MOST}.", param="limit")
        reference = _exact(wanted.reference)
        async with self._database.begin() as connection:
            job = await lineage.build_of(connection, reference)
        if job is None or wanted.tenant not in ("", job.selection.tenant):
            return DatasetOrigin(reference=reference)
        async with self._database.begin_bulk() as raw:
            interactions = await lineage.count_rows(raw, reference)
            count, shown = await lineage.behind(raw, reference, job.selection, wanted.limit)
        return DatasetOrigin(reference=reference, job=job, interactions=interactions, signals=count, shown=shown)

    async def reach(self, wanted: ShowReach) -> SignalReach:
        """The published data sets in which a judgement held.

        Raises:
            ServiceError: `not_found` or `storage_unavailable`.
        """
        async with self._database.begin_bulk() as connection:
            found = await lineage.signal(connection, wanted.id) if "\0" not in wanted.id else None
            if found is None or wanted.tenant not in ("", found[0].tenant):
                text = f"There is no judgement {wanted.id[:_MOST_ID]!r}; it may still wait for its interaction."
                raise ServiceError("not_found", text, param="id")
            one, origin = found
            ids = await lineage.about(connection, one)
            gone_ms = await lineage.superseded_ms(connection, one)
            containing = await lineage.containing(connection, ids)
        held = [reference for reference, chosen in containing if _held(one, origin, gone_ms, chosen)]
        return SignalReach(signal=one, interactions=len(ids), datasets=tuple(held))


def _held(one: Signal, origin: str, gone_ms: int | None, chosen: Selection) -> bool:
    """Whether a judgement decided in a build: as `services.feedback.datasets.select` has it."""
    if one.superseded_by or one.recorded_ms >= chosen.until_ms:
        return False
    if gone_ms is not None and gone_ms < chosen.until_ms:
        return False
    if origin != JUDGEMENT and not chosen.include_implicit:
        return False
    return not chosen.raters or one.rater in chosen.raters


def _exact(reference: str) -> str:
    try:
        parsed = parse_reference(reference)
    except BadReferenceError as error:
        raise ServiceError("invalid_value", str(error), param="reference") from error
    if not parsed.digest:
        text = "`reference` must be exact: `<name>@sha256:<digest>`."
        raise ServiceError("invalid_value", text, param="reference")
    return short_reference(parsed.name, parsed.digest)
