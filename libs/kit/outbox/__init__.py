"""Events that are part of a transaction: kept in a table beside what they tell of, sent when it is committed.

A service has one outbox and uses it in three lines: in `tables.py`, in whichever transaction changes something, and
among the rounds of `app.py`, whose event is set after such a transaction:

    OUTBOX: Final = Outbox(metadata, {KeyRevoked: subjects.KEY_REVOKED})
    await OUTBOX.add(connection, KeyRevoked(id=clock.new_event_id(), time_ms=clock.unix_ms(), key=key))
    Rounds("relay", Relay(database, OUTBOX, publisher.store).send, pause_s=settings.retry_s, wake=told)

Its migration makes the table: `op.execute(outbox_ddl(SCHEMA))`. Every event reaches its stream at least once, and the
stream keeps one of each id. While the bus or the database is away nothing is lost, and `Rounds` tries again.
"""

from libs.kit.outbox.bundles import BundledOutbox
from libs.kit.outbox.relay import Relay
from libs.kit.outbox.rows import Announcement, Outbox, outbox_ddl

__all__ = ["Announcement", "BundledOutbox", "Outbox", "Relay", "outbox_ddl"]
