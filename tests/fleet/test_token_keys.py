"""A release key on a PKCS#11 token: SoftHSM stands where a YubiKey would, behind the same library interface."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fleet.errors.keys import TokenError
from fleet.release.keys import open_key
from tests.fleet.bundles import make_bundle
from tests.fleet.server import FleetProcess, fieldfare

PIN = "123456"
KEY = "hsm:2?label=office"
LIBRARIES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm.so", "/usr/local/lib/softhsm/libsofthsm2.so")
# In a process of its own: the library reads its configuration once.
MAKE_KEY = f"""
import os, pkcs11
from pkcs11.util.ec import encode_named_curve_parameters
token = pkcs11.lib(os.environ["PYKCS11LIB"]).get_token(token_label="office")
with token.open(rw=True, user_pin="{PIN}") as session:
    curve = {{pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}}
    session.create_domain_parameters(pkcs11.KeyType.EC, curve, local=True).generate_keypair(store=True, id=b"\\x02", label="release")
"""


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Initialize a token with one key, and let this test's environment lead to it."""
    library = next((path for path in LIBRARIES if Path(path).exists()), None)
    if library is None or shutil.which("softhsm2-util") is None:
        pytest.skip("SoftHSM is not installed: apt-get install softhsm2")
    if importlib.util.find_spec("pkcs11") is None:
        pytest.skip("python-pkcs11 is not installed: pip install 'fieldfare[hsm]'")
    (tmp_path / "tokens").mkdir()
    (tmp_path / "softhsm2.conf").write_text(f"directories.tokendir = {tmp_path}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "softhsm2.conf"))
    monkeypatch.setenv("PYKCS11LIB", library)
    making = ["softhsm2-util", "--init-token", "--free", "--label", "office", "--pin", PIN, "--so-pin", PIN]
    subprocess.run(making, check=True, capture_output=True, timeout=180)
    subprocess.run([sys.executable, "-c", MAKE_KEY], check=True, timeout=180)
    (tmp_path / "pin").write_text(PIN + "\n")
    return KEY


def test_a_release_is_signed_on_a_token_and_the_server_takes_it(token: str, tmp_path: Path) -> None:
    # Given a fleet whose one release key never leaves its token
    pin = ("--passphrase-file", str(tmp_path / "pin"))
    made = fieldfare(
        tmp_path / "home", "keys", "init", "--out", str(tmp_path / "ring"), "--targets-keys", "0", "--targets-key", token, *pin
    )
    assert made.returncode == 0, made.stderr
    assert not list((tmp_path / "ring").rglob("targets-*.pem"))
    make_bundle(tmp_path / "one", release=1, size=1000)
    with FleetProcess(tmp_path / "home", None, "--trust", str(tmp_path / "ring" / "server")) as fleet:
        # When a release is signed with it, and one with another key
        signed = fleet.run("release", "add", str(tmp_path / "one"), "--key", token, *pin)
        make_bundle(tmp_path / "two", release=2, size=1000)
        other = fleet.run("release", "add", str(tmp_path / "two"), "--key", str(tmp_path / "ring" / "offline" / "root-1.pem"), *pin)
    # Then the server takes the one alone
    assert signed.returncode == 0, signed.stderr
    assert other.returncode == 2


@pytest.mark.parametrize(("uri", "pin"), [(KEY, "wrong"), ("hsm:2?label=nowhere", PIN), ("hsm:9?label=office", PIN)])
def test_a_wrong_pin_token_or_key_is_named(token: str, uri: str, pin: str) -> None:
    program = (
        "import sys; from fleet.errors.keys import TokenError; from fleet.release.keys import open_key\n"
        "try: open_key(sys.argv[1], lambda _: sys.argv[2]).sign(b'x')\n"
        "except TokenError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program, uri, pin], capture_output=True, text=True, timeout=180, check=True)
    assert done.stdout.startswith(uri.partition("?")[0]), done.stdout + done.stderr
    assert "\n" not in done.stdout.strip()


def test_a_token_that_cannot_be_had_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYKCS11LIB", raising=False)
    with pytest.raises(TokenError, match=r"install fieldfare\[hsm\], set PYKCS11LIB"):
        open_key(KEY, lambda _name: PIN)
