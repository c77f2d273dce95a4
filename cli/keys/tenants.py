"""`tenants create|list|limits|close|open`."""

from typing import Annotated, Final

import typer

from cli import show, ui
from cli.keys import options, tables
from cli.keys.options import Json, Limit
from cli.keys.rest import RestIdentity
from cli.keys.session import AUTHOR, ask, listed
from cli.session import run_with
from libs.contracts.identity import (
    ChangeProject,
    CreateOrganisation,
    CreateProject,
    FindProjects,
    Limits,
    Project,
    ProjectRef,
)
from libs.kit.errors import ServiceError

Name = Annotated[str, typer.Argument(metavar="NAME", help="Of the project.")]
_ORGANISATION: Final = "default"


def create(  # noqa: PLR0913 - one per option
    name: Annotated[str, typer.Argument(metavar="NAME", help="1 to 63 lower-case letters, digits and dashes.")],
    *,
    organisation: Annotated[str, typer.Option(metavar="NAME", help="Made if it is not there.")] = _ORGANISATION,
    title: Annotated[str, typer.Option(help="For people.")] = "",
    requests: options.Requests = None,
    tokens: options.Tokens = None,
    concurrency: options.Concurrency = None,
    budget: options.Budget = None,
    period: options.Period = None,
    as_json: Json = False,
) -> None:
    """Make a project: its data, models and keys are nobody else's."""
    wanted = CreateProject(
        name=name,
        organisation=organisation,
        author=AUTHOR,
        title=title,
        limits=options.limits(
            Limits(), requests=requests, tokens=tokens, concurrency=concurrency, budget=budget, period=period
        ),
    )
    found = run_with(RestIdentity, lambda identity: _made(identity, wanted))
    _tell(found, "is there", as_json=as_json)
    if not as_json:
        ui.say(f"  [dim]a key for it: ./llmos keys create NAME --tenant {found.name}[/dim]")


def list_projects(
    *,
    organisation: Annotated[str, typer.Option(metavar="NAME", help="Only of this one.")] = "",
    limit: Limit = 100,
    as_json: Json = False,
) -> None:
    """List projects and their limits, by name."""
    asked = FindProjects(organisation=organisation)
    found: list[Project] = listed("project_list", asked, lambda page: page.projects, limit)
    if as_json:
        show.emit(found)
    else:
        tables.projects(found)


def limits(  # noqa: PLR0913 - one per option
    name: Name,
    *,
    requests: options.Requests = None,
    tokens: options.Tokens = None,
    concurrency: options.Concurrency = None,
    budget: options.Budget = None,
    period: options.Period = None,
    as_json: Json = False,
) -> None:
    """Show what a project may use, or change what is given; all of its keys share it."""

    async def work(identity: RestIdentity) -> Project:
        before: Project = await identity.call("project_show", ProjectRef(name=name))
        wanted = options.limits(
            before.limits, requests=requests, tokens=tokens, concurrency=concurrency, budget=budget, period=period
        )
        if wanted == before.limits:
            return before
        change = ChangeProject(name=name, author=AUTHOR, limits=wanted, expected_revision=before.revision)
        after: Project = await identity.call("project_change", change)
        return after

    found = run_with(RestIdentity, work)
    if as_json:
        show.emit(found)
    else:
        ui.say(f"  {found.name}: {tables.limits(found.limits)}")


def close(name: Name, *, as_json: Json = False) -> None:
    """Accept none of its keys any more; its data stays."""
    _tell(ask("project_change", ChangeProject(name=name, author=AUTHOR, closed=True)), "is closed", as_json=as_json)


def reopen(name: Name, *, as_json: Json = False) -> None:
    """Accept its keys again."""
    _tell(ask("project_change", ChangeProject(name=name, author=AUTHOR, closed=False)), "is open", as_json=as_json)


async def _made(identity: RestIdentity, wanted: CreateProject) -> Project:
    try:
        found: Project = await identity.call("project_create", wanted)
    except ServiceError as error:
        if error.code != "not_found" or error.param != "organisation":
            raise
        await identity.call("organisation_create", CreateOrganisation(name=wanted.organisation, author=AUTHOR))
        found = await identity.call("project_create", wanted)
    return found


def _tell(found: Project, what: str, *, as_json: bool) -> None:
    if as_json:
        show.emit(found)
    else:
        ui.say(f"{ui.WELL} {found.name} of {found.organisation} {what}")


VERBS: Final = {"create": create, "list": list_projects, "limits": limits, "close": close, "open": reopen}
