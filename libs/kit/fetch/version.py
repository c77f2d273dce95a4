"""Bringing a whole version: one at a time per target, all of it or nothing."""

import asyncio
import errno
from pathlib import Path
from typing import Final

from libs.contracts.registry import Manifest
from libs.kit.errors import ServiceError
from libs.kit.fetch.layout import check_manifest
from libs.kit.fetch.options import FetchOptions, Pages, Progress
from libs.kit.fetch.part import PartDirectory
from libs.kit.fetch.transfer import Transfer

_DEFAULT: Final = FetchOptions()
_LOCK_PAUSE_S: Final = 0.1
_NO_ROOM: Final = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


async def fetch_version(
    ask: Pages,
    target: Path,
    *,
    digest: str = "",
    progress: Progress | None = None,
    options: FetchOptions = _DEFAULT,
) -> Manifest:
    """Bring the version that `ask` tells of to `target`, a directory that must not exist yet or be empty.

    Args:
        ask: gives one page of URLs; called again when URLs have expired.
        target: where the files shall be; its parents are made.
        digest: what the version must be, 64 hex digits; empty takes what the registry names.
        progress: hears how far it is.
        options: how hard to try.

    Raises:
        ServiceError: `digest_mismatch`, `invalid_manifest`, `storage_unavailable` (also: no room on this disk),
            `conflict` if the target is taken, and whatever `ask` raises. Nothing is visible at `target` then.
    """
    first = await ask(0)
    check_manifest(first.manifest, digest or first.digest)
    part = PartDirectory(target)
    try:
        while not part.try_lock():  # noqa: ASYNC110 - another process holds it
            await asyncio.sleep(_LOCK_PAUSE_S)
        part.check_target()
        await Transfer(ask, first, part, options).run(progress)
        await asyncio.to_thread(part.publish, read_only=options.read_only, durable=options.durable)
    except OSError as error:
        if error.errno in _NO_ROOM:
            part.discard()
            raise ServiceError(
                "storage_unavailable", f"No room for the version in {target.parent}: free some space and try again."
            ) from error
        raise ServiceError("storage_unavailable", f"The version cannot be written to {target}: {error}.") from error
    finally:
        part.unlock()
    return first.manifest
