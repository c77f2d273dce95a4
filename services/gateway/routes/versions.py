"""Endpoints for uploads, versions and garbage."""

from typing import Final

import msgspec

from libs.contracts.permissions import Permission
from libs.contracts.registry import (
    BeginUpload,
    CollectGarbage,
    CommitUpload,
    DeleteVersion,
    FetchVersion,
    Kind,
    ListVersions,
    Manifest,
    Resolve,
    Verify,
)
from services.gateway.routes.endpoints import Asked, Endpoint


class VersionFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which versions."""

    name: str = ""
    """Empty: of all names."""
    kind: Kind | None = None
    dataset: str = ""
    """Only those made from this data set: an exact reference, short or full."""
    before: str = ""
    limit: int = 100


class NewUpload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A version to be uploaded; repeating it resumes."""

    manifest: Manifest


class Page(msgspec.Struct, frozen=True):
    """Which part of a version's blobs."""

    skip: int = 0
    """Distinct blobs, in manifest order, that are left out."""


class NewCollection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to collect; nothing is deleted unless `dry_run` is false."""

    dry_run: bool = True
    min_age_s: float = CollectGarbage().min_age_s


def _list(asked: Asked) -> ListVersions:
    wanted = asked.query
    return ListVersions(
        name=wanted.name,
        kind=wanted.kind,
        dataset=wanted.dataset,
        before=wanted.before,
        limit=wanted.limit,
        tenant=asked.tenant,
    )


def _fetch(asked: Asked) -> FetchVersion:
    return FetchVersion(
        asked.path["reference"], asked.query.skip, tenant=asked.tenant, weights_only=_weights_only(asked)
    )


def _weights_only(asked: Asked) -> bool:
    return Permission.CONTENT_READ not in asked.permissions


ENDPOINTS: Final = (
    Endpoint(
        method="GET",
        path="/versions",
        permission=Permission.MODELS_READ,
        operation="version_list",
        summary="Versions, newest first; `next` of one page is `before` of the following one.",
        query=VersionFilter,
        call=_list,
    ),
    Endpoint(
        method="GET",
        path="/versions/{reference}",
        permission=Permission.MODELS_READ,
        operation="version_show",
        summary="A version with its manifest and its card; that of a data set or report needs `content:read`.",
        call=lambda asked: Resolve(asked.path["reference"], asked.tenant, weights_only=_weights_only(asked)),
        tag=lambda found: found.version.digest,
    ),
    Endpoint(
        method="DELETE",
        path="/versions/{reference}",
        permission=Permission.MODELS_WRITE,
        operation="version_delete",
        summary="Retire a version that nothing refers to.",
        call=lambda asked: DeleteVersion(asked.path["reference"], asked.author, asked.tenant),
        status=204,
    ),
    Endpoint(
        method="POST",
        path="/uploads",
        permission=Permission.MODELS_WRITE,
        operation="upload_begin",
        summary="Announce a version, and learn which blobs to PUT where. Repeating it resumes.",
        body=NewUpload,
        call=lambda asked: BeginUpload(manifest=asked.body.manifest, author=asked.author, tenant=asked.tenant),
    ),
    Endpoint(
        method="POST",
        path="/uploads/{upload_id}/commit",
        permission=Permission.MODELS_WRITE,
        operation="upload_commit",
        summary="All blobs are there: check them and make the version visible. May take minutes.",
        call=lambda asked: CommitUpload(asked.path["upload_id"], asked.tenant),
        status=201,
        tag=lambda version: version.digest,
    ),
    Endpoint(
        method="GET",
        path="/versions/{reference}/fetch",
        permission=Permission.MODELS_READ,
        operation="version_fetch",
        summary="URLs from which to GET a version's blobs.",
        query=Page,
        call=_fetch,
    ),
    Endpoint(
        method="POST",
        path="/versions/{reference}/verify",
        permission=Permission.MODELS_WRITE,
        operation="version_verify",
        summary="Read every blob of a version back and compare. May take minutes.",
        call=lambda asked: Verify(asked.path["reference"], asked.tenant),
    ),
    Endpoint(
        method="POST",
        path="/garbage-collection",
        permission=Permission.STORAGE_WRITE,
        operation="garbage_collect",
        summary="Delete blobs that nothing refers to, or only say which.",
        body=NewCollection,
        call=lambda asked: CollectGarbage(dry_run=asked.body.dry_run, min_age_s=asked.body.min_age_s),
    ),
)
