"""From a judgement to everything that it shaped."""

from libs.contracts.lineage import ShapedVersion, SignalImpact, SignalRef
from libs.contracts.registry import Version
from services.gateway.lineage.asking import Owners


async def impact(owners: Owners, asked: SignalRef) -> SignalImpact:
    """What a judgement shaped.

    Raises:
        ServiceError: `not_found`, or somebody who must be asked is away.
    """
    reach = await owners.reach(asked.id)
    names = await owners.names() if reach.datasets else {}
    shaped: list[ShapedVersion] = []
    gaps: list[str] = []
    for dataset in reach.datasets:
        versions = await owners.versions_of(dataset)
        shaped += [await _shaped(owners, version, dataset, names, gaps) for version in versions]
    shaped.sort(key=lambda one: one.version.published_ms, reverse=True)
    return SignalImpact(
        signal=reach.signal,
        summary=_summary(len(reach.datasets), shaped),
        interactions=reach.interactions,
        datasets=reach.datasets,
        versions=tuple(shaped),
        gaps=tuple(gaps),
    )


async def _shaped(
    owners: Owners, version: Version, dataset: str, names: dict[str, list[str]], gaps: list[str]
) -> ShapedVersion:
    details = await owners.version(version.reference)
    if details is None:
        gaps.append(f"{version.reference} was deleted while this was put together.")
    return ShapedVersion(
        version=version,
        dataset=dataset,
        job=details.manifest.lineage.job if details else "",
        turn=await owners.turn(version.reference),
        rollouts=tuple(await owners.rollouts_of(version.name, version.reference)),
        serves=tuple(names.get(version.reference, ())),
    )


def _summary(datasets: int, shaped: list[ShapedVersion]) -> str:
    if not datasets:
        return "It is in no published data set: it has shaped nothing yet."
    if not shaped:
        return f"It is in {datasets} published data set(s), of which no version was made."
    serving = [one.version.reference for one in shaped if one.serves]
    today = f"{', '.join(serving)} answers today" if serving else "none of them answers today"
    return f"It shaped {len(shaped)} version(s); {today}."
