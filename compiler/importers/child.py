"""What the importing process does: reads one source, and writes the graph or the refusal into its reply file."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from compiler.errors import ModelError
from compiler.importers.dispatch import read_model


def main(arguments: list[str]) -> None:
    """Write one line of JSON, null or a refusal's parts, and after null the serialized model."""
    reply, source, shapes = arguments
    given = {str(name): tuple(int(size) for size in shape) for name, shape in json.loads(shapes).items()}
    try:
        model = read_model(source, given).SerializeToString()
    except ModelError as error:
        Path(reply).write_text(json.dumps([error.place, error.field, error.expected, error.found]) + "\n")
    else:
        Path(reply).write_bytes(b"null\n" + model)


if __name__ == "__main__":
    main(sys.argv[1:])
