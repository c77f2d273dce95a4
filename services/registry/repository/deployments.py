"""Rows of deployments."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.tables import deployments


async def using(connection: AsyncConnection, digest: str) -> list[str]:
    """Pools that serve a version, or were told to."""
    rows = await connection.execute(select(deployments).order_by(deployments.c.pool))
    return [
        row.pool
        for row in rows
        if digest == row.base_digest
        or digest in {adapter["digest"] for adapter in (*row.adapters, *row.document.get("adapters", ()))}
        or digest == row.document["base"]["digest"]
    ]
