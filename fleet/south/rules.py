"""Decides who may say what to the broker, which knows everybody by the name in his certificate."""

from __future__ import annotations

from collections.abc import Iterable

from contracts.topics import CHUNKS, DOWNLINKS, PREFIX, TRUST, UPLINKS

FLEET_USER = "fleet"
VIEWER_USER = "viewer"
# Where the broker takes the order to end connections; answered below it.
KICKS = "$CONTROL/dynamic-security/v1"


def emqx_rules(revoked: Iterable[str] = ()) -> str:
    """Return the same rules for EMQX (its file of ACL rules, in Erlang's terms): the first that fits decides, the last refuses.

    There a rule binds what is subscribed to and not each message, so the viewer is given leaves by name and no tree.
    """
    own = "${username}"
    leaves = [*UPLINKS, *DOWNLINKS]
    rules = [
        *((f'{{username, "{device}"}}', "deny", "all", ["#"]) for device in revoked),
        (f'{{username, "{FLEET_USER}"}}', "allow", "all", [f"{PREFIX}/#", KICKS]),
        (f'{{username, "{VIEWER_USER}"}}', "allow", "subscribe", [f"{PREFIX}/+/{leaf}" for leaf in leaves]),
        ("all", "allow", "publish", [*(f"{PREFIX}/{own}/{leaf}" for leaf in UPLINKS), f"{PREFIX}/{own}/command/+/result"]),
        (
            "all",
            "allow",
            "subscribe",
            [
                *(f"{PREFIX}/{own}/{leaf}" for leaf in DOWNLINKS),
                *(f"{PREFIX}/{own}/{tree}/#" for tree in ("command", "chunk")),
                *(f"{tree}/#" for tree in (CHUNKS, TRUST)),
            ],
        ),
    ]
    return "\n".join([*(_erlang(*rule) for rule in rules), "{deny, all}."]) + "\n"


def _erlang(who: str, verdict: str, what: str, topics: Iterable[str]) -> str:
    quoted = ", ".join(f'"{topic}"' for topic in topics)
    return f"{{{verdict}, {who}, {what}, [{quoted}]}}."


def acl_file(revoked: Iterable[str] = ()) -> str:
    """Return the broker's rules; `%u` is the user, which for a device is its id.

    Patterns bind every user, so the trees that all may read are patterns too, although they name nobody. A revoked device is denied
    everything besides: it may have shown its certificate, before that was revoked, on a connection on which it says its name only now.
    """
    lines = [
        f"user {FLEET_USER}",
        f"topic readwrite {PREFIX}/#",
        f"topic write {KICKS}",
        "",
        f"user {VIEWER_USER}",
        f"topic read {PREFIX}/#",
        # Pictures and logs are for those who may ask for them.
        f"topic deny {PREFIX}/+/command/#",
        "",
        *(f"pattern write {PREFIX}/%u/{leaf}" for leaf in UPLINKS),
        f"pattern write {PREFIX}/%u/command/+/result",
        *(f"pattern read {PREFIX}/%u/{leaf}" for leaf in DOWNLINKS),
        f"pattern read {PREFIX}/%u/command/#",
        f"pattern read {PREFIX}/%u/chunk/#",
        f"pattern read {CHUNKS}/#",
        f"pattern read {TRUST}/#",
        *(line for device in revoked for line in ("", f"user {device}", "topic deny #")),
    ]
    return "\n".join(lines) + "\n"
