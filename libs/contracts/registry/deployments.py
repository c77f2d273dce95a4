"""What pools serve: as it was declared, as workers are told, and how far they are."""

import msgspec


class Deploy(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Declare what a pool serves."""

    pool: str
    base: str
    """Any reference to a version of kind model."""
    author: str
    adapters: tuple[str, ...] = ()
    """Adapters to keep loaded whether an alias points to them or not."""
    engine_args: tuple[str, ...] = ()
    replicas: int = 1
    expected_generation: int | None = None
    """Compare-and-swap: refuse if something else was declared since; 0 for "must not exist"."""


class AdjustDeployment(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Change what a pool serves in what is named here; the rest stays as it was declared. May be repeated."""

    pool: str
    author: str
    base: str | None = None
    """As in `Deploy`, and so below."""
    add_adapters: tuple[str, ...] = ()
    drop_adapters: tuple[str, ...] = ()
    """One that was not asked for counts as dropped; of a name that still is, what an alias points to stays loaded."""
    engine_args: tuple[str, ...] | None = None
    """All of them; an empty list is none."""
    replicas: int | None = None
    expected_generation: int | None = None
    """Compare-and-swap: refuse if something else was declared since."""


class PoolName(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which pool."""

    pool: str
    tenant: str = ""
    """Keeps those of others out of sight; empty: everybody's."""


class FindDeployments(msgspec.Struct, frozen=True, omit_defaults=True):
    """Ask for every pool."""

    tenant: str = ""
    """Keeps those of others out of sight; empty: everybody's."""


class DeployedVersion(msgspec.Struct, frozen=True, omit_defaults=True):
    """A version as workers are told of it."""

    reference: str
    """`<name>@sha256:<12 hex>`."""
    digest: str
    """64 hex digits."""
    owner: str = ""
    """The tenant whose keys alone may ask it; empty: everybody's."""


class Deployment(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The desired state of one pool: the value of its key in the deployments bucket."""

    pool: str
    generation: int
    """Counts up by one per change of what is declared: base, adapters asked for, engine arguments, replicas."""
    revision: int
    """Counts up by one per change of anything in this document; a name that follows its alias changes only this."""
    base: DeployedVersion
    adapters: tuple[DeployedVersion, ...] = ()
    names: dict[str, str] = {}
    """Every other name that is served, for example `helpdesk` and `helpdesk@champion`, to the reference behind it."""
    engine_args: tuple[str, ...] = ()
    replicas: int = 1
    desired_aliases: dict[str, str] = {}
    """`name@alias` → reference, where workers have yet to confirm that version; `names` gets it then."""


class DeploymentStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment and how far its workers are."""

    deployment: Deployment
    workers: tuple["WorkerStatus", ...]
    error: str = ""
    """Why a new base does not go on to the next worker; empty if nothing is wrong."""


class WorkerStatus(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What one worker last said of itself."""

    worker: str
    name: str
    state: str
    revision: int
    """The newest of the deployment that it has taken in."""
    models: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    """References that this revision wants and that it has not loaded, or not yet."""
    error: str = ""


class DeploymentList(msgspec.Struct, frozen=True):
    """Every pool."""

    deployments: tuple[DeploymentStatus, ...]


class DeploymentChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A pool's desired state changed."""

    id: str
    time_ms: int
    deployment: Deployment
