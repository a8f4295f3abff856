"""Which addresses applications may be reached at, however they are written and whoever names them."""

import pytest

from assay.adapters.applications import HttpApplications
from assay.adapters.applications.networks import Networks
from assay.core.endpoints import Endpoint, read_endpoint
from assay.core.errors import InvalidInput
from assay.core.results import ErrorType
from assay.settings import Settings

DEFAULT = Networks(["public", "private", "loopback"])


@pytest.mark.parametrize(
    "address",
    [
        "93.184.216.34",
        "127.0.0.1",
        "127.9.9.9",
        "10.0.0.1",
        "172.16.3.4",
        "192.168.1.1",
        "100.64.0.7",
        "::1",
        "fd12:3456::1",
        "2606:4700::1111",
        "::ffff:127.0.0.1",
        "::ffff:93.184.216.34",
        "64:ff9b::93.184.216.34",
    ],
)
def test_applications_may_be_in_public_and_private_networks_and_on_this_machine(address: str) -> None:
    assert DEFAULT.problem(address) is None


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.0.1",
        "169.254.170.2",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "0.0.0.0",
        "0.1.2.3",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "fe80::1",
        "fe80::a9fe:a9fe",
        "febf::1",
        "fec0::1",
        "fd00:ec2::254",
        "fd20:ce::254",
        "ff02::1",
        "::ffff:169.254.169.254",
        "::ffff:a9fe:a9fe",
        "::ffff:0:169.254.169.254",
        "::169.254.169.254",
        "::ffff:0.0.0.0",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::169.254.169.254",
        "64:ff9b:1:ffff::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "2002:6464:64c8::",
        "2001:0:5db8:d822:0:0:5601:5601",
        "2001:db8::5efe:169.254.169.254",
        "2001:db8::200:5efe:169.254.169.254",
    ],
)
def test_addresses_of_no_application_are_refused_in_every_form(address: str) -> None:
    problem = DEFAULT.problem(address)

    assert problem is not None
    assert "application_networks" in problem


def test_a_setting_names_the_networks_that_are_allowed() -> None:
    narrow = Networks(["10.1.0.0/16", "loopback"])

    assert narrow.problem("10.1.2.3") is None
    assert narrow.problem("::ffff:10.1.2.3") is None
    assert narrow.problem("127.0.0.1") is None
    assert narrow.problem("10.2.0.1") == "10.2.0.1 is private (setting application_networks)"
    assert narrow.problem("93.184.216.34") is not None


def test_link_local_addresses_are_allowed_only_by_a_network_within() -> None:
    assert Networks(["169.254.169.254/32"]).problem("169.254.169.254") is None
    assert Networks(["169.254.0.0/16"]).problem("::ffff:169.254.1.1") is None
    assert Networks(["fe80::/10"]).problem("fe80::1") is None
    assert Networks(["0.0.0.0/0", "::/0"]).problem("169.254.169.254") is not None
    assert Networks(["0.0.0.0/0", "::/0"]).problem("fe80::1") is not None
    assert Networks(["0.0.0.0/0"]).problem("8.8.8.8") is None


def test_the_setting_takes_words_and_networks_as_text_or_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_APPLICATION_NETWORKS", "loopback, 10.0.0.0/8")
    monkeypatch.setenv("ASSAY_SECRETS__BOT__VALUE", "sesame")
    monkeypatch.setenv("ASSAY_SECRETS__BOT__HOSTS", "Bot.example.com, 127.0.0.1:8000")

    settings = Settings()

    assert settings.application_networks == ["loopback", "10.0.0.0/8"]
    assert settings.secrets["bot"].hosts == ["bot.example.com", "127.0.0.1:8000"]
    with pytest.raises(ValueError, match="application_networks"):
        Settings(application_networks=["everything"])


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://2852039166/",
        "http://0xa9fea9fe/",
        "http://0251.0376.0251.0376/",
        "http://0xa9.254.0xa9.254/",
        "http://169.254.43518/",
        "http://127.1/",
        "http://0/",
        "http://169.254.169.254./",
        "http://[::ffff:169.254.169.254]/",
        "http://[fe80::1%25eth0]/",
        "http://[fe80::1]/",
        "http://[fd00:ec2::254]/",
        "http://\uff11\uff16\uff19.254.169.254/",
        "http://169\u3002254\u3002169\u3002254/",
        "http://user@example.com/",
        "http://user:word@example.com/",
        "http://example.com@169.254.169.254/",
        "http://169.254.169.254\\@example.com/",
        "http://exa mple.com/",
        "http://example.com\r\nX: y/",
        "http://example.com#@169.254.169.254/",
        "http://",
        "http:///x",
        "http://:80/",
        "http://example.com:99999/",
        "http://example.com:0/",
        "//example.com/",
        "example.com",
        "file:///etc/passwd",
        "ftp://example.com/",
        "gopher://example.com/",
        "http+unix://%2Fvar%2Frun%2Fdocker.sock/",
        "javascript:alert(1)",
        "http://" + "a" * 3000,
        "http://metadata.google.internal/",
        "http://rebinding.example/",
        "http://both.example/",
    ],
)
async def test_a_url_that_leads_nowhere_good_is_refused_and_never_called(url: str) -> None:
    looked_up: list[str] = []

    async def lookup(host: str, port: int) -> list[str]:
        looked_up.append(host)
        return _NAMES[host]

    applications = HttpApplications(Settings(), {}, lookup)
    at_reading = _problems(url)
    problems = await applications.problems(Endpoint(url))
    reply = await applications.call(Endpoint(url), {})
    await applications.close()

    assert at_reading or looked_up or "[" in url or "169.254.169.254" in url
    assert [problem.loc for problem in problems] == [("url",)]
    assert reply.error is not None
    assert reply.error.type == ErrorType.INFERENCE_ERROR
    assert reply.usage.attempts <= 1
    assert all(host in _NAMES for host in looked_up)


async def test_a_name_is_looked_up_again_for_each_connection_and_what_was_found_is_connected_to() -> None:
    found = iter((["127.0.0.1"], ["169.254.169.254"], ["127.0.0.1"]))

    async def rebinding(host: str, port: int) -> list[str]:
        return next(found)

    applications = HttpApplications(Settings(), {}, rebinding)
    endpoint = Endpoint("http://rebinding.example:9/")

    problems = await applications.problems(endpoint)
    reply = await applications.call(endpoint, {})
    await applications.close()

    assert problems == []
    assert reply.error is not None
    assert "the address 169.254.169.254 is not an address that applications may have" in reply.error.message


@pytest.mark.parametrize(
    "host",
    [
        "xn--a",
        "xn--a.example",
        "a..b",
        ".a",
        "-a-",
        "a_b",
        "x" * 64,
        ".".join(["x" * 60] * 5),
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::FFFF:127.0.0.1]",
        "LOCALHOST",
    ],
)
async def test_whatever_stands_for_a_host_a_call_ends_in_a_reply(host: str) -> None:
    async def nowhere(name: str, port: int) -> list[str]:
        raise OSError("no")

    for lookup in (None, nowhere) if host in ("a..b", "x" * 64, "LOCALHOST") else (nowhere,):
        applications = HttpApplications(Settings(), {}, lookup)
        endpoint = Endpoint(f"http://{host}:9/", max_attempts=1, timeout_seconds=5)
        assert isinstance(await applications.problems(endpoint), list)
        reply = await applications.call(endpoint, {})
        await applications.close()

        assert reply.error is not None
        assert reply.error.type == ErrorType.INFERENCE_ERROR


_NAMES = {
    "metadata.google.internal": ["169.254.169.254"],
    "rebinding.example": ["::ffff:169.254.169.254"],
    "both.example": ["93.184.216.34", "fe80::1"],
}


def _problems(url: str) -> list[tuple[str | int, ...]]:
    """What reading the endpoint alone finds."""
    try:
        read_endpoint({"url": url})
    except InvalidInput as invalid:
        return [problem.loc for problem in invalid.problems]
    return []
