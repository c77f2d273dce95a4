"""All SQL about organisations and projects."""

from typing import Any

import msgspec
from sqlalchemy import Row, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.identity import Limits, Organisation, Project
from services.identity.tables import organisations, projects


async def add_organisation(connection: AsyncConnection, organisation: Organisation) -> None:
    """Write it unless one of that name is there."""
    values = msgspec.structs.asdict(organisation)
    await connection.execute(insert(organisations).values(values).on_conflict_do_nothing())


async def find_organisation(connection: AsyncConnection, name: str) -> Organisation | None:
    """One organisation."""
    row = (await connection.execute(select(organisations).where(organisations.c.name == name))).first()
    return None if row is None else _organisation(row)


async def organisation_page(connection: AsyncConnection, *, tenant: str, after: str, limit: int) -> list[Organisation]:
    """Organisations behind `after`, by name."""
    query = select(organisations).where(organisations.c.name > after).order_by(organisations.c.name).limit(limit)
    if tenant:
        query = query.where(organisations.c.name == _organisation_of(tenant))
    return [_organisation(row) for row in await connection.execute(query)]


async def add_project(connection: AsyncConnection, project: Project) -> bool:
    """Write it unless one of that name is there; whether it was written."""
    values = msgspec.structs.asdict(project) | {"limits": limits_text(project.limits)}
    added = await connection.execute(insert(projects).values(values).on_conflict_do_nothing())
    return bool(added.rowcount)


async def find_project(connection: AsyncConnection, name: str) -> Project | None:
    """One project."""
    row = (await connection.execute(select(projects).where(projects.c.name == name))).first()
    return None if row is None else _project(row)


async def write_project(connection: AsyncConnection, before: Project, project: Project) -> bool:
    """Write what became of a project; False if somebody else has changed it meanwhile."""
    statement = (
        update(projects)
        .where(projects.c.name == project.name, projects.c.revision == before.revision)
        .values(
            title=project.title,
            limits=limits_text(project.limits),
            closed_ms=project.closed_ms,
            revision=project.revision,
        )
    )
    return bool((await connection.execute(statement)).rowcount)


async def project_page(
    connection: AsyncConnection, *, tenant: str, organisation: str, after: str, limit: int
) -> list[Project]:
    """Projects behind `after`, by name."""
    query = select(projects).where(projects.c.name > after).order_by(projects.c.name).limit(limit)
    if tenant:
        query = query.where(projects.c.name == tenant)
    if organisation:
        query = query.where(projects.c.organisation == organisation)
    return [_project(row) for row in await connection.execute(query)]


def limits_text(limits: Limits) -> str:
    """Limits as rows hold them."""
    return msgspec.json.encode(limits).decode()


def limits_of(text: str) -> Limits:
    """The same back."""
    return msgspec.json.decode(text, type=Limits)


def _organisation_of(tenant: str) -> Any:
    return select(projects.c.organisation).where(projects.c.name == tenant).scalar_subquery()


def _organisation(row: Row[Any]) -> Organisation:
    return Organisation(name=row.name, title=row.title, created_ms=row.created_ms)


def _project(row: Row[Any]) -> Project:
    return Project(
        name=row.name,
        organisation=row.organisation,
        title=row.title,
        limits=limits_of(row.limits),
        created_ms=row.created_ms,
        closed_ms=row.closed_ms,
        revision=row.revision,
    )
