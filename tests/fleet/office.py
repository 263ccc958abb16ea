"""A fleet's trust without a server process: repository, desks and keys in a folder, and a device that judges what they publish."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

from securesystemslib.signer import CryptoSigner, Signer

from contracts import codec
from contracts.bundle import MANIFEST
from contracts.downlinks import Desired
from contracts.manifest import Manifest
from contracts.messages import ReleaseRef
from contracts.trust import team_role
from fleet.core.wishes import LIFETIME
from fleet.errors.releases import UnknownTrustFileError
from fleet.release.admission import ReleaseDesk
from fleet.release.envelope import WishSigner
from fleet.release.founding import Office as Holders
from fleet.release.founding import write_server_folder
from fleet.release.keys import KeyFolder
from fleet.release.pending import Pending, signed_by
from fleet.release.repository import Repository
from fleet.release.signing import Published, sign_release
from fleet.release.trust_desk import TrustDesk
from fleet.store.artifacts import ArtifactStore
from fleet.store.database import Database
from fleet.store.releases import ReleaseStore
from tests.fleet.bundles import make_bundle
from tests.sim.judge import Judge

NOW = datetime.now(timezone.utc).replace(microsecond=0)


class TrustOffice:
    """Two of three root keys and one release key, none of which is in the server's folder."""

    def __init__(self, folder: Path, on_change: Callable[[datetime, bool], None] = lambda *_: None) -> None:
        """Found a fleet, start its server's part, and provision a device."""
        self.folder = folder
        self.roots = [CryptoSigner.generate_ed25519() for _ in range(3)]
        self.releaser = CryptoSigner.generate_ed25519()
        write_server_folder(folder / "server", Holders(self.roots, 2), Holders([self.releaser]), NOW)
        self.keys = KeyFolder(folder / "keys")
        self.repository = Repository(folder / "trust", self.keys)
        self.repository.take_over(folder / "server", NOW)
        self.files = ArtifactStore((folder / "artifacts").as_uri())
        self.releases = ReleaseDesk(self.repository, self.files, ReleaseStore(Database(folder / "fleet.db")), lambda: None)
        self.trust = TrustDesk(self.repository, self.keys, folder / "change.json", on_change)
        self.device = Judge(folder / "device-state", self.repository.read("root.json"))
        self.generation = 0

    def published(self, model: str = "digits") -> Published:
        """Return what an operator fetches."""
        try:
            team = self.repository.read(f"{team_role(model)}.json")
        except UnknownTrustFileError:
            team = None
        return Published(self.repository.read("root.json"), self.repository.read("targets.json"), team)

    def change(self, pending: Pending, *signers: Signer) -> None:
        """Sign a change and hand it in."""
        for signer in signers:
            pending = signed_by(pending, signer, "a key")
        assert pending.change is not None
        self.trust.change(pending.change, NOW)

    def bundle(self, release: int, model: str = "digits") -> Manifest:
        """Upload a new bundle's files."""
        folder = self.folder / f"{model}-{release}"
        manifest = make_bundle(folder, release=release, model=model, size=1000)
        for path in [*manifest.files, MANIFEST]:
            raw = (folder / path).read_bytes()
            incoming = self.files.receive(codec.sha256_of(raw), 1 << 30)
            incoming.write(raw)
            incoming.finish()
            incoming.discard()
        return manifest

    def release(self, manifest: Manifest, *signers: Signer) -> None:
        """Sign a release and hand it in."""
        named = {f"key {number}": signer for number, signer in enumerate(signers)}
        pending = sign_release(self.published(manifest.name), manifest, named, NOW)
        assert pending.release is not None
        self.releases.add(pending.release.targets.encode(), pending.release.team, NOW)

    def wish(self, *manifests: Manifest) -> bytes:
        """Return the director's next wish."""
        self.generation += 1
        models = {each.name: ReleaseRef(model=each.name, release=each.release, manifest_sha256=each.sha256) for each in manifests}
        wish = Desired(device="pi-1", generation=self.generation, issued_at=NOW, expires_at=NOW + LIFETIME, models=models)
        return WishSigner(lambda: self.keys.signer("director")).sign(wish)

    def verdict(self, *manifests: Manifest) -> str:
        """Return what the device says of what is published now and of a wish for these releases."""
        return self.device.hear(self.repository.published(), self.wish(*manifests))
