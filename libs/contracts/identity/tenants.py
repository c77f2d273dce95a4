"""Organisations, their projects, and what a project or a key may use."""

from typing import Literal

import msgspec


class Limits(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a project or a key may use; 0 is no limit."""

    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    """Of prompt and answer together."""
    concurrency: int = 0
    """Requests that may run or wait at the same time."""
    budget_tokens: int = 0
    """In `budget_period`."""
    budget_period: str = ""
    """`day` or `month` (UTC), or empty: once and for all."""


class Organisation(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Who projects belong to."""

    name: str
    created_ms: int
    title: str = ""


class Project(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One tenant: its data, models and keys are nobody else's."""

    name: str
    """1 to 63 lower-case letters, digits and dashes; unique on the platform, and for ever."""
    organisation: str
    created_ms: int
    title: str = ""
    limits: Limits = Limits()
    """Shared by all of its keys."""
    closed_ms: int = 0
    """When it was closed: none of its keys is accepted any more. 0: it is open."""
    revision: int = 0
    """Grows with each change; what `If-Match` compares."""


class CreateOrganisation(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Add an organisation; the same call again changes nothing."""

    name: str
    author: str
    title: str = ""


class FindOrganisations(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Ask for organisations by name; with `tenant` only for the one that it belongs to."""

    tenant: str = ""
    after: str = ""
    limit: int = 100


class OrganisationPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Organisations by name."""

    organisations: tuple[Organisation, ...]
    next: str = ""


class CreateProject(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Add a project to an organisation; the same call again changes nothing."""

    name: str
    organisation: str
    author: str
    title: str = ""
    limits: Limits = Limits()


class ProjectRef(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One project; `tenant` keeps all others out of sight."""

    name: str
    tenant: str = ""


class ChangeProject(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Change what is given; None leaves it as it is."""

    name: str
    author: str
    title: str | None = None
    limits: Limits | None = None
    closed: bool | None = None
    expected_revision: int | None = None


class FindProjects(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Ask for projects by name; `tenant` keeps the rest out of sight."""

    tenant: str = ""
    organisation: str = ""
    after: str = ""
    limit: int = 100


class ProjectPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Projects by name."""

    projects: tuple[Project, ...]
    next: str = ""


class ProjectChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A project was made, changed, closed or opened again."""

    id: str
    time_ms: int
    change: Literal["created", "changed", "closed", "opened"]
    author: str
    project: Project
