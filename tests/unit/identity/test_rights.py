"""What a key may be given: scopes within its role, and nothing beyond what its author may do."""

from itertools import combinations

import pytest

from libs.contracts.identity import Authority
from libs.contracts.permissions import GRANTS, PLATFORM_ONLY, Permission, Role, granted
from libs.kit.errors import ServiceError
from services.identity.domain.rights import check_authority, check_scopes
from services.identity.domain.secrets import digest_of, new_secret, prefix_of

EVERYTHING = tuple(Permission)


@pytest.mark.parametrize("role", Role)
def test_scopes_are_those_of_the_role_and_of_no_other(role: Role) -> None:
    for permission in Permission:
        for tenant, has in (("shop", permission in GRANTS[role] - PLATFORM_ONLY), ("", permission in GRANTS[role])):
            if has:
                check_scopes(role, tenant, (permission,))
            else:
                with pytest.raises(ServiceError) as refusal:
                    check_scopes(role, tenant, (permission,))
                assert (refusal.value.code, refusal.value.param) == ("invalid_value", "scopes")


def test_no_key_is_given_more_than_its_author_has() -> None:
    """Of every role with every scope or pair of scopes, by an author of every role."""
    for author in Role:
        has = granted(author, is_platform=False)
        authority = Authority(permissions=tuple(has), tenant="shop")
        for role in Role:
            for scopes in [(), *((one,) for one in GRANTS[role]), *combinations(sorted(GRANTS[role]), 2)]:
                given = granted(role, is_platform=False, scopes=frozenset(scopes))
                refusal = _refusal(authority, role, scopes)
                assert refusal == ("" if given <= has else "forbidden"), (author, role, scopes)


def _refusal(authority: Authority, role: Role, scopes: tuple[Permission, ...]) -> str:
    """The code with which a key of `shop` is refused, or nothing."""
    try:
        check_authority(authority, role, "shop", scopes, ())
    except ServiceError as error:
        return error.code
    return ""


def test_a_projects_author_makes_no_key_of_another_project_or_of_the_platform() -> None:
    authority = Authority(permissions=EVERYTHING, tenant="shop")
    check_authority(authority, Role.MEMBER, "shop", (), ())
    for tenant in ("farm", ""):
        with pytest.raises(ServiceError, match="project shop makes keys of that project only"):
            check_authority(authority, Role.MEMBER, tenant, (), ())


def test_whoever_runs_the_platform_gives_anything() -> None:
    check_authority(None, Role.ADMIN, "", (), ())
    check_authority(Authority(permissions=EVERYTHING), Role.ADMIN, "shop", (), ())


def test_models_stay_within_those_of_the_author() -> None:
    authority = Authority(permissions=EVERYTHING, models=("a", "b"))
    check_authority(authority, Role.MEMBER, "shop", (), ("a",))
    for models in ((), ("c",), ("a", "c")):
        with pytest.raises(ServiceError) as refusal:
            check_authority(authority, Role.MEMBER, "shop", (), models)
        assert refusal.value.param == "models"


def test_a_secret_is_long_says_what_it_is_and_shows_little_of_itself() -> None:
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    for secret in secrets:
        assert secret.startswith("llmos-")
        assert len(secret) == len("llmos-") + 43
        assert secret.startswith(prefix_of(secret))
        assert len(prefix_of(secret)) == len("llmos-") + 6
        assert len(digest_of(secret)) == 64
