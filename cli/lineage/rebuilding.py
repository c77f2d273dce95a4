"""Makes a version again from what its manifest names, and compares file by file."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Final

import httpx2
import msgspec

from libs.contracts.datasets import BuildDataset, DatasetJob, Selection
from libs.contracts.registry import DeleteVersion, Fetch, FetchVersion, Manifest, Resolve, Version, VersionDetails
from libs.contracts.training import Job, JobRef, JobState, OrderTraining
from libs.kit.calls import Caller
from libs.kit.errors import ServiceError

_DECLARATION: Final = "manifest.json"
"""In a data set: the selection that it was built by."""
_OLDER: Final = "it was published before manifests stated BLAKE3; so another digest does not tell whether rows differ"


class _Declaration(msgspec.Struct):
    selection: Selection


class FileCompared(msgspec.Struct, frozen=True):
    """One file of a version, before and after; a digest is empty where there is no such file."""

    path: str
    before: str
    after: str
    same: bool


class Rebuilt(msgspec.Struct, frozen=True, kw_only=True):
    """What came of making a version again."""

    version: str
    dataset: str
    dataset_same: bool | None
    """None: its data set does not say by which selection it was built."""
    dataset_digest: str = ""
    dataset_error: str = ""
    job: str
    rebuilt: str = ""
    """The version that was made, if it was kept."""
    code: str
    code_rebuilt: str
    files: tuple[FileCompared, ...]

    @property
    def same(self) -> bool:
        """Whether everything is as it was."""
        return self.dataset_same is not False and all(file.same for file in self.files)


class Rebuilding:
    """Asks the three services that it takes; `follow_…` return what they are given when it has ended."""

    def __init__(  # noqa: PLR0913 - three services, and who looks on
        self,
        *,
        registry: Caller,
        feedback: Caller,
        trainer: Caller,
        http: httpx2.AsyncClient,
        author: str,
        follow_build: Callable[[DatasetJob], Awaitable[DatasetJob]],
        follow_job: Callable[[Job], Awaitable[Job]],
    ) -> None:
        self._registry, self._feedback, self._trainer, self._http = registry, feedback, trainer, http
        self._author = author
        self._follow_build, self._follow_job = follow_build, follow_job

    async def run(self, reference: str, *, keep: bool = False) -> Rebuilt:
        """Make it again: first its data set, without publishing it; then the version, which goes unless `keep`.

        Raises:
            ServiceError: it was not made by a job that is known, or the job failed this time.
        """
        before = await self._show(reference)
        lineage = before.manifest.lineage
        plan_job = await self._job(before)
        dataset_same, dataset_digest, dataset_error = await self._dataset(lineage.dataset)
        assert plan_job.training is not None  # noqa: S101 - checked with the job
        plan = msgspec.structs.replace(plan_job.training, evaluation=None)
        ordered: Job = await self._trainer.call("training_order", OrderTraining(plan=plan, author=self._author))
        job = await self._follow_job(ordered)
        if job.state is not JobState.SUCCEEDED:
            raise ServiceError(job.error_code or "conflict", f"{job.id} is {job.state.value}: {job.error}")
        after = await self._show(job.version)
        if not keep:
            await self._registry.call("version_delete", DeleteVersion(job.version, self._author))
        return Rebuilt(
            version=before.version.reference,
            dataset=lineage.dataset,
            dataset_same=dataset_same,
            dataset_digest=dataset_digest,
            dataset_error=dataset_error,
            job=job.id,
            rebuilt=after.version.reference if keep else "",
            code=lineage.code,
            code_rebuilt=after.manifest.lineage.code,
            files=compared(before.manifest, after.manifest),
        )

    async def _show(self, reference: str) -> VersionDetails:
        details: VersionDetails = await self._registry.call("version_show", Resolve(reference))
        return details

    async def _job(self, made: VersionDetails) -> Job:
        lineage = made.manifest.lineage
        if not lineage.job or not lineage.dataset:
            raise _cannot(made.version, "its manifest names no job and no data set")
        job: Job = await self._trainer.call("job_show", JobRef(lineage.job))
        if job.training is None:
            raise _cannot(made.version, f"{job.id} is no training")
        return job

    async def _dataset(self, reference: str) -> tuple[bool | None, str, str]:
        """Whether the same selection gives the same digest; the digest it gives; why it gives none."""
        details = await self._show(reference)
        selection = await self._selection(reference, details.manifest)
        if selection is None:
            return None, "", ""
        order = BuildDataset(selection=selection, author=self._author, dry_run=True)
        build = await self._follow_build(await self._feedback.call("dataset_build", order))
        if build.state != "succeeded":
            return False, "", build.error or f"the build is {build.state}"
        same = build.digest == details.version.digest
        return same, build.digest, "" if same or _states_blake3(details.manifest) else _OLDER

    async def _selection(self, reference: str, manifest: Manifest) -> Selection | None:
        blobs = next((file.blobs for file in manifest.files if file.path == _DECLARATION), ())
        if len(blobs) != 1:
            return None
        content = await self._blob(reference, blobs[0].digest)
        try:
            return msgspec.json.decode(content, type=_Declaration).selection
        except msgspec.MsgspecError:
            # A data set from elsewhere may have a file of this name.
            return None

    async def _blob(self, reference: str, digest: str) -> bytes:
        skip = 0
        while True:
            page: Fetch = await self._registry.call("version_fetch", FetchVersion(reference, skip))
            for one in page.downloads:
                if one.blob.digest == digest:
                    return await self._get(one.url, digest)
            skip += len(page.downloads)
            if not page.downloads or skip >= page.total:
                raise ServiceError("digest_mismatch", f"{reference} has no blob {digest}.")

    async def _get(self, url: str, digest: str) -> bytes:
        try:
            answer = await self._http.get(url)
        except httpx2.HTTPError as error:
            raise ServiceError("storage_unavailable", f"The object storage does not answer: {error}.") from error
        if not answer.is_success:
            raise ServiceError("storage_unavailable", f"The object storage answered {answer.status_code}.")
        if hashlib.sha256(answer.content).hexdigest() != digest:
            raise ServiceError("digest_mismatch", "What the object storage sent is not what was published.")
        return answer.content


def _states_blake3(manifest: Manifest) -> bool:
    return any(blob.blake3 for file in manifest.files for blob in file.blobs)


def compared(before: Manifest, after: Manifest) -> tuple[FileCompared, ...]:
    """Every file of either, by path."""
    old = {file.path: file.digest for file in before.files}
    new = {file.path: file.digest for file in after.files}
    paths = sorted(old.keys() | new.keys())
    return tuple(
        FileCompared(path, old.get(path, ""), new.get(path, ""), old.get(path) == new.get(path)) for path in paths
    )


def _cannot(version: Version, why: str) -> ServiceError:
    return ServiceError("invalid_value", f"{version.reference} cannot be made again: {why}.", param="reference")
