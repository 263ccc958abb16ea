"""Decides which messages wait for the link, which are merged and which are given up: bounded in bytes and age, every loss counted.

Letters lie in drawers, oldest first. The newest drawer takes what comes; the oldest one is being sent, and may have been sent in part
already, by this process or by the one before: it is never merged, so that nothing can be counted twice. When there is no room, the windows
of two neighbouring drawers are merged pairwise, those first that were merged least often; only when nothing is left to merge, the oldest
windows are given up, and other messages after them.
"""

from __future__ import annotations

from collections.abc import Callable

from agent.core.drawers import DRAWER_BYTES, DRAWER_S, Drawer, Label, Letter, label_of, pair_to_merge
from agent.core.merging import halved, parts_of
from agent.core.shelf import Dropped, Limits, Shelf
from agent.errors import StateError

# So much may wait in memory while the disk takes nothing.
MAX_MEMORY_BYTES = 1 << 20
MAX_DRAWERS = 1024
# Messages that are no windows go first once they fill more than this share of the room.
EVENTS_SHARE = 0.5


class Outbox:
    """A queue in drawers; it never fails, and says in `trouble` why the disk does not take its letters."""

    def __init__(self, shelf: Shelf, limits: Limits, clock_s: Callable[[], float]) -> None:
        """Take up what the process before left; `clock_s` only ever grows, and may start anew with each process."""
        self.trouble = ""
        self.dropped = Dropped()
        self._shelf = shelf
        self._limits = limits
        self._drawers: list[Drawer] = []
        self._active: Drawer | None = None
        # Files that could not be removed.
        self._litter: list[Label] = []
        self._unsynced: set[Label] = set()
        self._take_up()
        self._next = self._drawers[-1].label.last + 1 if self._drawers else 0
        newest_s = max((drawer.label.opened_s for drawer in self._drawers), default=0)
        self._clock_s = clock_s
        # Ages count on from where the process before left off, whatever any clock says.
        self._offset_s = newest_s - clock_s()

    @property
    def size(self) -> int:
        """Return the bytes that wait."""
        return sum(drawer.size for drawer in self._drawers)

    def limit(self, limits: Limits) -> None:
        """Keep to other limits from now on; what is too much by them goes at the next letter, what is too old at the next `tend`."""
        self._limits = limits

    def put(self, letter: Letter) -> None:
        """Queue a letter; it outlives this process, unless there is trouble."""
        drawer = self._open_drawer()
        assert drawer.letters is not None  # the newest drawer is open
        drawer.letters.append(letter)
        drawer.count((letter,))
        drawer.file_bytes += letter.size
        if drawer.is_kept:
            try:
                self._shelf.append(drawer.label, letter)
                self._unsynced.add(drawer.label)
            except StateError as error:
                drawer.is_kept = False
                self.trouble = str(error)
        self._make_room()

    def first(self) -> Letter | None:
        """Return the oldest letter and keep it."""
        while self._drawers:
            head = self._drawers[0]
            letters = self._open(head)
            if letters:
                return letters[0]
            if head is self._active:
                return None
            self._discard(head)
        return None

    def remove(self, letter: Letter) -> None:
        """Take out a letter that arrived; it may have been given up meanwhile."""
        head = self._drawers[0] if self._drawers else None
        if head is not None and head.letters and head.letters[0] is letter:
            head.count((head.letters.pop(0),), -1)
            if not head.letters:
                self._empty(head)

    def refuse(self, letter: Letter) -> None:
        """Give up a letter that the broker never takes."""
        self.remove(letter)
        self._lose(Dropped(windows=parts_of(letter)) if letter.is_window else Dropped(others=1))

    def tend(self) -> None:
        """Give up what is too old, and try the disk again where it failed."""
        for drawer in list(self._drawers):
            if drawer.windows and self._now_s() - drawer.label.opened_s > self._limits.max_age_s:
                self._give_up(drawer, windows=True)
        was_in_trouble, self.trouble = bool(self.trouble), ""
        for drawer in self._drawers:
            if not drawer.is_kept and not self.trouble:
                self._keep(drawer)
        if was_in_trouble and not self.trouble:
            # What waited may have been sent meanwhile, and then nothing was written that would show that the disk takes it.
            self._count(self.dropped)
        litter, self._litter = self._litter, []
        for label in litter:
            self._clear_away(label)

    def take_unsynced(self) -> frozenset[Label]:
        """Return the files that grew since this was asked last: a power cut may take what they got."""
        unsynced, self._unsynced = frozenset(self._unsynced), set()
        return unsynced

    def fail(self, error: StateError) -> None:
        """Take note that the disk did not bring its files to rest: the newest one is written anew at the next `tend`."""
        self.trouble = str(error)
        if self._active is not None:
            self._active.is_kept = False

    def told(self, dropped: Dropped) -> None:
        """Count anew after the fleet was told."""
        self._count(Dropped(self.dropped.windows - dropped.windows, self.dropped.others - dropped.others))

    def _now_s(self) -> float:
        return self._clock_s() + self._offset_s

    def _take_up(self) -> None:
        try:
            labels = sorted(self._shelf.labels())
            self.dropped = self._shelf.dropped()
        except StateError as error:
            self.trouble = str(error)
            return
        for label in labels:
            if any(other.covers(label) for other in labels):
                self._clear_away(label)  # the process before ended between writing the one and removing the other
                continue
            drawer = Drawer(label, None, [label])
            self._open(drawer)
            drawer.letters = None
            self._drawers.append(drawer)

    def _open_drawer(self) -> Drawer:
        now_s, active = int(self._now_s()), self._active
        if active is not None and (active.file_bytes >= DRAWER_BYTES or now_s - active.label.opened_s > DRAWER_S):
            self._active = None
            if not active.size:
                self._discard(active)
            elif active.is_kept and active is not self._drawers[0]:
                active.letters = None
        if self._active is None:
            label = Label(self._next, self._next, 0, now_s)
            self._next += 1
            self._active = Drawer(label, [], [label])
            self._drawers.append(self._active)
        return self._active

    def _open(self, drawer: Drawer) -> list[Letter]:
        if drawer.letters is not None:
            return drawer.letters
        windows, events = drawer.windows, drawer.events
        try:
            letters = self._shelf.read(drawer.label)
        except StateError as error:
            self.trouble, letters = str(error), []
        drawer.recount(letters)
        lost = Dropped(max(0, windows - drawer.windows), max(0, events - drawer.events))
        if lost != Dropped():
            self._lose(lost)
        return letters

    def _make_room(self) -> None:
        while self.size > self._limits.max_bytes or len(self._drawers) > MAX_DRAWERS:
            self._shrink(in_memory=False)
        while sum(drawer.size for drawer in self._drawers if not drawer.is_kept) > MAX_MEMORY_BYTES:
            self._shrink(in_memory=True)

    def _shrink(self, *, in_memory: bool) -> None:
        # Neither what is being sent nor what still grows.
        pair = pair_to_merge(self._drawers[1:-1], in_memory=in_memory)
        if pair is not None:
            self._merge(*pair)
            return
        drawers = [drawer for drawer in self._drawers if not (in_memory and drawer.is_kept)]
        windows = next((drawer for drawer in drawers if drawer.windows), None)
        others = next((drawer for drawer in drawers if drawer.events), None)
        are_many = sum(drawer.event_bytes for drawer in drawers) > EVENTS_SHARE * sum(drawer.size for drawer in drawers)
        if windows is not None and (others is None or not are_many):
            self._give_up(windows, windows=True)
        elif others is not None:
            self._give_up(others, windows=False)

    def _merge(self, older: Drawer, newer: Drawer) -> None:
        letters = halved([*self._open(older), *self._open(newer)])
        one = Drawer(label_of(older.label, newer.label), letters, [*older.files, *newer.files], is_kept=False)
        one.count(letters)
        place = self._drawers.index(older)
        self._drawers[place : place + 2] = [one]
        if not self.trouble:
            self._keep(one)

    def _give_up(self, drawer: Drawer, *, windows: bool) -> None:
        letters = self._open(drawer)
        gone = [letter for letter in letters if letter.is_window is windows]
        drawer.letters = [letter for letter in letters if letter.is_window is not windows]
        drawer.count(gone, -1)
        self._lose(Dropped(windows=sum(map(parts_of, gone))) if windows else Dropped(others=len(gone)))
        if not drawer.letters:
            self._empty(drawer)
        else:
            drawer.is_kept = False
            self._keep(drawer)

    def _keep(self, drawer: Drawer) -> None:
        assert drawer.letters is not None  # what the disk does not have is in memory
        try:
            self._shelf.write(drawer.label, drawer.letters)
        except StateError as error:
            self.trouble = str(error)
            return
        stale = [label for label in drawer.files if label != drawer.label]
        drawer.files, drawer.is_kept = [drawer.label], True
        for label in stale:
            self._clear_away(label)
        if drawer is not self._active and drawer is not self._drawers[0]:
            drawer.letters = None

    def _empty(self, drawer: Drawer) -> None:
        """Let a drawer without letters go, or serve again: a new file for each letter would wear the disk."""
        if drawer is self._active and drawer.is_kept:
            try:
                self._shelf.empty(drawer.label)
            except StateError as error:
                self.trouble = str(error)
            else:
                drawer.file_bytes = 0
                return
        self._discard(drawer)

    def _discard(self, drawer: Drawer) -> None:
        self._drawers.remove(drawer)
        if drawer is self._active:
            self._active = None
        for label in drawer.files:
            self._clear_away(label)

    def _clear_away(self, label: Label) -> None:
        try:
            self._shelf.remove(label)
        except StateError:
            self._litter.append(label)

    def _lose(self, lost: Dropped) -> None:
        self._count(Dropped(self.dropped.windows + lost.windows, self.dropped.others + lost.others))

    def _count(self, dropped: Dropped) -> None:
        self.dropped = dropped
        try:
            self._shelf.count(dropped)
        except StateError as error:
            self.trouble = str(error)
