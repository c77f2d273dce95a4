"""Endpoints for what was said and how it was judged, and for the data sets made of both."""

from typing import Final, get_args, get_type_hints

import msgspec

from libs.contracts.datasets import BuildDataset, DeclaredSelection, JobId, ListJobs
from libs.contracts.feedback import (
    DeadLetterPage,
    Erase,
    ListDeadLetters,
    ListInteractions,
    ShowInteraction,
    StatisticsQuery,
)
from libs.contracts.permissions import Permission
from libs.kit.errors import ServiceError
from services.gateway.routes.endpoints import Asked, Endpoint

_Groups = get_type_hints(StatisticsQuery)["by"]


class InteractionFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which interactions."""

    tenant: str = ""
    model_version: str = ""
    since_ms: int = 0
    until_ms: int = 0
    judged: bool = False
    before: str = ""
    limit: int = 100


class StatisticsFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which signals, and what they are grouped by."""

    by: str = "model_version"
    """Names of groups with commas between them: `model_version`, `tag`, `tenant`, `day`."""
    tenant: str = ""
    model_version: str = ""
    since_ms: int = 0
    until_ms: int = 0


class LetterPage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which dead letters."""

    limit: int = 100
    before: str = ""


class JobsShown(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many builds."""

    limit: int = 100


class NewErasure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to erase: one interaction, or everything of one data subject."""

    tenant: str = ""
    """Empty: the project of the key; for a key of the platform the first project, `default`."""
    request_id: str = ""
    user: str = ""


class NewDataset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A data set to build."""

    selection: DeclaredSelection
    dry_run: bool = False


def _interactions(asked: Asked) -> ListInteractions:
    wanted: ListInteractions = msgspec.convert(asked.query, ListInteractions, from_attributes=True)
    return msgspec.structs.replace(wanted, tenant=asked.only(wanted.tenant))


def _statistics(asked: Asked) -> StatisticsQuery:
    wanted = asked.query
    groups = tuple(name for name in wanted.by.split(",") if name)
    try:
        by = msgspec.convert(groups, _Groups)
    except msgspec.ValidationError as error:
        names = ", ".join(get_args(get_args(_Groups)[0]))
        raise ServiceError("invalid_value", f"`by` takes these names: {names}.", param="by") from error
    return StatisticsQuery(
        by=by,
        tenant=asked.only(wanted.tenant),
        model_version=wanted.model_version,
        since_ms=wanted.since_ms,
        until_ms=wanted.until_ms,
    )


def _erase(asked: Asked) -> Erase:
    wanted = asked.body
    return Erase(tenant=asked.whose(wanted.tenant), request_id=wanted.request_id, user=wanted.user, author=asked.author)


def _build(asked: Asked) -> BuildDataset:
    wanted = asked.body
    selection = msgspec.structs.replace(wanted.selection, tenant=asked.whose(wanted.selection.tenant))
    return BuildDataset(selection=selection, author=asked.author, dry_run=wanted.dry_run, tenant=asked.tenant)


def _without_payloads(asked: Asked, page: DeadLetterPage) -> DeadLetterPage:
    """A message that could not be taken in may hold what people wrote."""
    if Permission.CONTENT_READ in asked.permissions:
        return page
    bare = tuple(msgspec.structs.replace(letter, payload="") for letter in page.letters)
    return msgspec.structs.replace(page, letters=bare)


ENDPOINTS: Final = (
    Endpoint(
        service="feedback",
        method="GET",
        path="/interactions",
        permission=Permission.CONTENT_READ,
        operation="interaction_list",
        summary="Requests and answers, newest first.",
        query=InteractionFilter,
        call=_interactions,
    ),
    Endpoint(
        service="feedback",
        method="GET",
        path="/interactions/{id}",
        permission=Permission.CONTENT_READ,
        operation="interaction_show",
        summary="One request with its answer and every signal on it.",
        call=lambda asked: ShowInteraction(asked.path["id"], asked.tenant),
    ),
    Endpoint(
        service="feedback",
        method="GET",
        path="/feedback/statistics",
        permission=Permission.FEEDBACK_READ,
        operation="statistics",
        summary="Counts of signals and approval with its interval, by model version, tag, tenant or day.",
        query=StatisticsFilter,
        call=_statistics,
    ),
    Endpoint(
        service="feedback",
        method="GET",
        path="/feedback/dead-letters",
        permission=Permission.LETTERS_READ,
        operation="dead_letter_list",
        summary="Messages that could not be taken in, and why.",
        query=LetterPage,
        call=lambda asked: ListDeadLetters(asked.query.limit, asked.query.before),
        select=_without_payloads,
    ),
    Endpoint(
        service="feedback",
        method="POST",
        path="/erasures",
        permission=Permission.CONTENT_ERASE,
        operation="erase",
        summary="Remove the content of one interaction or of one data subject.",
        body=NewErasure,
        call=_erase,
        status=201,
    ),
    Endpoint(
        service="feedback",
        method="POST",
        path="/datasets",
        permission=Permission.DATASETS_WRITE,
        operation="dataset_build",
        summary="Build a data set and publish it.",
        body=NewDataset,
        call=_build,
        status=202,
    ),
    Endpoint(
        service="feedback",
        method="GET",
        path="/datasets",
        permission=Permission.DATASETS_READ,
        operation="dataset_list",
        summary="Builds of data sets, newest first.",
        query=JobsShown,
        call=lambda asked: ListJobs(asked.query.limit, asked.tenant),
    ),
    Endpoint(
        service="feedback",
        method="GET",
        path="/datasets/{id}",
        permission=Permission.DATASETS_READ,
        operation="dataset_show",
        summary="One build and how far it is.",
        call=lambda asked: JobId(asked.path["id"], asked.tenant),
    ),
    Endpoint(
        service="feedback",
        method="POST",
        path="/datasets/{id}/cancel",
        permission=Permission.DATASETS_WRITE,
        operation="dataset_cancel",
        summary="Stop a build.",
        call=lambda asked: JobId(asked.path["id"], asked.tenant),
        status=204,
    ),
)
