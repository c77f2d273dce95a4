"""From what people write to the one version that it means."""

from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.versions import BadReferenceError, parse_reference
from libs.kit.errors import ServiceError
from services.registry.repository import versions


async def resolve(connection: AsyncConnection, text: str, *, param: str = "reference", tenant: str = "") -> Row[Any]:
    """The row of the version that `text` names; what `tenant` may not see is not there.

    Raises:
        ServiceError: `invalid_value`, it is no reference or fits several versions; `version_not_found`.
    """
    try:
        reference = parse_reference(text)
    except BadReferenceError as error:
        raise ServiceError("invalid_value", str(error), param=param) from error
    rows = await versions.find(connection, reference, tenant)
    if not rows:
        raise ServiceError("version_not_found", f"There is no version `{text[:160]}`.", param=param)
    if len(rows) > 1:
        raise ServiceError("invalid_value", f"`{text[:160]}` fits several versions; give more digits.", param=param)
    return rows[0]
