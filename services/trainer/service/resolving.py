"""From what a plan names to the exact versions it means, looked up once, when the job is ordered."""

from dataclasses import dataclass
from typing import Final

import msgspec

from libs.contracts.datasets import Shape
from libs.contracts.evaluation import EvaluationPlan, Task
from libs.contracts.registry import DEFAULT_ALIAS, Kind, ListVersions, Manifest, Resolve, VersionDetails, VersionPage
from libs.contracts.training import TrainingPlan
from libs.contracts.versions import full_reference
from libs.kit.errors import ServiceError
from libs.kit.registry_client import Registry
from libs.kit.training_plans import check_shape

_SUFFIX: Final = ".jsonl"


@dataclass(frozen=True)
class Found:
    """One version."""

    reference: str
    """Full."""
    manifest: Manifest
    owner: str = ""
    """Whose it is; empty: the platform's."""

    @property
    def shape(self) -> str:
        """Of a data set's rows; empty where its publisher has not said."""
        return self.manifest.annotations.get("shape", "")


class Resolver:
    """Asks the registry."""

    def __init__(self, registry: Registry, tenant: str = "") -> None:
        self._registry = registry
        self._tenant = tenant
        """Whose eyes it looks with; empty: the platform's."""

    def of(self, tenant: str) -> "Resolver":
        """One that sees what `tenant` may see."""
        return Resolver(self._registry, tenant)

    async def owner_under(self, name: str) -> str:
        """Whose a version becomes that is made under a name: who looks; for the platform, the owner of the name.

        Raises:
            ServiceError: `conflict`, the name is another's.
        """
        page: VersionPage = await self._registry.call("version_list", ListVersions(name=name, limit=1))
        owners = [version.tenant for version in page.versions]
        if not self._tenant:
            return owners[0] if owners else ""
        if any(owner != self._tenant for owner in owners):
            raise ServiceError("conflict", f"The name {name[:80]} is taken; train under another one.", param="name")
        return self._tenant

    async def owner_of(self, reference: str) -> str:
        """Whose a version's answers are: who looks, and where that is the platform, the version's owner.

        Raises:
            ServiceError: as `show`.
        """
        return self._tenant or (await self.show(reference, param="candidate")).owner

    async def training(self, plan: TrainingPlan) -> TrainingPlan:
        """The plan with exact references.

        Raises:
            ServiceError: `version_not_found`, `bad_dataset`, `incompatible_base`, `invalid_value`, or the registry is
                away.
        """
        dataset = await self.dataset(plan.dataset, plan.split, param="dataset")
        check_shape(plan.recipe.method, dataset.shape, param="dataset")
        base = await self.model(plan.base, param="base") if plan.base else None
        recipe = plan.recipe
        if recipe.replay:
            replay = await self.dataset(recipe.replay, "train", param="recipe.replay")
            if replay.shape not in ("", Shape.SFT):
                text = f"Replay takes rows of shape sft, not {replay.shape}."
                raise ServiceError("bad_dataset", text, param="recipe.replay")
            recipe = msgspec.structs.replace(recipe, replay=replay.reference)
        evaluation = plan.evaluation
        if evaluation is not None:
            fallback = base.reference if base else ""
            baseline = evaluation.baseline or await self._champion(plan.name) or fallback
            evaluation = await self._tasks(msgspec.structs.replace(evaluation, baseline=baseline), "evaluation.")
        return msgspec.structs.replace(
            plan, dataset=dataset.reference, base=base.reference if base else "", recipe=recipe, evaluation=evaluation
        )

    async def evaluation(self, plan: EvaluationPlan) -> EvaluationPlan:
        """The plan with exact references; without a baseline it is the name's champion, or the candidate's base.

        Raises:
            ServiceError: as `training`, or `missing_field`.
        """
        if not plan.candidate:
            raise ServiceError("missing_field", "Say what to measure: `candidate` is empty.", param="candidate")
        candidate = await self.weights(plan.candidate, param="candidate")
        baseline = plan.baseline or await self._champion(candidate.manifest.name) or candidate.manifest.base
        if not baseline:
            text = f"{candidate.manifest.name} has no champion and its candidate no base: name a `baseline`."
            raise ServiceError("missing_field", text, param="baseline")
        exact = msgspec.structs.replace(plan, candidate=candidate.reference, baseline=baseline)
        return await self._tasks(exact, "")

    async def dataset(self, reference: str, split: str, *, param: str) -> Found:
        """A data set that has the split; a bare name is its newest version, for nobody need have named a champion.

        Raises:
            ServiceError: as `training`.
        """
        found = await self.show(await self._newest(reference), param=param)
        if found.manifest.kind is not Kind.DATASET:
            raise ServiceError("bad_dataset", f"{_called(found)} is no data set.", param=param)
        sizes = {file.path: file.size_bytes for file in found.manifest.files}
        if not sizes.get(split + _SUFFIX):
            have = ", ".join(sorted(path.removesuffix(_SUFFIX) for path in sizes if path.endswith(_SUFFIX)))
            what = "is empty" if split + _SUFFIX in sizes else f"does not exist; there is: {have or 'none'}"
            text = f"The split {split} of {found.manifest.name} {what}."
            raise ServiceError("bad_dataset", text, param=param)
        return found

    async def model(self, reference: str, *, param: str) -> Found:
        """A model, which an adapter is not.

        Raises:
            ServiceError: as `training`.
        """
        found = await self.show(reference, param=param)
        if found.manifest.kind is not Kind.MODEL:
            raise ServiceError("incompatible_base", f"{_called(found)} is no model.", param=param)
        return found

    async def weights(self, reference: str, *, param: str) -> Found:
        """A model or an adapter.

        Raises:
            ServiceError: as `training`.
        """
        found = await self.show(reference, param=param)
        if found.manifest.kind not in (Kind.MODEL, Kind.ADAPTER):
            raise ServiceError("invalid_value", f"{_called(found)} cannot be asked anything.", param=param)
        return found

    async def show(self, reference: str, *, param: str = "") -> Found:
        """Any version.

        Raises:
            ServiceError: `version_not_found`, `invalid_value`, or the registry is away.
        """
        try:
            details: VersionDetails = await self._registry.call("version_show", Resolve(reference, self._tenant))
        except ServiceError as error:
            raise ServiceError(error.code, error.message, param=param or error.param) from error
        version = details.version
        return Found(full_reference(version.name, version.digest), details.manifest, version.tenant)

    async def _tasks(self, plan: EvaluationPlan, inside: str) -> EvaluationPlan:
        tasks = [await self._task(task, f"{inside}tasks") for task in plan.tasks]
        seen = [await self._pinned(each, inside) for each in plan.trained_on]
        baseline = plan.baseline
        if baseline:
            baseline = (await self.weights(baseline, param=f"{inside}baseline")).reference
        return msgspec.structs.replace(plan, tasks=tuple(tasks), trained_on=tuple(seen), baseline=baseline)

    async def _task(self, task: Task, param: str) -> Task:
        if not task.dataset:
            return task
        found = await self.dataset(task.dataset, task.split, param=param)
        if found.shape not in ("", Shape.EVALUATION):
            text = f"The task {task.name} takes rows of shape evaluation, not {found.shape}."
            raise ServiceError("bad_dataset", text, param=param)
        return msgspec.structs.replace(task, dataset=found.reference)

    async def _pinned(self, reference: str, inside: str) -> str:
        found = await self.show(await self._newest(reference), param=f"{inside}trained_on")
        return found.reference

    async def _newest(self, reference: str) -> str:
        if "@" in reference:
            return reference
        page: VersionPage = await self._registry.call(
            "version_list", ListVersions(name=reference, kind=Kind.DATASET, limit=1, tenant=self._tenant)
        )
        return page.versions[0].reference if page.versions else reference

    async def _champion(self, name: str) -> str:
        """The version that the name is served as; empty where there is none."""
        try:
            return (await self.show(f"{name}@{DEFAULT_ALIAS}")).reference
        except ServiceError as error:
            if error.code != "version_not_found":
                raise
            return ""


def _called(found: Found) -> str:
    return f"{found.manifest.name} ({found.manifest.kind.value})"
