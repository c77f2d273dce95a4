"""The S3 door against a real SeaweedFS: bytes, ranges, lists, URLs, versions, and how it says that S3 is away."""

import asyncio
import base64
import hashlib
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from libs.kit.errors import ServiceError
from libs.kit.objects import ObjectStore
from libs.kit.settings import ObjectSettings
from libs.testkit.stores import ObjectServer


def _md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


async def test_what_is_put_can_be_read_measured_listed_and_deleted(bucket: ObjectSettings) -> None:
    store = ObjectStore(bucket)
    await store.put("a/one", b"0123456789")
    await store.put("a/empty", b"")
    assert await store.get("a/one") == b"0123456789"
    assert await store.get_range("a/one", 3, 4) == b"3456"
    assert await store.get_range("a/one", 8, 40) == b"89"
    assert await store.head("a/one") == 10
    assert b"".join([part async for part in store.stream("a/one")]) == b"0123456789"
    assert sorted([(item.key, item.size_bytes) async for item in store.walk("a")]) == [("a/empty", 0), ("a/one", 10)]

    await store.delete("a/one")
    await store.delete("a/one")
    assert await store.head("a/one") is None
    assert await store.get("a/one") is None
    assert await store.get_range("a/one", 0, 1) is None
    assert [part async for part in store.stream("a/one")] == []


async def test_a_url_moves_bytes_without_keys_and_the_checksum_is_enforced(bucket: ObjectSettings) -> None:
    store, content = ObjectStore(bucket), b"x" * 100_000
    [put] = await store.sign_put(["b"], 60)
    async with httpx2.AsyncClient() as http:
        refused = await http.put(put, content=content, headers={"Content-MD5": _md5(b"else")})
        assert refused.status_code == 400
        assert await store.head("b") is None
        assert (await http.put(put, content=content, headers={"Content-MD5": _md5(content)})).status_code == 200
        [get] = await store.sign_get(["b"], 60)
        assert (await http.get(get)).content == content
        assert (await http.put(get, content=b"y")).status_code == 403
        assert (await http.get(get.replace("/b?", "/c?"))).status_code == 403


async def test_a_deleted_version_is_kept_until_it_is_purged(bucket: ObjectSettings) -> None:
    store = ObjectStore(bucket)
    await store.keep_versions()
    await store.put("v/gone", b"1")
    await store.put("v/kept", b"1")
    await store.put("v/kept", b"2")
    await store.delete("v/gone")
    assert await store.purge_versions("v", datetime.now(UTC) - timedelta(hours=1)) == 0
    assert await store.purge_versions("v", datetime.now(UTC) + timedelta(hours=1)) == 3
    assert await store.get("v/kept") == b"2"
    assert [item.key async for item in store.walk("v")] == ["v/kept"]


async def test_a_store_that_is_away_is_a_typed_error(object_server: ObjectServer, bucket: ObjectSettings) -> None:
    store = ObjectStore(bucket)
    await store.put("k", b"kept")
    await asyncio.to_thread(object_server.kill)
    try:
        for attempt in (store.get("k"), store.head("k"), store.put("k", b""), store.delete("k"), store.keep_versions()):
            with pytest.raises(ServiceError) as caught:
                await attempt
            assert caught.value.code == "storage_unavailable"
    finally:
        await asyncio.to_thread(object_server.start)
    assert await store.get("k") == b"kept"


async def test_wrong_keys_are_a_typed_error(bucket: ObjectSettings) -> None:
    wrong = bucket.model_copy(update={"secret_key_file": None})
    with pytest.raises(ServiceError) as caught:
        await ObjectStore(wrong).put("k", b"")
    assert caught.value.code == "storage_unavailable"


@pytest.mark.parametrize("answer", [b"", b'HTTP/1.1 200 OK\r\nContent-Length: 10\r\nETag: "x"\r\n\r\n012'])
async def test_a_store_that_falls_silent_is_given_up_in_time(bucket: ObjectSettings, answer: bytes) -> None:
    asked = 0

    async def fall_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(fall_silent, "127.0.0.1")
    port = silent.sockets[0].getsockname()[1]
    store = ObjectStore(bucket.model_copy(update={"endpoint": f"http://127.0.0.1:{port}", "timeout_s": 0.3}))
    calls = [store.get("a"), store.put("a", b"x")] if not answer else [store.get("a")]
    for call in calls:
        with pytest.raises(ServiceError) as caught:
            await asyncio.wait_for(call, 10)
        assert caught.value.code == "storage_unavailable"
    assert asked >= 1
    silent.close()
