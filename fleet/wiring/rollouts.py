"""Puts together who finds devices, brings them releases and settings, and follows how they do."""

from __future__ import annotations

from fleet.conductor import Conductor
from fleet.ear import Ear
from fleet.group_desk import GroupDesk
from fleet.preview import Preview
from fleet.recruiter import Recruiter
from fleet.release.packages import PackageShelf
from fleet.rollout_desk import RolloutDesk
from fleet.settings_desk import SettingsDesk
from fleet.store.artifacts import ArtifactStore
from fleet.store.configurations import ConfigurationStore
from fleet.store.database import Database
from fleet.store.devices import DeviceStore
from fleet.store.groups import GroupStore
from fleet.store.heat import HeatStore
from fleet.store.releases import ReleaseStore
from fleet.store.restarts import RestartStore
from fleet.store.rollouts import RolloutStore
from fleet.store.roster import Roster
from fleet.store.shadows import ShadowStore
from fleet.store.words import WordStore
from fleet.store.work import WorkStore
from fleet.targeting import Targeting
from fleet.testimony import Records
from fleet.wiring.trust import Trust
from fleet.witness import Witness


class Rollouts:
    """Releases and settings on their way to devices."""

    def __init__(self, database: Database, artifacts: ArtifactStore, trust: Trust) -> None:
        """Read what the server last knew of devices."""
        self.devices = DeviceStore(database)
        self.roster = Roster(database)
        self.releases = ReleaseStore(database)
        group_store = GroupStore(database)
        self.targeting = Targeting(self.roster, group_store, PackageShelf(artifacts))
        self.groups = GroupDesk(group_store, self.devices, self.targeting, self.roster)
        rollouts = RolloutStore(database)
        recruiter = Recruiter(self.releases, self.targeting, trust.wishes)
        records = Records(WorkStore(database), HeatStore(database), RestartStore(database), ShadowStore(database))
        witness = Witness(records, self.devices, WordStore(database))
        self.conductor = Conductor(rollouts, Ear(self.roster), trust.director, witness, recruiter)
        self.desk = RolloutDesk(rollouts, recruiter)
        self.preview = Preview(self.releases, self.targeting)
        self.settings_desk = SettingsDesk(self.targeting, self.devices, ConfigurationStore(database), trust.director)
