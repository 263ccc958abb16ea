"""Puts together our keys, what they sign, and what is wished of each device."""

from __future__ import annotations

from datetime import datetime

from fleet.home import Home
from fleet.release.envelope import WishSigner
from fleet.release.keys import KeyFolder
from fleet.release.repository import Repository
from fleet.release.trust_desk import TrustDesk
from fleet.settings import Settings
from fleet.south.director import Director
from fleet.south.trust import TrustPublisher
from fleet.store.database import Database
from fleet.store.wishes import WishStore
from fleet.wall_clock import utc_now
from fleet.wiring.broker_side import BrokerSide


class Trust:
    """What devices believe, and by which keys."""

    def __init__(self, home: Home, settings: Settings, database: Database, south: BrokerSide) -> None:
        """Make the keys and their first metadata, or take over those that were made elsewhere."""
        keys = KeyFolder(home.keys)
        self.repository = Repository(home.trust, keys)
        if settings.trust is None:
            self.repository.create(utc_now())
        else:
            self.repository.take_over(settings.trust, utc_now())
        self.publisher = TrustPublisher(self.repository, south.control_link)
        self.signer = WishSigner(lambda: keys.signer("director"))
        self.wishes = WishStore(database)
        self.director = Director(self.wishes, self.signer, south.control_link)
        self.desk = TrustDesk(self.repository, keys, home.trust_change, self._follow)
        self.desk.finish(utc_now())

    def _follow(self, now: datetime, is_other_director: bool) -> None:
        """Speak with the keys that devices are told to trust from now on."""
        if is_other_director:
            self.signer.reload()
            self.director.sign_all_again(now)
        self.publisher.changed()
