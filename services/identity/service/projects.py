"""Projects: tenants, what they may use, and their end."""

from typing import Literal

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.identity import (
    ChangeProject,
    CreateProject,
    FindProjects,
    Project,
    ProjectChanged,
    ProjectPage,
    ProjectRef,
)
from libs.kit import clock
from libs.kit.errors import ServiceError
from libs.kit.serving import Operation
from services.identity.domain.checks import check_limits, check_slug, check_text
from services.identity.ground import Ground
from services.identity.repository import heads, keys, tenants
from services.identity.service.paging import check_limit, fitting
from services.identity.tables import OUTBOX

Change = Literal["created", "changed", "closed", "opened"]


class Projects:
    """Makes, changes, closes and lists projects."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def operations(self) -> dict[str, Operation]:
        """One call per verb."""
        return {
            "project_create": self.create,
            "project_show": self.show,
            "project_change": self.change,
            "project_list": self.list,
        }

    async def create(self, request: CreateProject) -> Project:
        """Make one; whoever asks again for the same gets the same.

        Raises:
            ServiceError: `invalid_value`; `not_found`, the organisation; `conflict`, there is another one of that name;
                or `storage_unavailable`.
        """
        check_slug(request.name, "name")
        check_text(request.title, "title")
        check_text(request.author, "author")
        check_limits(request.limits)
        wanted = Project(
            name=request.name,
            organisation=request.organisation,
            created_ms=clock.unix_ms(),
            title=request.title,
            limits=request.limits,
            revision=1,
        )
        async with self._ground.database.begin() as connection:
            await _check_organisation(connection, request.organisation)
            if await tenants.add_project(connection, wanted):
                await _announce(connection, wanted, "created", request.author)
            found = await tenants.find_project(connection, request.name)
        if found is None or _said(found) != _said(wanted):
            raise ServiceError("conflict", f"There is a project `{request.name}` already.", param="name")
        self._ground.changed()
        return found

    async def show(self, request: ProjectRef) -> Project:
        """One project.

        Raises:
            ServiceError: `not_found` or `storage_unavailable`.
        """
        async with self._ground.database.begin() as connection:
            return await found_project(connection, request.name, tenant=request.tenant)

    async def change(self, request: ChangeProject) -> Project:
        """Change title or limits, close it, or open it again; what is so already changes nothing.

        Raises:
            ServiceError: `invalid_value`; `not_found`; `conflict`, it has another revision; or `storage_unavailable`.
        """
        check_text(request.author, "author")
        if request.title is not None:
            check_text(request.title, "title")
        if request.limits is not None:
            check_limits(request.limits)
        async with self._ground.database.begin() as connection:
            await heads.lock(connection)
            before = await found_project(connection, request.name)
            check_revision(f"project {before.name}", before.revision, request.expected_revision)
            after = _changed(before, request)
            if after != before:
                await _write(connection, before, after, request.author)
        if after != before:
            self._ground.changed()
        return after

    async def list(self, request: FindProjects) -> ProjectPage:
        """One page, by name.

        Raises:
            ServiceError: `invalid_value` or `storage_unavailable`.
        """
        limit = check_limit(request.limit)
        check_text(request.after, "after")
        check_text(request.organisation, "organisation")
        async with self._ground.database.begin() as connection:
            found = await tenants.project_page(
                connection,
                tenant=request.tenant,
                organisation=request.organisation,
                after=request.after,
                limit=limit + 1,
            )
        shown = found[: min(limit, fitting(found))]
        return ProjectPage(tuple(shown), next=shown[-1].name if len(shown) < len(found) else "")


async def found_project(connection: AsyncConnection, name: str, *, tenant: str = "") -> Project:
    """The project.

    Raises:
        ServiceError: `not_found`; it is another one than `tenant`, or there is none.
    """
    found = None if "\0" in name or (tenant and name != tenant) else await tenants.find_project(connection, name)
    if found is None:
        raise ServiceError("not_found", f"There is no project `{name[:63]}`.", param="name")
    return found


def check_revision(what: str, revision: int, expected: int | None) -> None:
    """Return if it is as whoever changes it believes.

    Raises:
        ServiceError: `conflict`.
    """
    if expected is not None and expected != revision:
        text = f"The {what} has revision {revision}, not {expected}: somebody has changed it. Look at it again."
        raise ServiceError("conflict", text, param="revision")


async def _check_organisation(connection: AsyncConnection, name: str) -> None:
    if "\0" in name or await tenants.find_organisation(connection, name) is None:
        raise ServiceError("not_found", f"There is no organisation `{name[:63]}`.", param="organisation")


async def _write(connection: AsyncConnection, before: Project, after: Project, author: str) -> None:
    """Write and announce a change, and have every gateway ask for the keys that it concerns."""
    if not await tenants.write_project(connection, before, after):
        check_revision(f"project {before.name}", before.revision + 1, before.revision)
    if (before.limits, before.closed_ms) != (after.limits, after.closed_ms):
        concerned = await keys.count(connection, after.name)
        if concerned:
            await keys.touch(connection, after.name, first=await heads.advance(connection, concerned))
    change: Change = "changed"
    if bool(before.closed_ms) != bool(after.closed_ms):
        change = "closed" if after.closed_ms else "opened"
    await _announce(connection, after, change, author)


async def _announce(connection: AsyncConnection, project: Project, change: Change, author: str) -> None:
    event = ProjectChanged(
        id=clock.new_event_id(), time_ms=clock.unix_ms(), change=change, author=author, project=project
    )
    await OUTBOX.add(connection, event)


def _changed(before: Project, request: ChangeProject) -> Project:
    closed_ms = before.closed_ms
    if request.closed is not None:
        closed_ms = (closed_ms or clock.unix_ms()) if request.closed else 0
    after = msgspec.structs.replace(
        before,
        title=before.title if request.title is None else request.title,
        limits=before.limits if request.limits is None else request.limits,
        closed_ms=closed_ms,
    )
    return before if after == before else msgspec.structs.replace(after, revision=before.revision + 1)


def _said(project: Project) -> tuple[object, ...]:
    """What whoever asked for it said."""
    return project.organisation, project.title, project.limits
