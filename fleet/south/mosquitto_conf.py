"""Writes mosquitto's configuration: of the broker that is our child, and of one that others run by what we leave them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from contracts.commands import MAX_RESULT_BYTES
from contracts.messages import BROKER_SAVES_S
from contracts.trust import MAX_TRUST_FILE_BYTES
from fleet.south.believed import FOLDER

# The largest trust file or result of a command, and its topic.
MAX_PACKET_BYTES = max(MAX_TRUST_FILE_BYTES, MAX_RESULT_BYTES) + 1024
MAX_QUEUED_BYTES = 64 << 20
# A Raspberry Pi before the fifth has no instructions for AES, and needs several times the time of ChaCha20; a server needs the same.
CIPHERS = "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256"
# The broker's plugin that ends connections begins with nobody, and nothing allowed: rules are the business of the ACL file.
NO_ACCOUNTS = """\
{"defaultACLAccess": {"publishClientSend": false, "publishClientReceive": false, "subscribe": false, "unsubscribe": false},
 "clients": [], "groups": [], "roles": []}
"""


@dataclass(frozen=True)
class Address:
    """Where the broker listens, and the PEM files by which it and its clients know each other."""

    host: str
    port: int
    authority: Path
    # Key and certificate of the server.
    identity: Path
    # A socket at which the folder's owner may be any device, by no more than its name; None for none.
    simulation: Path | None = None


@dataclass(frozen=True)
class Places:
    """Where a broker finds its files; `user` is whom it becomes when root starts it, None for itself."""

    # Who may do what, and who is out.
    rules: Path
    # What it keeps for itself: messages, subscriptions, accounts.
    data: Path
    # The plugin that ends connections.
    kicker: Path
    user: str | None = None


def configuration(address: Address, places: Places) -> str:
    """Return the text of mosquitto.conf."""
    return f"""\
# Written by `fieldfare fleet up` at every start; changes are lost.
{"per_listener_settings true" if address.simulation else ""}
listener {address.port} {address.host}
{f"user {places.user}" if places.user else ""}
cafile {address.authority}
capath {places.rules}/{FOLDER}
certfile {address.identity}
keyfile {address.identity}
crlfile {places.rules}/revoked.pem
tls_version tlsv1.2
ciphers_tls1.3 {CIPHERS}
require_certificate true
use_identity_as_username true
allow_anonymous false
acl_file {places.rules}/acl

# Only here to end connections: it knows no accounts, and leaves who may do what to the rules above.
plugin {places.kicker}
plugin_opt_config_file {places.data}/accounts.json

persistence true
persistence_location {places.data}/
persistence_file mosquitto.db
autosave_interval {BROKER_SAVES_S}
persistent_client_expiration 14d

# A count would drop acknowledged messages silently; bytes bound the memory.
max_queued_messages 0
max_queued_bytes {MAX_QUEUED_BYTES}
# Each is copied for a subscriber that does not read; agents allow as many.
max_inflight_messages 32
max_packet_size {MAX_PACKET_BYTES}
max_keepalive 3600
set_tcp_nodelay true

log_dest stderr
log_type error
log_type warning
log_type notice
connection_messages false
{_simulation(places.rules, address.simulation) if address.simulation else ""}"""


def _simulation(rules: Path, door: Path) -> str:
    return f"""
# The folder, and with it this socket, is its owner's alone.
listener 0 {door}
allow_anonymous true
acl_file {rules}/acl
"""
