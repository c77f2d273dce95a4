"""Fetches a version of the registry into a directory: in parallel, every byte checked, all of it or nothing.

    async def ask(skip: int) -> Fetch: ...           # one page of URLs, from the bus or over HTTP
    manifest = await fetch_version(ask, Path("models/helpdesk"), progress=lambda done, total: ...)

What was interrupted goes on at the last blob. Two fetches of one target do not disturb each other: the second waits,
and finds the target taken.
"""

from libs.kit.fetch.layout import check_manifest, check_path
from libs.kit.fetch.options import FetchOptions, Pages, Progress
from libs.kit.fetch.part import remove_tree
from libs.kit.fetch.version import fetch_version

__all__ = ["FetchOptions", "Pages", "Progress", "check_manifest", "check_path", "fetch_version", "remove_tree"]
