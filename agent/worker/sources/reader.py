"""Touches one camera or folder, in a process of its own: a driver that hangs or a decoder that crashes takes nobody with it.

    python -m agent.worker.sources.reader

It is told its source as a line of JSON on its standard input, for an address may hold a password; each further byte asks for a picture,
which goes to the standard output. What nobody asked for is dropped, so that a picture is never older than the camera makes it.
"""

from __future__ import annotations

import os
import select
from io import FileIO
from typing import TYPE_CHECKING, NoReturn

from agent.leash import leash
from agent.worker.errors import SourceError
from agent.worker.sources.frame import ASK, HEAD, MAX_REASON_BYTES, NOTHING_NEW, PICTURE, TROUBLE, Order

if TYPE_CHECKING:
    from agent.worker.sources.opencv import Eye, Pixels

EXIT_DONE, EXIT_TROUBLE = 0, 1
# Behind whoever serves callers: a picture may be late, and is dropped then.
BEHIND = 5


def main() -> NoReturn:
    """Show pictures until nobody asks any more, or there are none."""
    os.nice(BEHIND)
    asks, answers = FileIO(0), FileIO(os.dup(1), "wb")
    os.dup2(2, 1)  # a library that prints must not be taken for a picture
    status = EXIT_DONE
    try:
        order = Order.model_validate_json(asks.readline())
        _show(_opened(order), asks, answers, is_live=order.source.is_live)
    except SourceError as error:
        reason = str(error).encode()[:MAX_REASON_BYTES]
        _write(answers, HEAD.pack(TROUBLE, len(reason), 0) + reason)
        status = EXIT_TROUBLE
    except BrokenPipeError:
        pass  # the worker has gone
    # A decoder's threads may still wait for a camera that says nothing.
    os._exit(status)


def _opened(order: Order) -> Eye:
    try:
        from agent.worker.sources.opencv import eye_for
    except ImportError as error:
        raise SourceError(f"expected OpenCV to read it, found none ({error}): pip install 'fieldfare[vision]'") from error
    return eye_for(order)


def _show(eye: Eye, asks: FileIO, answers: FileIO, *, is_live: bool) -> None:
    while True:
        if is_live:
            eye.pass_by()
            if not select.select([asks], [], [], 0)[0]:
                continue
        if asks.read(len(ASK)) != ASK:
            return
        _answer(answers, eye.take())


def _answer(answers: FileIO, pixels: Pixels | None) -> None:
    if pixels is None:
        _write(answers, HEAD.pack(NOTHING_NEW, 0, 0))
    else:
        _write(answers, HEAD.pack(PICTURE, *pixels.shape[:2]))
        _write(answers, pixels.data.cast("B"))


def _write(answers: FileIO, raw: bytes | memoryview) -> None:
    rest = memoryview(raw)
    while rest:
        rest = rest[answers.write(rest) :]


if __name__ == "__main__":
    # It must not outlive the worker with the camera in its hands.
    leash()
    main()
