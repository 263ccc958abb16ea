"""Which servers that a release names a device may ask."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from agent.core.named_sources import allowed
from contracts.agent_config import AgentConfig
from contracts.trust import MAX_SOURCES, ReleaseSources

CDN = "https://cdn.example.org/models"


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        (CDN, ("cdn.example.org",)),
        ("https://CDN.example.org/models", ("cdn.example.org",)),
        ("https://cdn.example.org:443/models", ("cdn.example.org",)),
        ("https://cdn.example.org:8443/models", ("cdn.example.org:8443",)),
        (CDN, ("*.example.org",)),
        ("https://a.b.example.org", ("*.example.org",)),
        ("https://fleet.s3.eu-west-1.amazonaws.com/r", ("fleet.s3.eu-west-1.amazonaws.com",)),
    ],
)
def test_a_server_of_a_host_that_the_owner_allows_is_asked(url: str, hosts: tuple[str, ...]) -> None:
    assert allowed([url], hosts) == (url,)


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        (CDN, ()),
        (CDN, ("example.org",)),
        (CDN, ("cdn.example.org:8443",)),
        ("https://cdn.example.org:8443/models", ("cdn.example.org", "*.example.org")),
        ("https://example.org/models", ("*.example.org",)),
        ("https://badexample.org/models", ("*.example.org",)),
        ("https://cdn.example.org.elsewhere.net/models", ("cdn.example.org", "*.example.org")),
        ("https://cdn.example.org@elsewhere.net/models", ("cdn.example.org",)),
        ("http://cdn.example.org/models", ("cdn.example.org",)),
        ("https://cdn.example.org:99999/models", ("cdn.example.org",)),
        ("https://169.254.169.254/latest", ("*.example.org", "cdn.example.org")),
    ],
)
def test_no_other_is_asked_whatever_it_looks_like(url: str, hosts: tuple[str, ...]) -> None:
    assert allowed([url], hosts) == ()


def test_each_is_asked_once_and_as_many_as_a_release_may_name() -> None:
    many = [f"https://cdn.example.org/{number}" for number in range(20)]
    assert allowed([CDN, CDN], ("cdn.example.org",)) == (CDN,)
    assert len(allowed(many, ("cdn.example.org",))) == MAX_SOURCES


@pytest.mark.parametrize(
    "url", ["http://cdn.example.org", "s3://bucket/key", "https://", "https://x y", "https://a@b", "https://a?b=c", "ftp://a"]
)
def test_what_is_no_plain_https_server_cannot_be_signed(url: str) -> None:
    with pytest.raises(ValidationError):
        ReleaseSources(sources=(url,))


@pytest.mark.parametrize("host", ["https://cdn.example.org", "*", "*.", "cdn.example.org/models", "CDN.example.org", "a b", ""])
def test_a_host_that_would_never_be_met_is_refused_in_agent_toml(host: str) -> None:
    with pytest.raises(ValidationError):
        AgentConfig.model_validate(
            {"device": {"id": "x", "hardware": "cpu"}, "broker": {"host": "h", "port": 1}, "delivery": {"release_hosts": [host]}}
        )
