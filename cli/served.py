"""Which version a running stack serves, and under which name it is asked for; quick, and silent when nobody answers."""

import urllib.request
from typing import Final

import msgspec

from deploy.local.client import Stack
from deploy.local.parts.nats import POOLS
from deploy.local.state import Phase, StackState
from libs.contracts.registry import Deployment, DeploymentStatus
from libs.contracts.versions import parse_reference

_TIMEOUT_S: Final = 3.0
_UP: Final = (Phase.READY, Phase.DEGRADED)


def fill(stack: Stack, state: StackState) -> StackState:
    """Put into `state` what the stack's first pool is to serve; unchanged where the registry does not say."""
    deployment = _deployment(stack, state) if state.from_registry and state.phase in _UP else None
    if deployment is not None:
        state.model, state.model_version = asked_as(deployment)
    return state


def _deployment(stack: Stack, state: StackState) -> Deployment | None:
    address = f"{state.base_url.removesuffix('/v1')}/admin/v1/deployments/{POOLS[0]}"
    headers = {"authorization": f"Bearer {stack.admin_key()}"}
    request = urllib.request.Request(address, headers=headers)  # noqa: S310 - loopback
    # Proxies are for the outside.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=_TIMEOUT_S) as answer:
            return msgspec.json.decode(answer.read(), type=DeploymentStatus).deployment
    except (OSError, msgspec.MsgspecError):
        return None


def asked_as(deployment: Deployment) -> tuple[str, str]:
    """How clients ask for what a pool serves, and which version then answers.

    The bare name of the base, whoever is its champion; where nobody is, the shortest name of the base itself.
    """
    base = deployment.base.reference
    bare = parse_reference(base).name
    if bare in deployment.names:
        return bare, deployment.names[bare]
    known = [name for name, target in deployment.names.items() if target == base and parse_reference(name).name == bare]
    return min(known, key=len, default=base), base
