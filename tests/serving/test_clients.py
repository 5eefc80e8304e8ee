"""A client is one address or one subscriber's network, however it is written, and whoever else is named before it."""

import pytest
from pydantic import ValidationError

from carpipe.addresses import network_of
from carpipe.config import ServingConfig
from carpipe.serving.clients import client_behind, client_of, is_among


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("::FFFF:c633:6407", "198.51.100.7"),
        ("2002:c633:6407:1::1", "198.51.100.7"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:DB8:0:0:ffff::1", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("fe80::2%7", "fe80::/64"),
        ("unknown", "unknown"),
        ("", ""),
    ],
)
def test_a_subscriber_is_one_client(address, client):
    assert client_of(address) == client


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("203.0.113.9, 198.51.100.7", "198.51.100.7"),
        ("198.51.100.7:4711", "198.51.100.7"),
        ("[2001:db8::1]:443", "2001:db8::/64"),
        ('"[2001:db8::1]"', "2001:db8::/64"),
        ("2001:db8::1", "2001:db8::/64"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("203.0.113.9,", None),
        ("203.0.113.9, unknown", None),
        ("198.51.100.7 203.0.113.9", None),
        ("[", None),
        ("1" * 5000, None),
        ("\u0661.1.1.1", None),
        ("", None),
    ],
)
def test_a_proxy_names_the_client_last(forwarded, client):
    assert client_behind(forwarded) == client


@pytest.mark.parametrize(
    ("setting", "there", "elsewhere"),
    [
        ("10.0.0.5", ["10.0.0.5", "::ffff:10.0.0.5"], ["10.0.0.6", "::1", "", "10.0.0.5.evil.example"]),
        ("::ffff:10.0.0.5", ["10.0.0.5"], ["::1"]),
        ("2001:DB8:0:0::1", ["2001:db8::1"], ["2001:db8::2"]),
        ("fe80::1%eth0", ["fe80::1", "fe80::1%3"], ["fe80::2"]),
        ("10.0.0.0/8", ["10.1.2.3"], ["11.0.0.1"]),
        ("::ffff:10.0.0.0/104", ["10.1.2.3"], ["11.0.0.1"]),
        ("2002:c633:6407::/48", ["198.51.100.7", "2002:c633:6407:1::2"], ["198.51.100.8", "2002:c633:6408::1"]),
        ("2002:a00::/24", ["10.1.2.3"], ["11.0.0.1"]),
        ("2001:db8::/32", ["2001:db8:1::1"], ["2001:db9::1", "10.1.2.3"]),
    ],
)
def test_a_proxy_is_known_by_its_address_not_by_its_spelling(setting, there, elsewhere):
    proxies = network_of(setting)

    assert all(is_among(address, proxies) for address in there)
    assert not any(is_among(address, proxies) for address in elsewhere)


@pytest.mark.parametrize(
    "setting",
    ["*", "proxy.example", "10.0.0.0/33", "10.0.0.1/8", " ", "fe80::%eth0/64", "fe80::%eth0/128", "10.0.0.5%eth0"],
)
def test_a_proxy_that_is_no_address_is_refused(setting):
    with pytest.raises(ValidationError, match="an address or a network"):
        ServingConfig(trusted_proxy=setting)
