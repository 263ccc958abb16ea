"""Releases whose files lie in an S3 bucket: devices are led to the bucket, by links that end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from contracts.bundle import read_bundle
from tests.fleet.bundles import make_bundle
from tests.fleet.server import FleetProcess, fieldfare, wait_for
from tests.live.authority import authority, context_of, server_identity
from tests.live.ports import free_port

fsspec = pytest.importorskip("fsspec")
pytest.importorskip("s3fs", reason="the extra s3 is not installed")
pytest.importorskip("moto", reason="moto, which plays S3, is not installed")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Run an S3 of our own with TLS, and make a bucket."""
    port, papers = free_port(), str(server_identity())
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"https://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority().certificate_file))
    for name, value in {"ACCESS_KEY_ID": "any", "SECRET_ACCESS_KEY": "any", "DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    command = [sys.executable, "-m", "moto.server", "-p", str(port), "-s", "-c", papers, "-k", papers]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    trusting = context_of(None)

    def is_up() -> bool | None:
        try:
            return httpx.put(f"https://127.0.0.1:{port}/models", verify=trusting, timeout=60).status_code == 200 or None
        except httpx.TransportError:
            return None

    try:
        wait_for(is_up)
        yield "s3://models/fleet"
    finally:
        process.terminate()
        process.wait(60)


def test_devices_are_led_to_the_bucket_that_holds_a_release(bucket: str, tmp_path: Path) -> None:
    # Given a fleet that keeps its files in a bucket, and a release
    make_bundle(tmp_path / "one", release=1, size=300_000)
    manifest = read_bundle(tmp_path / "one")
    path, entry = next((path, entry) for path, entry in manifest.files.items() if entry.bytes >= 300_000)
    with FleetProcess(tmp_path / "home", None, "--artifacts", bucket) as fleet:
        device = fleet.add_device("pi-1")
        added = fleet.run("release", "add", str(tmp_path / "one"))
        assert added.returncode == 0, added.stderr
        # When a device asks for a part of a file
        ours = context_of(device / "identity.pem", fleet.folder / "authority" / "ca.pem")
        wanted = {"Range": "bytes=1000-1999"}
        led = httpx.get(f"{fleet.tls_url}/device/v1/artifacts/{entry.sha256}", headers=wanted, verify=ours, timeout=60)
        # Then it is led to the bucket, where anybody with the link gets it
        assert led.status_code == 307
        part = httpx.get(led.headers["Location"], headers=wanted, verify=context_of(None), timeout=60)
        assert (part.status_code, part.content) == (206, (tmp_path / "one" / path).read_bytes()[1000:2000])
    assert not [file for file in (tmp_path / "home" / "artifacts").rglob("*") if file.is_file()]


def test_a_place_that_cannot_be_is_named(tmp_path: Path) -> None:
    done = fieldfare(
        tmp_path / "home", "fleet", "up", "--artifacts", "nonsense://x", "--port", str(free_port()), "--tls-port", str(free_port())
    )
    assert done.returncode == 3
    assert done.stderr.startswith("error: --artifacts nonsense://x: expected a folder or bucket")
