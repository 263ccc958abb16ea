"""The usual way to serve an ONNX model from Python: FastAPI on uvicorn, here for the same protocol and the same binary tensors."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI, Request, Response

from contracts.manifest import Manifest, decode_manifest
from contracts.tensors import NUMPY_DTYPES


def build_app(folder: Path, manifest: Manifest) -> FastAPI:
    """Serve a bundle's CPU artifact; the model runs in the event loop, the fastest that this way has for small models."""
    artifact = manifest.artifacts["cpu"]
    raw, inner, scores = manifest.inputs[0], artifact.inputs[0], artifact.outputs[0]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(folder / artifact.file), options, providers=["CPUExecutionProvider"])
    app = FastAPI()

    @app.post(f"/v2/models/{manifest.name}/infer")
    async def infer(request: Request) -> Response:
        body = await request.body()
        head_bytes = int(request.headers["inference-header-content-length"])
        asked = json.loads(body[:head_bytes])
        sample = np.frombuffer(body, NUMPY_DTYPES[raw.datatype], offset=head_bytes).reshape(asked["inputs"][0]["shape"])
        prepared = manifest.preprocess.apply(sample).reshape(inner.shape)
        values = session.run([scores.name], {inner.name: prepared})[0]
        tail = values.tobytes()
        described = {
            "name": scores.name,
            "datatype": scores.datatype,
            "shape": values.shape,
            "parameters": {"binary_data_size": len(tail)},
        }
        head = json.dumps({"model_name": manifest.name, "outputs": [described]}).encode()
        return Response(head + tail, headers={"Inference-Header-Content-Length": str(len(head))}, media_type="application/octet-stream")

    return app


if __name__ == "__main__":
    bundle = Path(sys.argv[1])
    manifest = decode_manifest((bundle / "manifest.json").read_bytes())
    uvicorn.run(build_app(bundle, manifest), host="127.0.0.1", port=int(sys.argv[2]), log_level="warning", access_log=False)
