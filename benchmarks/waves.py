"""How long the server's turns are while a rollout goes through ten thousand devices: CPU time, on a real database with real signatures."""

from __future__ import annotations

import tempfile
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import NoReturn

from benchmarks.bars import Bar, finish, parser
from benchmarks.prune_steps import measured
from contracts import codec
from contracts.lifecycle import Phase
from contracts.messages import Birth, Machine, ModelReport, ReleaseRef, Reported
from fleet.conductor import Conductor
from fleet.core.devices import Device
from fleet.core.rollout.enlist import arranged
from fleet.core.rollout.history import Entry
from fleet.core.rollout.model import Member, Rollout
from fleet.core.rollout.plan import Plan, Size, Strategy
from fleet.ear import Ear
from fleet.recruiter import Recruiter
from fleet.release.envelope import WishSigner
from fleet.release.keys import KeyFolder
from fleet.release.packages import PackageShelf
from fleet.south.director import Director
from fleet.store.artifacts import ArtifactStore
from fleet.store.database import Database
from fleet.store.devices import DeviceStore
from fleet.store.groups import GroupStore
from fleet.store.heat import HeatStore
from fleet.store.releases import ReleaseStore
from fleet.store.restarts import RestartStore
from fleet.store.rollouts import RolloutStore
from fleet.store.roster import Roster
from fleet.store.shadows import ShadowStore
from fleet.store.tables import reports
from fleet.store.wishes import WishStore
from fleet.store.words import WordStore
from fleet.store.work import WorkStore
from fleet.targeting import Targeting
from fleet.testimony import Records
from fleet.witness import Witness

DEVICES = 10_000
START = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
OLD = ReleaseRef(model="digits", release=1, manifest_sha256="1" * 64)
NEW = ReleaseRef(model="digits", release=2, manifest_sha256="2" * 64)
MACHINE = Machine(architecture="aarch64", system="linux", python="3.11", cpu_count=4, memory_bytes=1, disk_bytes=1)


class Nowhere:
    """A broker that takes everything."""

    def publish(self, messages: object, *, retain: bool) -> None:
        """Take it."""


class Stage:
    """A fleet in a database, whose devices do at once what they are told."""

    def __init__(self, folder: Path) -> None:
        """Every device has the old release."""
        self.database = Database(folder / "fleet.db")
        self.names = [f"pi-{number:05}" for number in range(DEVICES)]
        store = DeviceStore(self.database)
        store.add_simulated([Device(name, "rpi5", {"simulated": "yes"}, START) for name in self.names])
        keys = KeyFolder(folder / "keys")
        keys.make_missing(("director",))
        self.wishes = WishStore(self.database)
        self.director = Director(self.wishes, WishSigner(lambda: keys.signer("director")), Nowhere())
        self.rollouts, words = RolloutStore(self.database), WordStore(self.database)
        records = Records(WorkStore(self.database), HeatStore(self.database), RestartStore(self.database), ShadowStore(self.database))
        witness = Witness(records, store, words)
        artifacts = ArtifactStore((folder / "artifacts").as_uri())
        roster = Roster(self.database)
        targeting = Targeting(roster, GroupStore(self.database), PackageShelf(artifacts))
        recruiter = Recruiter(ReleaseStore(self.database), targeting, self.wishes)
        self.conductor = Conductor(self.rollouts, Ear(roster), self.director, witness, recruiter)
        self.say(self.names, OLD, START)

    def say(self, names: list[str], current: ReleaseRef, now: datetime) -> None:
        """Let devices tell what they run."""
        sequence = int((now - START).total_seconds() * 1000) + 1
        wishes = self.wishes.of(names) if current is NEW else {}
        stamp = {"session": "a" * 16, "sequence": sequence, "sent_at": now}
        birth = Birth(**stamp, online=True, agent_version="1", hardware="rpi5", targets=("rpi5",), runtimes={}, machine=MACHINE)
        rows = []
        for name in names:
            generation = wishes[name].generation if name in wishes else 0
            said = Reported(**stamp, generation=generation, models={"digits": ModelReport(phase=Phase.COMMITTED, current=current)})
            for leaf, body in (("birth", codec.encode(birth)), ("reported", codec.encode(said))):
                rows.append({"device": name, "leaf": leaf, **stamp, "received_at": now, "body": body.decode()})
        with self.database.writing() as connection:
            for start in range(0, len(names), 500):
                connection.execute(reports.delete().where(reports.c.device.in_(names[start : start + 500])))
            connection.execute(reports.insert(), rows)


def main() -> NoReturn:
    """Follow one rollout, and print how long its turns were."""
    arguments = parser(__doc__ or "").parse_args()
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder))
        plan = Plan(Strategy.PHASED, tuple(Size(share, is_percent=True) for share in (1, 10, 50, 100)), Size(5, is_percent=True))
        members = arranged((Member(name, Phase.PLANNED, OLD, NEW) for name in stage.names), plan, NEW.manifest_sha256)
        stage.rollouts.add(Rollout(0, NEW, "all", plan, "anna", START, members), Entry(START, "anna", "start", ""))
        figures, pruning = follow(stage), measured(stage.database, stage.names, START)
        stage.database.close()
    print(f"pruned {pruning['pruned']:.0f} events in {pruning['steps']:.0f} steps; ingest waited {pruning['longest_wait_s']:.3f} s at most")
    bars = [
        Bar("longest_turn", figures["longest_s"], "<=", 1.0, " s"),
        Bar("idle_turn", figures["idle_s"], "<=", 0.05, " s"),
        Bar("longest_prune_step", pruning["longest_step_s"], "<=", 0.1, " s of CPU"),
        Bar("writes_of_ingest / prune_steps", pruning["writes"] / pruning["steps"], ">=", 0.2),
    ]
    finish("Waves", [{"what": "turns over 10 000 devices, CPU", **figures}], bars, arguments.json)


def follow(stage: Stage) -> dict[str, float]:
    """Take turns until the rollout has ended; CPU seconds."""
    now, told = START, set[str]()
    turns: list[float] = []
    idle: list[float] = []
    while stage.rollouts.open_revisions():
        now += timedelta(seconds=0.25)
        turns.append(_turn(stage, now))
        fresh = sorted({signed.wish.device for signed in stage.wishes.unpublished(DEVICES)} - told)
        told.update(fresh)
        if turns[1:] and not idle:
            idle = [_turn(stage, now) for _ in range(10)][5:]
        if fresh:
            stage.say(fresh, NEW, now)
    return {"turns": len(turns), "first_s": turns[0], "longest_s": max(turns), "mean_s": sum(turns) / len(turns), "idle_s": max(idle)}


def _turn(stage: Stage, now: datetime) -> float:
    begun = time.process_time()
    stage.conductor.turn(now)
    return time.process_time() - begun


if __name__ == "__main__":
    main()
