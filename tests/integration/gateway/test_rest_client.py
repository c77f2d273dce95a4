"""The command line's way to the registry, through a real gateway: what goes in comes out on the bus, and back."""

from typing import Any

import msgspec
import pytest

from cli.models.rest import RestRegistry
from libs.contracts.calls import Fault
from libs.contracts.errors import ERRORS
from libs.contracts.registry import (
    OPERATIONS,
    AdjustDeployment,
    BeginUpload,
    CollectGarbage,
    CommitUpload,
    DeleteVersion,
    Deploy,
    FetchVersion,
    FindDeployments,
    Kind,
    ListAliases,
    ListVersions,
    PoolName,
    Resolve,
    SetAlias,
    Verify,
)
from libs.kit.errors import ServiceError
from libs.testkit.front import KEY, Front
from libs.testkit.ports import free_port
from tests.integration.gateway.admin_scene import ADMIN
from tests.integration.gateway.registry_answers import DIGEST, GOOD, MANIFEST
from tests.integration.gateway.registry_double import ServiceDouble

SERVICE, CLIENT = "registry", RestRegistry
MOVE = SetAlias(name="helpdesk", alias="champion", target="helpdesk@1", author="ops", reason="better")
DEPLOY = Deploy(pool="default", base="helpdesk@1", author="ops", adapters=("a@1",), engine_args=("-x",), replicas=2)
ADJUST = AdjustDeployment(
    pool="default", author="ops", base="helpdesk@2", add_adapters=("a@2",), drop_adapters=("a@1",), replicas=3
)
REQUESTS: list[tuple[str, msgspec.Struct]] = [
    ("upload_begin", BeginUpload(manifest=MANIFEST, author="ops")),
    ("upload_commit", CommitUpload("u1")),
    ("version_list", ListVersions(name="helpdesk", kind=Kind.ADAPTER, before="p2", limit=7)),
    ("version_list", ListVersions()),
    ("version_show", Resolve(f"helpdesk@sha256:{DIGEST}")),
    ("version_fetch", FetchVersion("helpdesk@champion", 256)),
    ("version_verify", Verify("helpdesk@3")),
    ("version_delete", DeleteVersion("helpdesk@3", "ops")),
    ("alias_set", MOVE),
    ("alias_set", msgspec.structs.replace(MOVE, expected=DIGEST)),
    ("alias_set", msgspec.structs.replace(MOVE, expected="")),
    ("alias_set", msgspec.structs.replace(MOVE, target="", expected=DIGEST, reason="")),
    ("alias_list", ListAliases("helpdesk", "champion")),
    ("alias_list", ListAliases("helpdesk")),
    ("deployment_declare", DEPLOY),
    ("deployment_declare", msgspec.structs.replace(DEPLOY, expected_generation=4)),
    ("deployment_declare", msgspec.structs.replace(DEPLOY, expected_generation=0)),
    ("deployment_adjust", ADJUST),
    ("deployment_adjust", AdjustDeployment(pool="default", author="ops", engine_args=(), expected_generation=4)),
    ("deployment_show", PoolName("default")),
    ("deployment_list", FindDeployments()),
    ("garbage_collect", CollectGarbage(dry_run=False, min_age_s=0)),
]


@pytest.fixture
def overrides(admin_keys: dict[str, Any]) -> dict[str, Any]:
    return admin_keys


async def test_every_operation_arrives_as_it_was_meant_and_so_does_its_result(
    client: RestRegistry, behind: ServiceDouble
) -> None:
    assert {operation for operation, _ in REQUESTS} == set(OPERATIONS)
    for operation, request in REQUESTS:
        assert await client.call(operation, request) == GOOD[operation]
        assert behind.asked[-1] == (operation, request)


@pytest.mark.parametrize("code", sorted(ERRORS))
async def test_faults_keep_code_words_and_field(client: RestRegistry, behind: ServiceDouble, code: str) -> None:
    behind.answers["version_show"] = Fault(code, "This is why.", "reference")
    with pytest.raises(ServiceError) as failed:
        await client.call("version_show", Resolve("helpdesk"))
    assert (failed.value.code, failed.value.message, failed.value.param) == (code, "This is why.", "reference")


async def test_a_lost_race_is_a_conflict_whatever_http_calls_it(client: RestRegistry, behind: ServiceDouble) -> None:
    behind.answers["alias_set"] = Fault("conflict", "It moved.")
    with pytest.raises(ServiceError) as failed:
        await client.call("alias_set", msgspec.structs.replace(MOVE, expected=DIGEST))
    assert failed.value.code == "conflict"


async def test_a_reference_cannot_climb_out_of_its_place(client: RestRegistry, behind: ServiceDouble) -> None:
    with pytest.raises(ServiceError) as failed:
        await client.call("version_delete", DeleteVersion("x/../../v1/models", "ops"))
    assert failed.value.code in {"not_found", "method_not_allowed"}
    assert not behind.asked


async def test_the_wrong_key_and_no_gateway_are_told_apart(front: Front) -> None:
    for key, code in ((KEY, "forbidden"), ("sk-unknown", "invalid_api_key")):
        async with RestRegistry(f"http://127.0.0.1:{front.port}", key) as registry:
            with pytest.raises(ServiceError) as failed:
                await registry.call("deployment_list", FindDeployments())
            assert failed.value.code == code
    async with RestRegistry(f"http://127.0.0.1:{free_port()}", ADMIN) as registry:
        with pytest.raises(ServiceError) as failed:
            await registry.call("deployment_list", FindDeployments())
        assert failed.value.code == "registry_unavailable"
