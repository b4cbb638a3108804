"""What a Redis URL means, and which URLs mean nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from config.redis_address import NotAnAddress, RedisAddress, redis_address, with_tls

SENTINELS = (("one", 26379), ("two", 5000))
VERIFIED: dict[str, str | bool] = {"ssl_cert_reqs": "required", "ssl_check_hostname": True}


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://", RedisAddress((("localhost", 6379),))),
        ("redis://redis", RedisAddress((("redis", 6379),))),
        ("redis://redis:6380/", RedisAddress((("redis", 6380),))),
        ("redis://[::1]:6380/2", RedisAddress((("::1", 6380),), db=2)),
        ("redis://redis?db=4", RedisAddress((("redis", 6379),), db=4)),
        ("redis://:pw@redis/1", RedisAddress((("redis", 6379),), db=1, password=SecretStr("pw"))),
        (
            "redis://us%40er:p%2Fw%3A%3B@redis",
            RedisAddress((("redis", 6379),), username="us@er", password=SecretStr("p/w:;")),
        ),
        ("redis://redis?password=p%2Fw", RedisAddress((("redis", 6379),), password=SecretStr("p/w"))),
        ("rediss://redis", RedisAddress((("redis", 6379),), tls=VERIFIED)),
        (
            "rediss://redis?ssl_ca_certs=/etc/ca.pem",
            RedisAddress((("redis", 6379),), tls={"ssl_ca_certs": "/etc/ca.pem", **VERIFIED}),
        ),
        (
            "rediss://redis?ssl_cert_reqs=CERT_NONE",
            RedisAddress((("redis", 6379),), tls={"ssl_cert_reqs": "none", "ssl_check_hostname": False}),
        ),
        (
            "rediss://redis?ssl_check_hostname=false",
            RedisAddress((("redis", 6379),), tls={"ssl_cert_reqs": "required", "ssl_check_hostname": False}),
        ),
        ("sentinel://one", RedisAddress((("one", 26379),), master_name="mymaster")),
        ("sentinel://one,two:5000/3", RedisAddress(SENTINELS, db=3, master_name="mymaster")),
        ("sentinel://one;sentinel://two:5000/3", RedisAddress(SENTINELS, db=3, master_name="mymaster")),
        (
            "sentinel://:pw@one:26379;sentinel://:pw@two:5000/0?master_name=pager",
            RedisAddress(SENTINELS, password=SecretStr("pw"), master_name="pager"),
        ),
        (
            "sentinel://one,two:5000?sentinel_username=s&sentinel_password=p%3Fw&ssl=true",
            RedisAddress(
                SENTINELS,
                master_name="mymaster",
                sentinel_username="s",
                sentinel_password=SecretStr("p?w"),
                tls=VERIFIED,
            ),
        ),
    ],
)
def test_it_reads(url: str, address: RedisAddress) -> None:
    assert redis_address(url) == address


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://redis", "^$"),
        ("redis:redis", "^$"),
        ("redis://re dis", "^$"),
        ("redis://one,two", "for sentinel:// alone"),
        ("redis://:p/w@redis", "percent-encoded"),
        ("redis://:p#w@redis", "percent-encoded"),
        ("redis://:p?w@redis", "percent-encoded"),
        ("redis://:123/4@redis", "percent-encoded"),
        ("redis://:123?4@redis", "percent-encoded"),
        ("redis://redis/name", "percent-encoded"),
        ("redis://redis:0", "port"),
        ("redis://redis:65536", "port"),
        ("redis://redis?db=one", "a number"),
        ("redis://redis?db", "percent-encoded"),
        ("redis://redis?socket_timeout=5", "it may have db, username, password"),
        ("redis://redis?ssl_ca_certs=/etc/ca.pem", "it may have db, username, password"),
        ("rediss://redis?ssl_cert_reqs=never", "required, optional, none"),
        ("rediss://redis?ssl_check_hostname=1", "true or false"),
        ("rediss://redis?master_name=pager", "it may have"),
        ("sentinel://one;redis://two", "begin with sentinel://"),
        ("sentinel://one;two", "begin with sentinel://"),
        ("redis://[::1", "can't be read"),
    ],
)
def test_it_says_what_is_wrong(url: str, why: str) -> None:
    with pytest.raises(NotAnAddress, match=why):
        redis_address(url)


@given(st.text(st.characters(codec="utf-8"), min_size=1), st.text(st.characters(codec="utf-8"), min_size=1))
def test_credentials_given_apart_arrive_as_they_are(username: str, password: str) -> None:
    address = redis_address(RedisAddress((("redis", 6379),), 2, username, SecretStr(password)).url)
    assert address == RedisAddress((("redis", 6379),), 2, username, SecretStr(password))


def test_what_it_prints_holds_no_secret() -> None:
    address = redis_address(
        "sentinel://:planted@one,two/0?sentinel_password=planted&ssl=true&ssl_password=planted"
    )
    assert "planted" not in repr(address)
    assert address.tls is not None
    assert address.tls["ssl_password"] == "planted"


@pytest.mark.parametrize(
    "url", ["redis://:pl/anted@redis", "redis://redis?planted=1", "sentinel://planted@one/x"]
)
def test_an_error_quotes_nothing_of_the_url(url: str) -> None:
    with pytest.raises(NotAnAddress) as caught:
        redis_address(url)
    assert "anted" not in str(caught.value)


# -- TLS that is said beside the URL --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "said", "whole"),
    [
        ("redis://redis/0", {}, "redis://redis/0"),
        ("redis://redis/0", {"tls": False}, "redis://redis/0"),
        ("redis://:p%2Fw@redis/0", {"tls": True}, "rediss://:p%2Fw@redis/0"),
        # Only the address decides whether there is TLS at all.
        ("redis://redis/0", {"skip_verify": True}, "redis://redis/0"),
        ("rediss://redis/0", {"skip_verify": True}, "rediss://redis/0?ssl_cert_reqs=none"),
        (
            "rediss://redis/0?ssl_cert_reqs=required&ssl_ca_certs=/a",
            {"skip_verify": True, "ca_cert": "/b c"},
            "rediss://redis/0?ssl_cert_reqs=none&ssl_ca_certs=/b%20c",
        ),
        ("sentinel://a;sentinel://b/0", {"tls": True}, "sentinel://a;sentinel://b/0?ssl=true"),
        (
            "sentinel://a,b/0?master_name=m",
            {"tls": True, "skip_verify": True},
            "sentinel://a,b/0?master_name=m&ssl=true&ssl_cert_reqs=none",
        ),
    ],
)
def test_what_is_said_of_tls_becomes_part_of_the_url(
    url: str, said: dict[str, bool | str], whole: str
) -> None:
    assert with_tls(url, **said) == whole  # type: ignore[arg-type]
    redis_address(whole)


def test_tls_is_never_switched_off_in_silence() -> None:
    for url in ("rediss://redis/0", "sentinel://a/0?ssl=true"):
        with pytest.raises(NotAnAddress, match="it asks for TLS"):
            with_tls(url, tls=False)
