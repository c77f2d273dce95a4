"""The one table of who may do what: roles, permissions, and nothing else decides.

The gateway asks it for every route; `tests/architecture` walks every route with every role.
"""

from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """What the holder of a key is to its project, or to the whole platform."""

    ADMIN = "admin"
    """May do everything, keys and tenants included."""
    OPERATOR = "operator"
    """Runs the place: models, workers, queues, trainings, rollouts. Reads no words that people wrote."""
    ANNOTATOR = "annotator"
    """Reads what was asked and answered, and judges it."""
    MEMBER = "member"
    """Asks models and judges the answers; what an application holds."""
    VIEWER = "viewer"
    """Looks at what is there, at figures and at states; changes nothing and reads no words that people wrote."""


class Permission(StrEnum):
    """One thing that a route may need: what it is about, and how far it goes."""

    INFERENCE_USE = "inference:use"
    MODELS_READ = "models:read"
    MODELS_WRITE = "models:write"
    DEPLOYMENTS_READ = "deployments:read"
    DEPLOYMENTS_WRITE = "deployments:write"
    FEEDBACK_READ = "feedback:read"
    """Figures about judgements, without words."""
    FEEDBACK_WRITE = "feedback:write"
    CONTENT_READ = "content:read"
    """Words that people wrote or were answered; every use is audited."""
    CONTENT_ERASE = "content:erase"
    DATASETS_READ = "datasets:read"
    DATASETS_WRITE = "datasets:write"
    JOBS_READ = "jobs:read"
    JOBS_WRITE = "jobs:write"
    ROLLOUTS_READ = "rollouts:read"
    ROLLOUTS_WRITE = "rollouts:write"
    LOOPS_READ = "loops:read"
    LOOPS_WRITE = "loops:write"
    LINEAGE_READ = "lineage:read"
    EVENTS_READ = "events:read"
    WEBHOOKS_WRITE = "webhooks:write"
    USAGE_READ = "usage:read"
    WORKERS_READ = "workers:read"
    WORKERS_WRITE = "workers:write"
    QUEUES_READ = "queues:read"
    QUEUES_WRITE = "queues:write"
    LETTERS_READ = "letters:read"
    LETTERS_WRITE = "letters:write"
    SETTINGS_READ = "settings:read"
    SETTINGS_WRITE = "settings:write"
    """Of those that can be changed while processes run."""
    STORAGE_WRITE = "storage:write"
    """Deletes bytes that nothing refers to."""
    KEYS_READ = "keys:read"
    KEYS_WRITE = "keys:write"
    TENANTS_READ = "tenants:read"
    TENANTS_WRITE = "tenants:write"
    AUDIT_READ = "audit:read"


_P = Permission

_VIEWER: Final = frozenset(
    {
        _P.MODELS_READ,
        _P.DEPLOYMENTS_READ,
        _P.FEEDBACK_READ,
        _P.DATASETS_READ,
        _P.JOBS_READ,
        _P.ROLLOUTS_READ,
        _P.LOOPS_READ,
        _P.USAGE_READ,
        _P.EVENTS_READ,
        _P.WORKERS_READ,
        _P.QUEUES_READ,
    }
)
_MEMBER: Final = frozenset(
    {_P.INFERENCE_USE, _P.MODELS_READ, _P.FEEDBACK_WRITE, _P.FEEDBACK_READ, _P.EVENTS_READ, _P.USAGE_READ}
)
_ANNOTATOR: Final = _MEMBER | {_P.CONTENT_READ, _P.DATASETS_READ, _P.LINEAGE_READ}
_OPERATOR: Final = (
    _VIEWER
    | _MEMBER
    | {
        _P.MODELS_WRITE,
        _P.DEPLOYMENTS_WRITE,
        _P.DATASETS_WRITE,
        _P.JOBS_WRITE,
        _P.ROLLOUTS_WRITE,
        _P.LOOPS_WRITE,
        _P.LINEAGE_READ,
        _P.WEBHOOKS_WRITE,
        _P.WORKERS_WRITE,
        _P.QUEUES_WRITE,
        _P.LETTERS_READ,
        _P.LETTERS_WRITE,
        _P.SETTINGS_READ,
        _P.SETTINGS_WRITE,
        _P.STORAGE_WRITE,
        _P.KEYS_READ,
        _P.TENANTS_READ,
    }
)

GRANTS: Final[dict[Role, frozenset[Permission]]] = {
    Role.ADMIN: frozenset(Permission),
    Role.OPERATOR: _OPERATOR,
    Role.ANNOTATOR: _ANNOTATOR,
    Role.MEMBER: _MEMBER,
    Role.VIEWER: _VIEWER,
}

PLATFORM_ONLY: Final = frozenset(
    {
        _P.DEPLOYMENTS_WRITE,
        _P.WORKERS_READ,
        _P.WORKERS_WRITE,
        _P.QUEUES_READ,
        _P.QUEUES_WRITE,
        _P.LETTERS_READ,
        _P.LETTERS_WRITE,
        _P.SETTINGS_READ,
        _P.SETTINGS_WRITE,
        _P.STORAGE_WRITE,
        _P.TENANTS_WRITE,
        _P.AUDIT_READ,
    }
)
"""What concerns everybody on the platform: no key of a project has it, whatever its role."""


def granted(role: Role, *, is_platform: bool, scopes: frozenset[Permission] = frozenset()) -> frozenset[Permission]:
    """What a key may do: its role's permissions, less what only the platform has, within its scopes if it has any."""
    allowed = GRANTS[role] if is_platform else GRANTS[role] - PLATFORM_ONLY
    return allowed & scopes if scopes else allowed
