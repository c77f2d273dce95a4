"""Endpoints for what pools serve; a deployment's tag is its generation."""

from typing import Any, Final

import msgspec

from libs.contracts.permissions import Permission
from libs.contracts.registry import AdjustDeployment, Deploy, FindDeployments, PoolName
from libs.kit.errors import ServiceError
from services.gateway.routes.endpoints import Asked, Endpoint


class NewDeployment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a pool is to serve."""

    base: str
    """Any reference to a version of kind model."""
    adapters: tuple[str, ...] = ()
    """Adapters to keep loaded whether an alias points to them or not."""
    engine_args: tuple[str, ...] = ()
    replicas: int = 1


class DeploymentAdjustment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a pool is to serve from now on, where it is to be something else; the rest stays."""

    base: str | None = None
    add_adapters: tuple[str, ...] = ()
    drop_adapters: tuple[str, ...] = ()
    """One that was not asked for counts as dropped; of a name that still is, what an alias points to stays loaded."""
    engine_args: tuple[str, ...] | None = None
    """All of them; an empty list is none."""
    replicas: int | None = None


def _declare(asked: Asked) -> Deploy:
    wanted = asked.body
    return Deploy(
        pool=asked.path["pool"],
        base=wanted.base,
        author=asked.author,
        adapters=wanted.adapters,
        engine_args=wanted.engine_args,
        replicas=wanted.replicas,
        expected_generation=_expected(asked),
    )


def _adjust(asked: Asked) -> AdjustDeployment:
    wanted = asked.body
    return AdjustDeployment(
        pool=asked.path["pool"],
        author=asked.author,
        base=wanted.base,
        add_adapters=wanted.add_adapters,
        drop_adapters=wanted.drop_adapters,
        engine_args=wanted.engine_args,
        replicas=wanted.replicas,
        expected_generation=_expected(asked),
    )


def _expected(asked: Asked) -> int | None:
    if asked.must_be_new:
        return 0
    if asked.if_match is None:
        return None
    if not (asked.if_match.isascii() and asked.if_match.isdigit()):
        raise ServiceError("invalid_value", 'If-Match must be a generation in quotes, such as "3".', param="If-Match")
    return int(asked.if_match)


def _generation(status: Any) -> str:
    return str(status.deployment.generation)


ENDPOINTS: Final = (
    Endpoint(
        method="GET",
        path="/deployments",
        permission=Permission.DEPLOYMENTS_READ,
        operation="deployment_list",
        summary="What every pool is to serve, and how far its workers are.",
        call=lambda asked: FindDeployments(asked.tenant),
    ),
    Endpoint(
        method="GET",
        path="/deployments/{pool}",
        permission=Permission.DEPLOYMENTS_READ,
        operation="deployment_show",
        summary="What one pool is to serve, and how far its workers are.",
        call=lambda asked: PoolName(asked.path["pool"], asked.tenant),
        tag=_generation,
    ),
    Endpoint(
        method="PUT",
        path="/deployments/{pool}",
        permission=Permission.DEPLOYMENTS_WRITE,
        operation="deployment_declare",
        summary="Declare what a pool serves; `If-Match` names the generation that this replaces.",
        body=NewDeployment,
        call=_declare,
        tag=_generation,
        conditional=True,
    ),
    Endpoint(
        method="PATCH",
        path="/deployments/{pool}",
        permission=Permission.DEPLOYMENTS_WRITE,
        operation="deployment_adjust",
        summary="Change what a pool serves in what the body names; `If-Match` names the generation that this replaces.",
        body=DeploymentAdjustment,
        call=_adjust,
        tag=_generation,
        conditional=True,
    ),
)
