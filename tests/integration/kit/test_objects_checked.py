"""URLs that take one content only, against a real SeaweedFS and against stores that check nothing."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest

from libs.kit.errors import ServiceError
from libs.kit.objects import ObjectStore
from libs.kit.objects_checked import CHECKSUM, CheckedObjects
from libs.kit.settings import ObjectSettings


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("key", ["a/b", "a b+c", "ü/100%&x=1", "~x*(y)!'"])
async def test_a_url_takes_its_content_under_any_key(bucket: ObjectSettings, key: str) -> None:
    store, checked = ObjectStore(bucket), CheckedObjects(bucket)
    assert await checked.is_bound()
    url, headers = checked.sign_put(key, _digest(b"right"), 60)
    async with httpx2.AsyncClient() as http:
        for content, sent, status in (
            (b"wrong", headers, 400),
            (b"right", {}, 403),
            (b"right", headers, 200),
            (b"wrong", headers, 400),
        ):
            assert (await http.put(url, content=content, headers=sent)).status_code == status
    assert await checked.stored_digest(key) == _digest(b"right")
    assert await store.get(key) == b"right"


async def test_a_url_ends(bucket: ObjectSettings) -> None:
    checked = CheckedObjects(bucket)
    url, headers = checked.sign_put("late", _digest(b"right"), 1)
    async with httpx2.AsyncClient() as http, asyncio.timeout(60):
        while (await http.put(url, content=b"right", headers=headers)).status_code != 403:  # noqa: ASYNC110 - asked anew
            await asyncio.sleep(0.1)


async def test_what_came_without_a_checksum_has_none(bucket: ObjectSettings) -> None:
    store, checked = ObjectStore(bucket), CheckedObjects(bucket)
    await store.put("plain", b"x")
    assert await checked.stored_digest("plain") == ""
    assert await checked.stored_digest("absent") == ""


@asynccontextmanager
async def _store_that_answers(bucket: ObjectSettings, head: str, put: str) -> AsyncIterator[ObjectSettings]:
    """An S3 that says the same to every HEAD, and to every PUT."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        text = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = next((int(line[15:]) for line in text.splitlines() if line.startswith("content-length:")), 0)
        await reader.readexactly(length)
        answer = head if text.startswith("head") else put
        writer.write(f"HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    yield bucket.model_copy(update={"endpoint": f"http://127.0.0.1:{port}"})
    server.close()


@pytest.mark.parametrize("told", ["", f"\r\n{CHECKSUM}: not base64", f"\r\n{CHECKSUM}: AAAA-2"])
async def test_a_store_that_keeps_no_checksum_is_found_out(bucket: ObjectSettings, told: str) -> None:
    async with _store_that_answers(bucket, "200 OK" + told, "200 OK") as lenient:
        assert not await CheckedObjects(lenient).is_bound()


async def test_a_store_that_says_what_it_was_told_and_checks_nothing_is_found_out(bucket: ObjectSettings) -> None:
    bound = CheckedObjects(bucket)
    assert await bound.is_bound()
    told = CheckedObjects(bucket).sign_put("x", await bound.stored_digest("trials/checksum"), 60).headers[CHECKSUM]
    async with _store_that_answers(bucket, f"200 OK\r\n{CHECKSUM}: {told}", "200 OK") as lenient:
        assert not await CheckedObjects(lenient).is_bound()


async def test_a_store_that_fails_is_asked_again(bucket: ObjectSettings) -> None:
    async with _store_that_answers(bucket, "404 Not Found", "500 Internal Server Error") as failing:
        checked = CheckedObjects(failing)
        for _ in range(2):
            with pytest.raises(ServiceError) as caught:
                await checked.is_bound()
            assert caught.value.code == "storage_unavailable"
