"""The access rule, row by row."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.access import AccessRule, Headers, Refusal, Surroundings, parse_address

HOME = Surroundings(
    networks=tuple(
        ip_network(each)
        for each in (
            "127.0.0.0/8", "::1/128", "192.168.1.0/24", "172.17.0.0/16", "169.254.0.0/16",
            "2001:db8:1:2::/64", "fe80::/64", "203.0.113.0/24", "200::/7",
        )
    ),
    doubtful=frozenset(map(ip_address, ("192.168.1.1", "fe80::1", "172.17.0.1"))),
    host_names=frozenset({"raspberrypi"}),
    domains=("fritz.box", "lan"),
)
"""A machine at home that also runs containers, has a provider's public network and an overlay that spans the world."""
BY_NAME: Headers = (("Host", "smartbms.local:6789"),)


def judge(peer: str, *headers: tuple[str, str], around: Surroundings = HOME, **settings: object) -> Refusal | None:
    rule = AccessRule(name="smartbms", **settings)  # type: ignore[arg-type]  # passed through as a table row has it
    return rule.judge(peer, headers or BY_NAME, around).refusal


@pytest.mark.parametrize(
    "peer",
    [
        "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1",
        "192.168.1.77", "::ffff:192.168.1.77",
        "169.254.3.4",
        "fe80::aaaa", "fe80::aaaa%eth0",
        "2001:db8:1:2::77",
        "172.17.0.5",
    ],
)
def test_home_addresses_may_read(peer: str) -> None:
    assert judge(peer) is None


@pytest.mark.parametrize(
    "peer",
    [
        "8.8.8.8", "::ffff:8.8.8.8",
        "192.168.2.77",
        "10.0.0.5",
        "2001:db8:1:3::77",
        "203.0.113.7",
        "201::7",
        "",
        "no address",
    ],
)
def test_addresses_of_no_home_subnet_get_an_explanation(peer: str) -> None:
    assert judge(peer) is Refusal.OUTSIDE


@pytest.mark.parametrize("peer", ["192.168.1.1", "::ffff:192.168.1.1", "fe80::1", "172.17.0.1"])
def test_gateway_and_container_bridge_are_not_home_by_their_subnet(peer: str) -> None:
    assert judge(peer) is Refusal.OUTSIDE


def test_gateway_is_not_home_by_a_wide_home_network() -> None:
    assert judge("192.168.1.1", home_networks=("192.168.0.0/16", "0.0.0.0/0")) is Refusal.OUTSIDE


@pytest.mark.parametrize(
    ("peer", "named"), [("192.168.1.1", "192.168.1.1/32"), ("172.17.0.1", "172.17.0.1"), ("fe80::1", "fe80::1/128")]
)
def test_gateway_is_home_where_its_very_address_is_named(peer: str, named: str) -> None:
    assert judge(peer, home_networks=(named,)) is None


def test_home_networks_add_to_the_home() -> None:
    assert judge("10.8.0.9", home_networks=("10.8.0.0/24",)) is None
    assert judge("203.0.113.7", home_networks=("203.0.113.0/24",)) is None
    assert judge("10.8.1.9", home_networks=("10.8.0.0/24",)) is Refusal.OUTSIDE


def test_address_is_home_or_not_however_it_is_written() -> None:
    rule = AccessRule(name="smartbms")
    assert rule.is_home(ip_address("::ffff:192.168.1.77"), HOME)
    assert not rule.is_home(ip_address("::ffff:192.168.1.1"), HOME)
    assert not rule.is_home(ip_address("fe80::1%eth0"), HOME)


def test_only_this_machine_is_home_while_nothing_is_known_of_the_network() -> None:
    assert judge("127.0.0.1", around=Surroundings()) is None
    assert judge("192.168.1.77", around=Surroundings()) is Refusal.OUTSIDE


# Proxies


@pytest.mark.parametrize(
    "sign",
    [
        ("X-Forwarded-For", "192.168.1.77"),
        ("x-forwarded-for", ""),
        ("Forwarded", "for=192.168.1.77"),
        ("Via", "1.1 proxy"),
        ("X-Real-IP", "192.168.1.77"),
    ],
)
def test_forwarded_request_never_counts_as_home(sign: tuple[str, str]) -> None:
    assert judge("192.168.1.8", *BY_NAME, sign) is Refusal.PROXY
    assert judge("127.0.0.1", *BY_NAME, sign) is Refusal.PROXY
    assert judge("8.8.8.8", *BY_NAME, sign) is Refusal.OUTSIDE


@pytest.mark.parametrize(
    ("headers", "refusal"),
    [
        ([("X-Forwarded-For", "192.168.1.77")], None),
        ([("X-Forwarded-For", "192.168.1.77, 8.8.8.8")], Refusal.OUTSIDE),
        ([("X-Forwarded-For", "8.8.8.8, 192.168.1.77")], None),
        ([("X-Forwarded-For", "192.168.1.77"), ("X-Forwarded-For", "8.8.8.8")], Refusal.OUTSIDE),
        ([("X-Forwarded-For", "127.0.0.1, 8.8.8.8")], Refusal.OUTSIDE),
        ([("X-Forwarded-For", "192.168.1.77:50123")], None),
        ([("X-Forwarded-For", "[2001:db8:1:2::77]:50123")], None),
        ([("X-Forwarded-For", "2001:db8:1:2::77")], None),
        ([("X-Forwarded-For", "192.168.1.1")], Refusal.OUTSIDE),
        ([("X-Forwarded-For", "unknown")], Refusal.PROXY),
        ([("X-Forwarded-For", "")], Refusal.PROXY),
        ([("Forwarded", "for=192.168.1.77;proto=https")], None),
        ([("Forwarded", 'proto=http; For="[2001:db8:1:2::77]:4711"')], None),
        ([("Forwarded", "for=192.168.1.77, for=8.8.8.8")], Refusal.OUTSIDE),
        ([("Forwarded", "for=_hidden")], Refusal.PROXY),
        ([("Forwarded", "proto=https")], Refusal.PROXY),
        ([("Via", "1.1 proxy")], Refusal.PROXY),
        # The proxy adds to one header only, and lets the stranger's own other one through.
        ([("X-Forwarded-For", "8.8.8.8"), ("Forwarded", "for=192.168.1.77")], Refusal.PROXY),
        ([("X-Forwarded-For", "192.168.1.77"), ("Forwarded", "for=192.168.1.77")], None),
        # A second trusted proxy before the first: who asked that one is the client.
        ([("X-Forwarded-For", "8.8.8.8, 192.168.1.9")], Refusal.OUTSIDE),
        ([("X-Forwarded-For", "192.168.1.77, 192.168.1.9")], None),
    ],
)
def test_last_address_that_a_trusted_proxy_added_is_the_client(
    headers: list[tuple[str, str]], refusal: Refusal | None
) -> None:
    assert judge("192.168.1.8", *BY_NAME, *headers, trusted_proxies=("192.168.1.8", "192.168.1.9/32")) is refusal


def test_trusted_proxy_reads_for_itself_without_forwarding_headers() -> None:
    assert judge("192.168.1.8", trusted_proxies=("192.168.1.8",)) is None


@pytest.mark.parametrize(
    ("peer", "proto", "is_secure"),
    [
        ("192.168.1.8", "https", True),
        ("192.168.1.8", "http, HTTPS", True),
        ("192.168.1.8", "https, http", False),
        ("192.168.1.7", "https", False),
    ],
)
def test_https_counts_where_a_trusted_proxy_says_it(peer: str, proto: str, is_secure: bool) -> None:
    rule = AccessRule(name="smartbms", trusted_proxies=("192.168.1.8",))
    headers = (*BY_NAME, ("X-Forwarded-For", "192.168.1.77"), ("X-Forwarded-Proto", proto))
    assert rule.judge(peer, headers, HOME).is_secure is is_secure


def test_encrypted_connection_is_secure() -> None:
    assert AccessRule(name="smartbms").judge("192.168.1.77", BY_NAME, HOME, is_tls=True).is_secure


def test_verdict_names_the_client_behind_a_trusted_proxy() -> None:
    rule = AccessRule(name="smartbms", trusted_proxies=("192.168.1.8",))
    verdict = rule.judge("192.168.1.8", (*BY_NAME, ("X-Forwarded-For", "8.8.8.8")), HOME)
    assert verdict.client == ip_address("8.8.8.8")


# Host names


@pytest.mark.parametrize(
    "host",
    [
        "192.168.1.5", "192.168.1.5:6789", "[2001:db8:1:2::5]", "[::1]:6789", "8.8.8.8:80",
        "localhost", "LocalHost:6789", "localhost.lan",
        "smartbms", "smartbms:6789", "SmartBMS.local", "smartbms.local.", "smartbms.fritz.box", "smartbms.lan:80",
        "smartbms-2.local",
        "raspberrypi", "raspberrypi.local", "raspberrypi.fritz.box",
        "myhouse.example", "MyHouse.Example:4711",
    ],
)
def test_our_own_host_names_may_be_used(host: str) -> None:
    assert judge("192.168.1.77", ("Host", host), allowed_hosts=("myhouse.example", "Other.Example")) is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "smartbms.evil.example", "smartbms.local.evil.example", "evilsmartbms.local",
        "smartbms-x.local", "sub.smartbms.local",
        "raspberrypi.evil.example", "sub.myhouse.example", "127.1", "192.168.1.5.evil.example",
        "", "fritz.box", "local", ".local",
    ],
)
def test_unknown_host_name_switches_reading_off(host: str) -> None:
    """A stranger's page that had its name lead to our address (DNS rebinding) asks with that name."""
    assert judge("192.168.1.77", ("Host", host), allowed_hosts=("myhouse.example",)) is Refusal.HOST


def test_request_without_or_with_two_host_headers_is_not_answered() -> None:
    assert judge("192.168.1.77", ("Accept", "*/*")) is Refusal.HOST
    assert judge("192.168.1.77", ("Host", "smartbms"), ("Host", "evil.example")) is Refusal.HOST


def test_known_host_name_does_not_bring_a_stranger_in() -> None:
    assert judge("8.8.8.8", ("Host", "myhouse.example"), allowed_hosts=("myhouse.example",)) is Refusal.OUTSIDE


def test_login_is_asked_for_at_home_too_where_configured() -> None:
    assert judge("192.168.1.77", home_access="login") is Refusal.LOGIN
    assert judge("127.0.0.1", home_access="login") is Refusal.LOGIN
    assert judge("8.8.8.8", home_access="login") is Refusal.OUTSIDE


WORDS = st.sampled_from([
    "192.168.1.77", "127.0.0.1", "::1", "[::1]:80", "8.8.8.8", "for=192.168.1.77", 'for="[fe80::2]"', "smartbms", "",
    "][",
])
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(["Host", "X-Forwarded-For", "Forwarded", "Via", "X-Forwarded-Proto", "X-Real-IP", "Cookie"]),
        st.lists(WORDS | st.text(max_size=20), max_size=4).map(",".join),
    ),
    max_size=5,
)


@given(peer=st.ip_addresses().map(str) | st.text(max_size=20), headers=HEADERS)
def test_no_header_whatever_brings_a_stranger_in(peer: str, headers: list[tuple[str, str]]) -> None:
    rule = AccessRule(name="smartbms", trusted_proxies=("192.168.1.8",), allowed_hosts=("myhouse.example",))
    address = parse_address(peer)
    is_stranger = address is None or not rule.is_home(address, HOME)
    verdict = rule.judge(peer, headers, HOME)
    if is_stranger:
        assert verdict.refusal is Refusal.OUTSIDE


@given(headers=HEADERS, last=st.ip_addresses(v=4).filter(lambda each: each.is_global).map(str))
def test_nothing_before_the_last_forwarded_address_matters(headers: list[tuple[str, str]], last: str) -> None:
    rule = AccessRule(name="smartbms", trusted_proxies=("192.168.1.8",))
    verdict = rule.judge("192.168.1.8", (*BY_NAME, *headers, ("X-Forwarded-For", last)), HOME)
    assert verdict.refusal is not None
