"""Does a step, or says what an earlier compilation found by the very same step on the very same content."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from compiler.cache.ground import ground
from compiler.cache.key import key_of
from compiler.cache.port import Store
from contracts.codec import Json, sha256_of

Result = TypeVar("Result")
# What reading an entry of another form raises; protobuf's DecodeError and pydantic's ValidationError are among them.
UNREADABLE = (ValueError, KeyError, TypeError, IndexError, AttributeError)


@dataclass(frozen=True)
class Step(Generic[Result]):
    """A step that is worth remembering, and the form that its result has in bytes."""

    name: str
    pack: Callable[[Result], bytes]
    unpack: Callable[[bytes], Result]


@dataclass(frozen=True)
class Recalled(Generic[Result]):
    """A step's result; `sha256` names its content in the keys of the steps that read it."""

    value: Result
    sha256: str
    is_earlier: bool


@dataclass(frozen=True)
class Done:
    """What became of one step, for people: `subject` is what it was done for, such as a target."""

    step: str
    subject: str
    is_earlier: bool


@dataclass
class Memory:
    """Where earlier compilations are remembered, and the steps of this one as they are done."""

    store: Store
    done: list[Done] = field(default_factory=list)
    ground: str = field(default_factory=ground)

    def recall(
        self, step: Step[Result], parts: Mapping[str, Json] | None, make: Callable[[], Result], subject: str = ""
    ) -> Recalled[Result]:
        """Return the step's result: found where `parts`, which decide it wholly, were met before, or made and remembered now.

        Without parts, as where the user's own code is called, it is always made. Either way what comes back has been through its
        bytes, so that no later step can tell one from the other.
        """
        key = None if parts is None else key_of(step.name, self.ground, parts)
        recalled = None if key is None else self._found(step, key)
        if recalled is None:
            content = step.pack(make())
            if key is not None:
                self.store.put(key, content)
            recalled = Recalled(step.unpack(content), sha256_of(content), is_earlier=False)
        self.done.append(Done(step.name, subject, recalled.is_earlier))
        return recalled

    def _found(self, step: Step[Result], key: str) -> Recalled[Result] | None:
        content = self.store.get(key)
        try:
            return None if content is None else Recalled(step.unpack(content), sha256_of(content), is_earlier=True)
        except UNREADABLE:
            return None
