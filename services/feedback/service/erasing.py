"""Removing what was said, for good, and saying where copies of it are."""

from libs.contracts.feedback import Erase, Erasure
from libs.kit import clock
from libs.kit.errors import ServiceError
from libs.kit.postgres import Database
from libs.kit.signals import request_id_of
from services.feedback.repository import erasures
from services.feedback.repository.erasures import Tombstone


class Erasing:
    """One transaction per erasure; content that arrives later is not kept either."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def erase(self, wanted: Erase) -> Erasure:
        """Remove the content of one interaction, or of everything that a data subject asked.

        Texts of signals about it go too, and for a data subject those that they gave as a rater. Doing it again does
        no harm and names the same data sets.

        Raises:
            ServiceError: `missing_field`, `invalid_value`, `interaction_not_found` or `storage_unavailable`.
        """
        if not wanted.tenant:
            raise ServiceError("missing_field", "Say of which `tenant`.", param="tenant")
        if bool(wanted.request_id) == bool(wanted.user):
            raise ServiceError("invalid_value", "Give exactly one of `request_id` and `user`.", param="request_id")
        if "\0" in wanted.tenant + wanted.user + wanted.author:
            raise ServiceError("invalid_value", "A name holds a control character.", param="user")
        request_id = request_id_of(wanted.request_id) if wanted.request_id else ""
        now_ms = clock.unix_ms()
        async with self._database.begin_bulk() as connection:
            await erasures.begin(connection)
            ids = await erasures.targets(connection, wanted.tenant, request_id=request_id, user=wanted.user)
            if request_id and not ids:
                text = f"There is no interaction `{wanted.request_id[:80]}` of this tenant."
                raise ServiceError("interaction_not_found", text, param="request_id")
            await erasures.blank(connection, wanted.tenant, ids, now_ms=now_ms)
            signals = await erasures.blank_signals(connection, wanted.tenant, ids, wanted.user)
            datasets = await erasures.datasets_with(connection, ids)
            done = Erasure(f"era_{clock.new_request_id()}", len(ids), signals, tuple(datasets))
            digest = erasures.digest_of(wanted.tenant, wanted.user) if wanted.user else ""
            await erasures.add(
                connection,
                Tombstone(
                    done.id, wanted.tenant, request_id, digest, wanted.author, now_ms, len(ids), signals, datasets
                ),
            )
        return done
