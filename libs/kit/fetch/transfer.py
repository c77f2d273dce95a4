"""All blobs of one version: pages of URLs, threads, tries and pauses, and the count of bytes."""

import asyncio
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import structlog

from libs.contracts.registry import Fetch
from libs.kit.errors import ServiceError
from libs.kit.fetch.blobs import Download, RefusedError, WrongBytesError
from libs.kit.fetch.lanes import Lanes, UnreachableError
from libs.kit.fetch.layout import Piece, pieces_of
from libs.kit.fetch.options import FetchOptions, Pages, Progress
from libs.kit.fetch.part import PartDirectory

log = structlog.get_logger(__name__)

_REPORT_S: Final = 0.2
_SYNC_BYTES: Final = 8 << 20
_T = TypeVar("_T")


class Transfer:
    """One fetch into a part directory that this process has locked."""

    def __init__(self, ask: Pages, first: Fetch, part: PartDirectory, options: FetchOptions) -> None:
        self._ask = ask
        self._manifest = first.manifest
        self._part = part
        self._options = options
        self._pieces = list(pieces_of(first.manifest).values())
        self._number = {piece.blob.digest: number for number, piece in enumerate(self._pieces)}
        self._urls = _urls(first)
        self._asking = asyncio.Lock()
        self._total_bytes = sum(piece.blob.size_bytes for piece in self._pieces)
        self._done_bytes = 0
        self._counting = threading.Lock()
        self._stop = threading.Event()
        self._threads = ThreadPoolExecutor(options.parallel, thread_name_prefix="fetch")
        self._lanes = Lanes(connect_timeout_s=options.connect_timeout_s, read_timeout_s=options.read_timeout_s)

    async def run(self, progress: Progress | None) -> None:
        """Bring every blob, checked, and have the disk hold it if that is asked for.

        Raises:
            ServiceError: as `fetch_version`.
            OSError: the files cannot be written.
        """
        reporter = asyncio.create_task(self._report(progress)) if progress else None
        try:
            await self._bring_all()
        finally:
            self._stop.set()
            if reporter is not None:
                reporter.cancel()
            # The caller closes the files next; no thread may still write to them.
            await asyncio.shield(asyncio.to_thread(self._threads.shutdown, cancel_futures=True))
            self._lanes.close()
        if progress:
            progress(self._done_bytes, self._total_bytes)

    async def _bring_all(self) -> None:
        begun = await self._in_thread(self._part.prepare, self._manifest)
        pieces = iter(self._pieces)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._options.parallel):
                    group.create_task(self._bring_in_turn(pieces, begun))
        except ExceptionGroup as errors:
            # The first failure ended the others.
            raise errors.exceptions[0] from errors
        if self._options.durable:
            for file in self._manifest.files:
                await self._in_thread(self._part.sync, file.path)

    async def _bring_in_turn(self, pieces: Iterator[Piece], begun: set[str]) -> None:
        for piece in pieces:
            if await self._in_thread(self._part.holds, piece, begun):
                self._count(piece.blob.size_bytes)
            else:
                await self._bring(piece)
            if self._options.durable and piece.blob.size_bytes >= _SYNC_BYTES:
                # While others are on their way; at the end little is left to be waited for.
                await self._in_thread(self._part.sync, piece.places[0][0])

    async def _bring(self, piece: Piece) -> None:
        """Try until it is there or nothing speaks for another try."""
        wrong = 0
        for number in range(self._options.attempts):
            last = number + 1 == self._options.attempts
            try:
                download = Download(self._lanes, piece.blob, stop=self._stop, count=self._count)
                await self._in_thread(download.run, await self._url(piece), self._part.sinks(piece))
            except WrongBytesError as error:
                wrong += 1
                if last or wrong >= self._options.wrong_attempts:
                    raise _gave_up(piece.blob.digest, error) from error
                log.warning("wrong bytes, fetching the blob again", blob=piece.blob.digest, error=str(error))
            except (UnreachableError, RefusedError) as error:
                if last:
                    raise _gave_up(piece.blob.digest, error) from error
                log.warning("blob not fetched, trying again", blob=piece.blob.digest, error=str(error))
                # It may have expired; asking again also tells whether the version is still there.
                self._urls.pop(piece.blob.digest, None)
                await asyncio.sleep(self._pause_s(number))
            else:
                return

    async def _url(self, piece: Piece) -> str:
        async with self._asking:
            if piece.blob.digest not in self._urls:
                self._urls |= _urls(await self._ask(self._number[piece.blob.digest]))
        url = self._urls.get(piece.blob.digest)
        if url is None:
            raise ServiceError(
                "storage_unavailable", f"The registry names no source for blob {piece.blob.digest[:12]}."
            )
        return url

    def _pause_s(self, number: int) -> float:
        longest_s = min(self._options.max_pause_s, self._options.pause_s * float(1 << number))
        return longest_s * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret

    def _count(self, size_bytes: int) -> None:
        with self._counting:
            self._done_bytes += size_bytes

    async def _report(self, progress: Progress) -> None:
        while True:
            progress(self._done_bytes, self._total_bytes)
            await asyncio.sleep(_REPORT_S)

    async def _in_thread(self, work: "Callable[..., _T]", *arguments: object) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)


def _urls(page: Fetch) -> dict[str, str]:
    return {download.blob.digest: download.url for download in page.downloads}


def _gave_up(digest: str, error: Exception) -> ServiceError:
    if isinstance(error, WrongBytesError):
        text = f"The store keeps sending wrong bytes for blob {digest[:12]}, or its manifest misstates it: {error}."
        return ServiceError("digest_mismatch", text)
    return ServiceError("storage_unavailable", f"Blob {digest[:12]} cannot be fetched: {error}. Try again later.")
