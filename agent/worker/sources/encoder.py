"""Turns one frame into JPEG, in a process of its own that ends with it: whoever serves needs no OpenCV in its memory.

python -m agent.worker.sources.encoder HEIGHT WIDTH MAX_BYTES < pixels > picture.jpg
"""

from __future__ import annotations

import sys
from typing import NoReturn

import numpy as np

from agent.worker.errors import SourceError
from agent.worker.sources.frame import CHANNELS

EXIT_DONE, EXIT_TROUBLE = 0, 1


def main(arguments: list[str]) -> NoReturn:
    """Write the JPEG, or the reason why there is none to the standard error."""
    height, width, max_bytes = map(int, arguments)
    pixels = np.frombuffer(sys.stdin.buffer.read(height * width * CHANNELS), np.uint8).reshape(height, width, CHANNELS)
    try:
        from agent.worker.sources.opencv import jpeg

        sys.stdout.buffer.write(jpeg(pixels, max_bytes))
    except (ImportError, SourceError) as error:
        sys.stderr.write(str(error))
        sys.exit(EXIT_TROUBLE)
    sys.exit(EXIT_DONE)


if __name__ == "__main__":
    main(sys.argv[1:])
