"""`./llmos rebuild VERSION`; status 1 where it does not come out the same."""

import asyncio
from typing import Annotated

import httpx2
import typer

from cli import address, show
from cli.datasets.build import followed as follow_build
from cli.feedback.rest import RestFeedback
from cli.lineage import tables
from cli.lineage.rebuilding import Rebuilding, Rebuilt
from cli.models.rest import RestRegistry
from cli.session import AUTHOR
from cli.training.follow import followed as follow_job
from cli.training.rest import RestTrainer


def run(
    reference: Annotated[str, typer.Argument(metavar="VERSION", help="For example helpdesk@champion.")],
    *,
    keep: Annotated[bool, typer.Option("--keep", help="Keep what was made, as a version without an alias.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Build its data set and train it again, and compare."""
    url, key = address.admin()

    async def work() -> Rebuilt:
        async with (
            RestRegistry(url, key) as registry,
            RestFeedback(url, key) as feedback,
            RestTrainer(url, key) as trainer,
            httpx2.AsyncClient(timeout=60, trust_env=False) as http,
        ):
            rebuilding = Rebuilding(
                registry=registry,
                feedback=feedback,
                trainer=trainer,
                http=http,
                author=AUTHOR,
                follow_build=lambda build: follow_build(feedback, build),
                follow_job=lambda job: follow_job(trainer, job),
            )
            return await rebuilding.run(reference, keep=keep)

    found = asyncio.run(work())
    if as_json:
        show.emit(found)
    else:
        tables.rebuilt(found)
    raise typer.Exit(0 if found.same else 1)
