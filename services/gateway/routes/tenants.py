"""Endpoints for organisations, their projects, and what those used."""

from typing import Final

import msgspec

from libs.contracts.identity import (
    ChangeProject,
    CreateOrganisation,
    CreateProject,
    FindOrganisations,
    FindProjects,
    FindUsage,
    Limits,
    ProjectRef,
)
from libs.contracts.permissions import Permission
from services.gateway.routes.endpoints import Asked, Endpoint, revision_of


class GivenLimits(Limits, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a project or a key may use; 0, or left out, is no limit."""


class NewOrganisation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who projects belong to."""

    name: str
    title: str = ""


class NewProject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tenant: its data, models and keys are nobody else's."""

    name: str
    organisation: str
    title: str = ""
    limits: GivenLimits = GivenLimits()


class ProjectChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be so; what is left out stays."""

    title: str | None = None
    limits: GivenLimits | None = None
    """In place of all of its limits."""
    closed: bool | None = None


class Page(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which part of a list: `after` is `next` of the part before."""

    after: str = ""
    limit: int = 100


class ProjectFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which projects."""

    organisation: str = ""
    after: str = ""
    limit: int = 100


class UsageFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which figures; days are those of UTC, such as 2026-11-22, and both are included."""

    tenant: str = ""
    key_id: str = ""
    since_day: str = ""
    until_day: str = ""
    after: str = ""
    limit: int = 1_000


def _change_project(asked: Asked) -> ChangeProject:
    return ChangeProject(
        name=asked.path["name"],
        author=asked.author,
        title=asked.body.title,
        limits=asked.body.limits,
        closed=asked.body.closed,
        expected_revision=revision_of(asked),
    )


def _usage(asked: Asked) -> FindUsage:
    query: UsageFilter = asked.query
    return FindUsage(
        tenant=asked.only(query.tenant),
        key=query.key_id,
        since_day=query.since_day,
        until_day=query.until_day,
        after=query.after,
        limit=query.limit,
    )


ENDPOINTS: Final = (
    Endpoint(
        service="identity",
        method="POST",
        path="/organisations",
        permission=Permission.TENANTS_WRITE,
        operation="organisation_create",
        summary="Make an organisation; the same again gives the same.",
        body=NewOrganisation,
        call=lambda asked: CreateOrganisation(name=asked.body.name, author=asked.author, title=asked.body.title),
        status=201,
    ),
    Endpoint(
        service="identity",
        method="GET",
        path="/organisations",
        permission=Permission.TENANTS_READ,
        operation="organisation_list",
        summary="Organisations by name; `next` of one page is `after` of the following one.",
        query=Page,
        call=lambda asked: FindOrganisations(tenant=asked.tenant, after=asked.query.after, limit=asked.query.limit),
    ),
    Endpoint(
        service="identity",
        method="POST",
        path="/projects",
        permission=Permission.TENANTS_WRITE,
        operation="project_create",
        summary="Make a project; the same again gives the same.",
        body=NewProject,
        call=lambda asked: CreateProject(
            name=asked.body.name,
            organisation=asked.body.organisation,
            author=asked.author,
            title=asked.body.title,
            limits=asked.body.limits,
        ),
        status=201,
        tag=lambda project: str(project.revision),
    ),
    Endpoint(
        service="identity",
        method="GET",
        path="/projects",
        permission=Permission.TENANTS_READ,
        operation="project_list",
        summary="Projects by name; `next` of one page is `after` of the following one.",
        query=ProjectFilter,
        call=lambda asked: FindProjects(
            tenant=asked.tenant,
            organisation=asked.query.organisation,
            after=asked.query.after,
            limit=asked.query.limit,
        ),
    ),
    Endpoint(
        service="identity",
        method="GET",
        path="/projects/{name}",
        permission=Permission.TENANTS_READ,
        operation="project_show",
        summary="One project and its limits.",
        call=lambda asked: ProjectRef(name=asked.path["name"], tenant=asked.tenant),
        tag=lambda project: str(project.revision),
    ),
    Endpoint(
        service="identity",
        method="PATCH",
        path="/projects/{name}",
        permission=Permission.TENANTS_WRITE,
        operation="project_change",
        summary="Change title or limits, close it, or open it again; `If-Match` names the revision that it must have.",
        body=ProjectChange,
        call=_change_project,
        tag=lambda project: str(project.revision),
        conditional=True,
    ),
    Endpoint(
        service="identity",
        method="GET",
        path="/usage",
        permission=Permission.USAGE_READ,
        operation="usage",
        summary="Requests and tokens by day, project and key; `next` of one page is `after` of the following one.",
        query=UsageFilter,
        call=_usage,
    ),
)
