"""Runs before every start of the service, as root: goes back to the good version when an upgrade was cut off."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.adapters.unit_files import UnitFiles

NOTE = "upgrade.json"


def main() -> None:
    """Look at the prefix given as the only argument; nothing but a note of a trial is worth an import."""
    prefix = Path(sys.argv[1])
    if not (prefix / NOTE).exists():
        return
    from agent.adapters.environments import Environments
    from agent.adapters.unit_files import UnitFiles
    from agent.core.upgrade import at_start

    environments = Environments(prefix)
    with environments.lead() as is_ours:
        name = at_start(environments.trial(), is_led=not is_ours)
        units = UnitFiles(prefix)
        if name is not None:
            environments.point("current", name)
            was = ", with its unit" if _put_back(units) else ""
            sys.stderr.write(f"an upgrade was cut off: back to version {name}{was}\n")
        if is_ours:
            environments.end()
            units.forget()


def _put_back(units: UnitFiles) -> bool:
    from agent.errors import InstallError

    try:
        return units.restore()
    except InstallError as error:
        # The version that was good serves by the other one's unit, which is better than not at all.
        sys.stderr.write(f"{error}\n")
        return False


if __name__ == "__main__":
    main()
