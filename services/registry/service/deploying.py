"""Deployments: declared by people, carried out step by step; every step is one transaction that may be repeated."""

import asyncio
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts import subjects
from libs.contracts.registry import (
    Deploy,
    DeployedVersion,
    Deployment,
    DeploymentChanged,
    DeploymentList,
    DeploymentStatus,
    FindDeployments,
    Kind,
    PoolName,
    WorkerStatus,
)
from libs.contracts.versions import short_reference
from libs.kit import clock
from libs.kit.errors import ServiceError
from libs.kit.postgres import Database
from services.registry.domain.deploying import Declared, Plan, Target, counted, plan, restarts
from services.registry.domain.partial_view import seen_by
from services.registry.domain.rolling import advance, declared_anew
from services.registry.fleet import Fleet
from services.registry.repository import aliases, deployments, versions
from services.registry.repository.deployments import Record
from services.registry.service.references import resolve
from services.registry.tables import OUTBOX

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Deployments:
    """Desired states of pools."""

    database: Database
    fleet: Fleet
    adapter_grace_s: float
    roll_timeout_s: float
    wake: asyncio.Event
    """Set when something was declared here."""

    async def declare(self, request: Deploy) -> DeploymentStatus:
        """Say what a pool is to serve.

        Raises:
            ServiceError: `conflict`, it has changed since; `version_not_found`; `incompatible_base`, an adapter of
                another base or a base that is no model; `invalid_value`.
        """
        _check(request)
        async with self.database.begin() as connection:
            declared = await _resolve(connection, request)
            record = await deployments.get(connection, request.pool, lock=True)
            generation = record.document.generation if record else 0
            if request.expected_generation not in (None, generation):
                raise changed_since(request.pool, generation)
            now_ms = clock.unix_ms()
            declared = counted(declared, record.declared if record else None)
            if record is not None:
                roll = declared_anew(record.roll, record.error, now_ms)
                record = msgspec.structs.replace(
                    record, declared=declared, author=request.author, declared_ms=now_ms, roll=roll, error=""
                )
            record = await self._replan(connection, declared, record, request.author, now_ms)
            await deployments.put(connection, record)
        self.wake.set()
        log.info("deployment declared", pool=request.pool, base=declared.base.reference, author=request.author)
        return self._status(record)

    async def show(self, request: PoolName) -> DeploymentStatus:
        """One pool.

        Raises:
            ServiceError: `not_found`, nothing was declared for it.
        """
        async with self.database.begin() as connection:
            record = await deployments.get(connection, request.pool)
        status = None if record is None else seen_by(self._status(record), request.tenant)
        if status is None:
            raise not_deployed(request.pool)
        return status

    async def show_all(self, request: FindDeployments) -> DeploymentList:
        """Every pool."""
        async with self.database.begin() as connection:
            records = [await deployments.get(connection, pool) for pool in await deployments.pools(connection)]
        shown = [seen_by(self._status(record), request.tenant) for record in records if record is not None]
        return DeploymentList(tuple(status for status in shown if status is not None))

    async def pools(self) -> list[str]:
        """Names of every pool."""
        async with self.database.begin() as connection:
            return await deployments.pools(connection)

    async def reconcile(self, pool: str) -> tuple[Deployment, str] | None:
        """Take the next step for `pool`: what workers are to be told now, and whom to ask to start again (or nobody).

        None if the pool is gone.
        """
        async with self.database.begin() as connection:
            before = await deployments.get(connection, pool, lock=True)
            if before is None:
                return None
            now_ms = clock.unix_ms()
            record = await self._replan(connection, before.declared, before, before.author, now_ms)
            record, ask = self._roll(record, now_ms)
            if record != before:
                await deployments.put(connection, record)
        if record.error and record.error != before.error:
            log.error("roll stopped", pool=pool, reason=record.error)
        return record.document, ask

    async def _replan(
        self, connection: AsyncConnection, declared: Declared, record: Record | None, author: str, now_ms: int
    ) -> Record:
        current = record.document if record else None
        names = {declared.base_name, *(version.reference.partition("@")[0] for version in declared.adapters)}
        planned = plan(
            declared,
            [_target(row) for row in await aliases.targets(connection, names)],
            Plan(record.document, record.leaving) if record else None,
            is_loaded=lambda reference: self._is_loaded(current, declared, reference),
            now_ms=now_ms,
            grace_ms=int(self.adapter_grace_s * 1_000),
        )
        document = planned.deployment
        if document != current:
            await OUTBOX.add(
                connection, DeploymentChanged(id=clock.new_event_id(), time_ms=now_ms, deployment=document)
            )
            log.info("deployment changed", pool=declared.pool, revision=document.revision, names=document.names)
        base = record or Record(declared=declared, author=author, declared_ms=now_ms, document=document)
        engine_revision = document.revision if restarts(current, document) else base.engine_revision
        return msgspec.structs.replace(
            base, document=document, leaving=planned.leaving, engine_revision=engine_revision
        )

    def _is_loaded(self, current: Deployment | None, declared: Declared, reference: str) -> bool:
        if current is None:
            return not self.fleet.workers(declared.pool) and self.fleet.is_known
        told = current.base.digest == declared.base.digest and reference in {
            version.reference for version in current.adapters
        }
        if not self.fleet.workers(declared.pool):
            return self.fleet.is_known
        return told and self.fleet.has_loaded(declared.pool, current.revision, reference)

    def _roll(self, record: Record, now_ms: int) -> tuple[Record, str]:
        if not self.fleet.is_known:
            return record, ""
        step = advance(
            record.document,
            record.engine_revision,
            self.fleet.workers(record.declared.pool),
            record.roll,
            now_ms=now_ms,
            timeout_ms=int(self.roll_timeout_s * 1_000),
        )
        return msgspec.structs.replace(record, roll=step.roll, error=step.error), step.ask

    def _status(self, record: Record) -> DeploymentStatus:
        return DeploymentStatus(
            deployment=record.document,
            workers=tuple(
                WorkerStatus(
                    worker=beat.worker,
                    name=beat.name,
                    state=beat.state.value,
                    revision=beat.revision,
                    models=tuple(model.name for model in beat.models),
                    missing=beat.missing,
                    error=beat.deployment_error,
                )
                for beat in self.fleet.workers(record.declared.pool)
            ),
            error=record.error,
        )


def changed_since(pool: str, generation: int) -> ServiceError:
    """What is said to whom has named another generation."""
    text = f"The deployment of {pool} has generation {generation} now; look at it and try again."
    return ServiceError("conflict", text, param="expected_generation")


def not_deployed(pool: str) -> ServiceError:
    """What is said of a pool for which nothing was declared."""
    return ServiceError("not_found", f"Nothing is deployed to the pool {pool[:80]}.", param="pool")


def _check(request: Deploy) -> None:
    if not subjects.is_token(request.pool):
        raise ServiceError("invalid_value", "A pool is named with letters, digits, `_` and `-`.", param="pool")
    if not 1 <= request.replicas <= 10_000:
        raise ServiceError("invalid_value", "`replicas` must be between 1 and 10000.", param="replicas")
    if any("\0" in text for text in (*request.engine_args, request.author)):
        raise ServiceError("invalid_value", "Engine arguments must be text without NUL.", param="engine_args")


async def _resolve(connection: AsyncConnection, request: Deploy) -> Declared:
    """The versions that are named, locked against deletion until the transaction ends."""
    rows = [await resolve(connection, request.base, param="base")]
    rows += [await resolve(connection, adapter, param="adapters") for adapter in request.adapters]
    await versions.lock_names(connection, {row.name for row in rows})
    # Again, for one may have been deleted while the lock was waited for.
    base = await resolve(connection, versions.reference_of(rows[0]), param="base")
    adapters = [await resolve(connection, versions.reference_of(row), param="adapters") for row in rows[1:]]
    if base.kind != Kind.MODEL.value:
        raise ServiceError("incompatible_base", f"{request.base} is of kind {base.kind}, not a model.", param="base")
    for row in adapters:
        if row.kind != Kind.ADAPTER.value or row.base_digest != base.digest:
            raise ServiceError(
                "incompatible_base",
                f"{short_reference(row.name, row.digest)} is no adapter of {short_reference(base.name, base.digest)}.",
                param="adapters",
            )
    found = {row.digest: _version(row) for row in adapters}
    return Declared(
        pool=request.pool,
        generation=0,
        base_name=base.name,
        base=_version(base),
        adapters=tuple(sorted(found.values(), key=lambda version: version.reference)),
        engine_args=request.engine_args,
        replicas=request.replicas,
    )


def _version(row: Row[Any]) -> DeployedVersion:
    return DeployedVersion(short_reference(row.name, row.digest), row.digest, row.tenant)


def _target(row: Row[Any]) -> Target:
    return Target(
        name=row.name,
        alias=row.alias,
        version=_version(row),
        base_digest=row.base_digest if row.kind == Kind.ADAPTER.value else "",
    )
