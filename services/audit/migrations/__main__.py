"""`python -m services.audit.migrations`: bring the tables to this code's version, as their owner, and grant rights."""

import asyncio
import sys

from libs.kit import clock
from libs.kit.broker import insist
from libs.kit.errors import ServiceError
from libs.kit.postgres import Database
from libs.kit.process import BAD_SETTINGS, WRONG_SETTINGS, refused
from services.audit.migrations import hand_over, migrate
from services.audit.settings import OwnerSettings


def main() -> int:
    """Do both, and say that they are done; again changes nothing."""
    try:
        settings = OwnerSettings()
    except WRONG_SETTINGS as error:
        print(refused("audit_owner", error), file=sys.stderr)  # noqa: T201 - there is no log
        return BAD_SETTINGS
    try:
        asyncio.run(_run(settings))
    except ServiceError as error:
        print(f"audit: {error.message}", file=sys.stderr)  # noqa: T201 - as above
        return 1
    print(f"the tables of the audit are there; {settings.writer} may add and read rows")  # noqa: T201 - as above
    return 0


async def _run(settings: OwnerSettings) -> None:
    database = Database(settings.database)

    async def bring() -> None:
        await migrate(database)
        await hand_over(database, settings.writer)

    try:
        await insist(bring, clock.monotonic_s() + settings.start_timeout_s)
    finally:
        await database.close()


if __name__ == "__main__":
    sys.exit(main())
