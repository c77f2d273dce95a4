"""One build from the database to a directory of files; it blocks a core, so it runs in a process of its own."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from libs.contracts.datasets import Selection
from libs.kit import clock
from libs.kit.errors import ServiceError
from libs.kit.postgres import Database
from libs.kit.settings import PostgresSettings
from services.feedback.datasets.order import DATA, WORK, Done, Failed, Order, Progress, Report
from services.feedback.datasets.pipeline import Pipeline
from services.feedback.datasets.source import snapshot

_PAUSE_S: Final = 0.5


async def build(order: Order, tell: Callable[[Report], None]) -> None:
    """Carry out `order`; what comes of it is told last, as `Done` or `Failed`."""
    database = Database(
        PostgresSettings.model_validate(
            {
                "host": order.host,
                "port": order.port,
                "user": order.user,
                "password": order.password,
                "database": order.database,
                "pool_size": 1,
            }
        )
    )
    directory = Path(order.directory)
    for name in (DATA, WORK):
        (directory / name).mkdir()
    try:
        tell(await _build(order.selection, directory, database, tell))
    except ServiceError as error:
        tell(Failed(code=error.code, message=error.message))
    finally:
        await database.close()


async def _build(selection: Selection, directory: Path, database: Database, tell: Callable[[Report], None]) -> Report:
    told_s, read = clock.monotonic_s(), 0
    async with snapshot(database, selection) as rows:
        total = await rows.total()
        pipeline = Pipeline(selection, directory / DATA, directory / WORK, await rows.bursts())
        tell(Progress(rows_read=0, rows_total=total, counts={}))
        async for batch in rows.rows():
            pipeline.feed(batch)
            read += len(batch)
            if clock.monotonic_s() - told_s >= _PAUSE_S:
                told_s = clock.monotonic_s()
                tell(Progress(rows_read=read, rows_total=total, counts=pipeline.tally.counts()))
    tell(Progress(rows_read=read, rows_total=total, counts=pipeline.tally.counts()))
    try:
        built = pipeline.finish()
    except ServiceError as error:
        return Failed(code=error.code, message=error.message, counts=pipeline.tally.counts())
    return Done(rows=built.rows, rows_read=read, rows_total=total, counts=built.counts)
