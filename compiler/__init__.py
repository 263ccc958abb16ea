"""The host: a trained model in, a signed-off bundle out."""

import os

# Since 1.29 ONNX Runtime reports its use to its maker from the moment it is imported; a compiler has nothing to report to anyone.
# It reads this only while it loads, so it is said here, before any part of this package can import it. A value already set stays.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
