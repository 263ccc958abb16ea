"""An operator signs where a release's files can be fetched, and the server takes it as it was signed, or not at all."""

from __future__ import annotations

from pathlib import Path

from tuf.api.metadata import Metadata, Targets

from fleet.release.metadata import sources_of
from tests.fleet.bundles import make_bundle
from tests.fleet.server import FleetProcess
from tests.sim.device import SimDevice

URLS = ("https://cdn.example.org/models", "https://models.s3.eu-west-1.amazonaws.com")


def test_sources_are_signed_with_the_release_and_a_client_that_knows_none_takes_it_too(fleet: FleetProcess, tmp_path: Path) -> None:
    # Given a release that names two servers
    make_bundle(tmp_path / "one", release=1, size=1000)
    options = [word for url in URLS for word in ("--source", url)]
    fleet.ask("release", "add", str(tmp_path / "one"), *options)
    # Then the signed list has them
    with fleet.api as api:
        listed: Metadata[Targets] = Metadata.from_bytes(api.get("trust/targets.json").raise_for_status().content)
        assert sources_of(listed.signed.targets["releases/digits/1/manifest.json"]).sources == URLS
        assert "sources" not in listed.signed.targets["director.json"].unrecognized_fields
    # And a device that knows nothing of them verifies it, and has its files from the broker
    with SimDevice(fleet.add_device("pi-1")) as device:
        assert fleet.ask("rollout", "start", "digits", "--to", "all", "--wait")["counts"] == {"committed": 1}
        assert device.problems == []


def test_a_source_without_tls_is_refused_before_anything_is_signed(fleet: FleetProcess, tmp_path: Path) -> None:
    make_bundle(tmp_path / "two", release=2, size=1000)

    refused = fleet.run("release", "add", str(tmp_path / "two"), "--source", "http://cdn.example.org/models")

    assert refused.returncode == 2
    assert "sources" in refused.stderr
    assert [each["ref"]["release"] for each in fleet.ask("release", "list")] == [1]
