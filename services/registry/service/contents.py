"""Looks into the files of an upload: what kind of files they are, and whether an adapter fits its base."""

import asyncio

from libs.contracts.registry import Kind
from libs.kit.chat_templates import render_templates
from libs.kit.modelfiles import ADAPTER_WEIGHTS, WEIGHTS, check_contents, read_tensors
from libs.kit.objects import ObjectStore
from libs.kit.safetensors_header import Tensor
from services.registry.domain.adapters import check_fit
from services.registry.domain.places import Placed
from services.registry.service.reading import FileReader


async def check(store: ObjectStore, uploaded: Placed, base: Placed | None) -> None:
    """Accept the files of a manifest, whose blobs are known to be right; `base` is that of an adapter.

    Raises:
        ServiceError: `unsafe_file`, `incompatible_base`, `storage_unavailable`.
    """
    manifest = uploaded.manifest
    sizes_bytes = {file.path: file.size_bytes for file in manifest.files}
    found = await check_contents(manifest.kind, sizes_bytes, FileReader(store, uploaded))
    await asyncio.to_thread(render_templates, found.templates)
    if manifest.kind is Kind.ADAPTER and base is not None:
        check_fit(found.tensors[ADAPTER_WEIGHTS], await _tensors(store, base), manifest.base)


async def _tensors(store: ObjectStore, base: Placed) -> dict[str, Tensor]:
    """All tensors of a published model."""
    read = FileReader(store, base)
    found: dict[str, Tensor] = {}
    for file in base.manifest.files:
        if file.path.endswith(WEIGHTS):
            found |= await read_tensors(file.path, file.size_bytes, read)
    return found
