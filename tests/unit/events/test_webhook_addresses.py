"""Where a webhook may go: no form of a private address passes, and the one that was checked is the one that is used."""

import pytest

from services.events.webhooks.addresses import AddressError, Resolve, check

PRIVATE = (
    "127.0.0.1", "127.1.2.3", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",  # noqa: S104 - nobody listens
    "255.255.255.255", "224.0.0.1", "198.18.0.1", "192.0.0.1", "192.0.2.1", "198.51.100.1", "240.0.0.1",
    "::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
    "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1",
    "2002:7f00:1::", "2002:a9fe:a9fe::1", "2001:0:0:0:0:0:80ff:fffe", "fe80::1%eth0", "fec0::1",
)  # fmt: skip
PUBLIC = ("93.184.216.34", "8.8.8.8", "2606:2800:220:1:248:1893:25c8:1946")


async def test_no_private_address_passes_however_it_is_given() -> None:
    for address in PRIVATE:
        with pytest.raises(AddressError):
            await check("https://hooks.example/x", allow_private=False, resolve=answering(address))
        with pytest.raises(AddressError):
            await check("https://hooks.example/x", allow_private=False, resolve=answering(PUBLIC[0], address))
        literal = f"[{address.partition('%')[0]}]" if ":" in address else address
        with pytest.raises(AddressError):
            await check(f"https://{literal}/x", allow_private=False, resolve=answering(PUBLIC[0]))


@pytest.mark.parametrize(
    "url",
    [
        "https://127.1/", "https://0x7f.1/", "https://0x7f000001/", "https://2130706433/", "https://017700000001/",
        "https://0/", "https://localhost/", "https://localhost./", "https://LOCALHOST:443/", "https://[::]/",
        "https://127.0.0.1:8443/x", "https://①②⑦.0.0.1/", "https://127。0。0。1/", "https://[::ffff:7f00:1]/",
    ],
)  # fmt: skip
async def test_what_the_system_itself_makes_of_odd_names_is_checked(url: str) -> None:
    with pytest.raises(AddressError):
        await check(url, allow_private=False)


@pytest.mark.parametrize(
    "url",
    [
        "", "x", "http://hooks.example/", "ftp://hooks.example/", "file:///etc/passwd", "gopher://hooks.example/",
        "https://", "https:///x", "https://a:b@hooks.example/", "https://hooks.example@127.0.0.1/",
        "https://hooks.example/#x", "https://hooks.example:99999/", "https://hooks.example:0/",
        "https://hooks example/",
        "https://hooks.example/\r\nHost: x", "https://[::1", "https://hooks.example\\@127.0.0.1/", "//hooks.example/",
        "javascript:alert(1)", "https://" + "a" * 3_000 + ".example/",
    ],
)  # fmt: skip
async def test_what_is_no_plain_https_url_is_refused(url: str) -> None:
    with pytest.raises(AddressError):
        await check(url, allow_private=False, resolve=answering(*PUBLIC))


async def test_the_name_is_looked_up_once_and_its_first_address_is_used() -> None:
    asked: list[tuple[str, int]] = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return [PUBLIC[0]] if len(asked) == 1 else ["127.0.0.1"]

    target = await check("https://hooks.example:8443/a%20b?c=d", allow_private=False, resolve=resolve)
    assert asked == [("hooks.example", 8443)]
    assert target.url == f"https://{PUBLIC[0]}:8443/a%20b?c=d"
    assert (target.host, target.host_header) == ("hooks.example", "hooks.example:8443")
    plain = await check("https://hooks.example", allow_private=False, resolve=answering(PUBLIC[2]))
    assert (plain.url, plain.host_header) == (f"https://[{PUBLIC[2]}]:443/", "hooks.example")


async def test_the_operator_may_allow_private_addresses_and_then_no_tls_is_needed() -> None:
    target = await check("http://127.0.0.1:9/x", allow_private=True)
    assert target.url == "http://127.0.0.1:9/x"
    with pytest.raises(AddressError):
        await check("file:///etc/passwd", allow_private=True)


async def test_a_name_without_an_address_is_refused() -> None:
    async def unknown(_: str, __: int) -> list[str]:
        raise OSError("no such host 10.0.0.53")

    for resolve in (unknown, answering(), answering("nonsense")):
        with pytest.raises(AddressError) as refused:
            await check("https://hooks.example/", allow_private=False, resolve=resolve)
        assert "10.0" not in str(refused.value)


def answering(*addresses: str) -> Resolve:
    """A resolver that always says the same."""

    async def resolve(_: str, __: int) -> list[str]:
        return list(addresses)

    return resolve
