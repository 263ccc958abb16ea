"""What every test of the compiler needs before its first import."""

import os

# As in compiler/__init__.py: a test that imports onnxruntime by itself must not report to anyone either.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
