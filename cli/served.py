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
        state.model, state.model_version = shortest_name(deployment), deployment.base.reference
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


def shortest_name(deployment: Deployment) -> str:
    """How clients ask for a deployment's base: by its bare name where the champion is what is deployed."""
    reference = deployment.base.reference
    name = parse_reference(reference).name
    known = [each for each, target in deployment.names.items() if target == reference]
    return min((each for each in known if parse_reference(each).name == name), key=len, default=reference)
