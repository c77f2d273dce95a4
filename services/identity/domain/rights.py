"""What a key may do, and whether its author may give so much."""

from libs.contracts.identity import Authority
from libs.contracts.permissions import Permission, Role, granted
from libs.kit.errors import ServiceError


def check_scopes(role: Role, tenant: str, scopes: tuple[Permission, ...]) -> None:
    """Return if the role has all of the scopes.

    Raises:
        ServiceError: `invalid_value`.
    """
    beyond = sorted(set(scopes) - granted(role, is_platform=not tenant))
    if beyond:
        whose = f"a key of the project {tenant}" if tenant else "a key of the platform"
        text = f"`{beyond[0]}` is nothing that {whose} with the role {role} may do."
        raise ServiceError("invalid_value", text, param="scopes")


def check_authority(
    authority: Authority | None,
    role: Role,
    tenant: str,
    scopes: tuple[Permission, ...],
    models: tuple[str, ...],
) -> None:
    """Return if whoever has `authority` may give all of this, because he has it himself.

    Raises:
        ServiceError: `forbidden`.
    """
    if authority is None:
        return
    if authority.tenant and authority.tenant != tenant:
        raise ServiceError("forbidden", f"A key of the project {authority.tenant} makes keys of that project only.")
    given = granted(role, is_platform=not tenant, scopes=frozenset(scopes))
    beyond = sorted(given - set(authority.permissions))
    if beyond:
        text = f"This key would be allowed more than the one that makes it: `{beyond[0]}`. Give it fewer scopes."
        raise ServiceError("forbidden", text, param="scopes")
    if authority.models and (not models or set(models) - set(authority.models)):
        text = "This key would ask other models than the one that makes it; name only those in `models`."
        raise ServiceError("forbidden", text, param="models")
