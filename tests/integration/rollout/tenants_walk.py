"""What one tenant has, and how another asks for each of it by every route."""

import json
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2
import msgspec

from libs.contracts.permissions import PLATFORM_ONLY, Role
from libs.contracts.registry import Kind, Version
from libs.contracts.versions import full_reference
from libs.kit.publish import Description, Options, publish, scan
from libs.testkit.door import OWN, key_of
from libs.testkit.front import Front
from libs.testkit.models import write_adapter
from libs.testkit.wait import eventually
from services.gateway.routes.api import ENDPOINTS, PREFIX
from services.gateway.routes.endpoints import Endpoint
from tests.integration.rollout.loop_platform import Platform
from tests.integration.rollout.world import NAME

MODEL: Final = "acme-model"
LOOP: Final = "acme-loop"
DATASET: Final = "acme-words"
WALKED: Final = frozenset({"registry", "feedback", "trainer", "rollout", "lineage"})
NASTY: Final = (
    "' or '1'='1", "x'; drop table registry.versions; --", "{{7*7}}", "${jndi:ldap://x}", "..%2f..%2fetc%2fpasswd",
    "%00", "%0d%0aset-cookie: a=b", "\u202e", "a" * 3_000, "-1", "9" * 40, "1e309", "$(id)", "*", "%", "_",
)  # fmt: skip


async def ask(front: Front, role: Role, tenant: str, method: str, path: str, body: Any = None) -> httpx2.Response:
    """What the admin API answers to that role."""
    content = b"" if body is None else body if isinstance(body, bytes) else msgspec.json.encode(body)
    headers = {"authorization": f"Bearer {key_of(role, tenant)}"}
    return await front.http.request(method, f"{PREFIX}{path}", content=content, headers=headers)


@dataclass
class Belongings:
    """Ids of what `OWN` has."""

    front: Front
    platform: Platform
    versions: list[Version] = field(default_factory=list)
    ids: dict[str, str] = field(default_factory=dict)

    async def made(self, method: str, path: str, body: Any = None) -> Any:
        """What `OWN`'s admin is answered; it is done."""
        answer = await ask(self.front, Role.ADMIN, OWN, method, path, body)
        assert answer.status_code < 300, (path, answer.text)
        return json.loads(answer.content or b"null")

    async def gather(self) -> None:
        """One of everything."""
        await self._say()
        await self._publish()
        words = await self._build()
        questions = self.platform.loop.evaluation.tasks[0].dataset
        base = self.versions[0].base
        plan = {"name": MODEL, "dataset": words, "base": base, "recipe": {"steps": 2}}
        self.ids["job"] = (await self.made("POST", "/trainings", {"plan": plan}))["id"]
        rollout = {"name": MODEL, "candidate": self.versions[1].reference, "steps": [{"share": 0.5, "min_s": 1}]}
        self.ids["rollout"] = (await self.made("POST", "/rollouts", {"plan": rollout}))["id"]
        await self.made("PUT", f"/loops/{LOOP}", loop(questions))
        self.ids["turn"] = (await self.made("POST", f"/loops/{LOOP}/turn"))["id"]
        manifest = msgspec.to_builtins(self._begun())
        self.ids["upload"] = (await self.made("POST", "/uploads", {"manifest": manifest}))["upload_id"]

    async def _say(self) -> None:
        await self.platform.judge(range(3))

        async def judged() -> Any:
            shown = await self.made("GET", "/interactions?judged=true")
            return shown["interactions"] if len(shown["interactions"]) == 3 else None

        first, *_ = await eventually(judged, timeout_s=240, what="three judged answers")
        self.ids["interaction"], self.ids["signal"] = first["request_id"], first["signals"][0]["id"]

    async def _publish(self) -> None:
        around, directory = self.platform.around, self.platform.ground.directory
        base = full_reference(around.base.name, around.base.digest)
        for seed in (71, 72):
            written = write_adapter(directory / f"a{seed}", seed)
            found = scan(written, Description(name=MODEL, kind=Kind.ADAPTER, base=base))
            self.versions.append(await publish(self.platform.models, found, "ann", options=Options(tenant=OWN)))
        assert {version.tenant for version in self.versions} == {OWN}
        target = {"target": self.versions[0].reference}
        await self.made("PUT", f"/models/{MODEL}/aliases/champion", target)

    async def _build(self) -> str:
        selection = {
            "name": DATASET, "shape": "sft", "splits": {"train": 1.0}, "near_duplicates": 0,
            "quarantine": {"enabled": False},
        }  # fmt: skip
        self.ids["build"] = (await self.made("POST", "/datasets", {"selection": selection}))["id"]

        async def built() -> str | None:
            job = await self.made("GET", f"/datasets/{self.ids['build']}")
            assert job["state"] not in ("failed", "cancelled"), job
            return str(job["reference"]) if job["state"] == "succeeded" else None

        self.ids["dataset"] = await eventually(built, timeout_s=240, what="the data set")
        return self.ids["dataset"]

    def _begun(self) -> Any:
        directory = self.platform.ground.directory / "begun"
        written = write_adapter(directory, 73)
        base = self.versions[0].base
        return scan(written, Description(name=MODEL, kind=Kind.ADAPTER, base=base)).manifest

    def path(self, endpoint: Endpoint) -> str:
        """The endpoint's path with `OWN`'s ids in it."""
        kind = endpoint.path.split("/")[1]
        name = {"models": MODEL, "loops": LOOP}.get(kind, MODEL)
        ident = {
            "interactions": "interaction", "datasets": "build", "jobs": "job", "rollouts": "rollout", "turns": "turn",
            "lineage": "signal" if "signals" in endpoint.path else "interaction",
        }.get(kind, "job")  # fmt: skip
        values = {
            "name": name, "alias": "champion", "reference": self.versions[1].reference, "pool": "default",
            "upload_id": self.ids["upload"], "id": self.ids[ident],
        }  # fmt: skip
        return endpoint.path.format(**values)

    def body(self, endpoint: Endpoint) -> Any:
        """What asks for something of `OWN`, where the path says nothing of it."""
        version, other = self.versions[1].reference, self.ids["dataset"]
        questions = self.platform.loop.evaluation.tasks[0].dataset
        manifest = msgspec.to_builtins(msgspec.structs.replace(self._begun(), annotations={"by": "somebody"}))
        return {
            "upload_begin": {"manifest": manifest},
            "alias_set": {"target": version} if endpoint.method == "PUT" else None,
            "dataset_build": {"selection": {"name": "x", "shape": "sft", "tenant": OWN}},
            "erase": {"tenant": OWN, "request_id": self.ids["interaction"]},
            "training_order": {"plan": {"name": "x", "dataset": other, "base": NAME}},
            "evaluation_order": {"plan": {"candidate": version, "tasks": [{"name": "t", "dataset": questions}]}},
            "rollout_order": {"plan": {"name": MODEL, "candidate": version}},
            "loop_apply": loop(questions),
        }.get(endpoint.operation)


def loop(questions: str) -> dict[str, Any]:
    """A loop that begins no turn by itself, and learns from whoever declares it."""
    return {
        "name": LOOP,
        "model": MODEL,
        "selection": {"name": DATASET, "shape": "sft", "splits": {"train": 1.0}},
        "evaluation": {"tasks": [{"name": "t", "dataset": questions}]},
        "trigger": {"signals": 10_000},
    }


def walked() -> list[Endpoint]:
    """Endpoints about things that belong to somebody."""
    return [one for one in ENDPOINTS if one.service in WALKED and one.permission not in PLATFORM_ONLY]
