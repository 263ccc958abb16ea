"""Decides who may ask what of the served model: routes, the token, and the way of an infer request."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from functools import partial
from time import perf_counter

from pydantic import BaseModel

from agent.runtimes.installed import installed_version
from agent.runtimes.port import Arrays
from agent.worker.engine import Engine
from agent.worker.errors import BadRequestError, OverloadedError, UnspeakableOutputError
from agent.worker.http import BINARY, JSON, Head, Request, Response
from agent.worker.mirror import Mirror, Sample
from agent.worker.model import Model
from agent.worker.oip import InferRequest, Signature, decode_request, encode_response, open_shape
from agent.worker.statistics import Statistics
from contracts.errors import FieldfareError
from contracts.tensors import TensorSpec

PLATFORMS = {"onnx": "onnxruntime_onnx", "litert": "tflite"}
# Health is no secret; all else over TCP takes the token.
LIVE, READY = "/v2/health/live", "/v2/health/ready"


class ServerMetadata(BaseModel, frozen=True):
    """GET /v2."""

    name: str = "fieldfare"
    version: str
    extensions: tuple[str, ...] = ("binary_tensor_data",)


class ServerLive(BaseModel, frozen=True):
    """GET /v2/health/live."""

    live: bool = True


class ServerReady(BaseModel, frozen=True):
    """GET /v2/health/ready."""

    ready: bool = True


class ModelReady(BaseModel, frozen=True):
    """GET /v2/models/{name}/ready."""

    name: str
    ready: bool = True


class TensorMetadata(BaseModel, frozen=True):
    """One input or output; a size of -1 may be any."""

    name: str
    datatype: str
    shape: tuple[int, ...]


class ModelMetadata(BaseModel, frozen=True):
    """GET /v2/models/{name}; outputs are the model's own, then the results of the release's postprocess."""

    name: str
    versions: tuple[str, ...]
    platform: str
    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]


class ModelService:
    """Serves one model under its name, with or without its version; a worker serves only a release that is ready."""

    def __init__(self, model: Model, engine: Engine, statistics: Statistics, mirror: Mirror, token: bytes) -> None:
        manifest, artifact = model.manifest, model.artifact
        self.signature = Signature(
            model=manifest.name,
            version=str(manifest.release),
            inputs=manifest.inputs,
            outputs=(*artifact.outputs, *model.results),
            preprocess=manifest.preprocess,
            images=model.image_inputs,
        )
        self._results = {spec.name for spec in model.results}
        self._model = model
        self._engine = engine
        self._statistics = statistics
        self._mirror = mirror
        self._authorization = b"Bearer " + token
        metadata = ModelMetadata(
            name=manifest.name,
            versions=(self.signature.version,),
            platform=PLATFORMS[artifact.runtime],
            inputs=tuple(self._described(spec) for spec in self.signature.inputs),
            outputs=tuple(self._described(spec) for spec in self.signature.outputs),
        )
        model_path = f"/v2/models/{manifest.name}"
        bases = (model_path, f"{model_path}/versions/{manifest.release}")
        self._documents = {
            "/v2": Response.of(ServerMetadata(version=installed_version("fieldfare") or "unknown")),
            LIVE: Response.of(ServerLive()),
            READY: Response.of(ServerReady()),
            **{base: Response.of(metadata) for base in bases},
            **{f"{base}/ready": Response.of(ModelReady(name=manifest.name)) for base in bases},
        }
        self._bases = bases
        self._infer_paths = {f"{base}/infer" for base in bases}
        self._pages: dict[str, Callable[[], Response]] = {}

    def show(self, leaf: str, page: Callable[[], Response]) -> None:
        """Answer GET on the model's path with `leaf` by a page that changes; the protocol knows none."""
        self._pages |= {f"{base}/{leaf}": page for base in self._bases}

    def refuse(self, head: Head) -> Response | None:
        """Refuse strangers, unknown paths and wrong methods before a body is read."""
        is_public = head.path in (LIVE, READY)
        if not (is_public or head.is_trusted or self._is_authorized(head)):
            return Response.error(401, "authorization: expected the bearer token of this device, found none or another")
        is_infer = head.path in self._infer_paths
        if not is_infer and head.path not in self._documents and head.path not in self._pages:
            return Response.error(404, self._lost(head.path))
        if head.method != ("POST" if is_infer else "GET"):
            return Response.error(405, f"method: expected {'POST' if is_infer else 'GET'}, found {head.method}")
        if is_infer and b"content-length" not in head.headers and b"transfer-encoding" not in head.headers:
            return Response.error(411, "body: expected Content-Length, found none")
        if head.headers.get(b"content-encoding", b"identity") != b"identity":
            return Response.error(415, "body: expected no Content-Encoding, found one")
        return None

    def _lost(self, path: str) -> str:
        """Say what is served instead of what was asked for."""
        if path in {f"{base}/latest" for base in self._bases}:
            return "path: expected a model that looks by itself, found no [[source]] for it in agent.toml"
        model, version = self.signature.model, self.signature.version
        return f"path: expected /v2, or /v2/models/{model} of version {version} with nothing, /ready or /infer behind it, found another"

    def answer(self, request: Request, done: Callable[[Response], None]) -> Response | None:
        """Answer a request that was not refused."""
        path = request.head.path
        if path in self._infer_paths:
            return self._infer(request, done)
        return self._pages[path]() if path in self._pages else self._documents[path]

    def _infer(self, request: Request, done: Callable[[Response], None]) -> Response | None:
        try:
            wanted = decode_request(self.signature, request.body, _json_bytes(request.head))
            with_results = any(output.spec.name in self._results for output in wanted.wanted)
            sample = self._mirror.sample()
            answer = self._model.answer if sample is None else sample.answer
            work = partial(answer, wanted.inputs, wanted.count, with_results=with_results)

            def answered(outputs: Arrays | FieldfareError) -> None:
                done(self._outcome(request, wanted, outputs))
                self._show(sample, outputs)

            self._engine.submit(work, answered)
        except BadRequestError as error:
            return self._failure(request, 400, error)
        except OverloadedError as error:
            return self._failure(request, 503, error)
        return None

    def _show(self, sample: Sample | None, outputs: Arrays | FieldfareError) -> None:
        """Once the caller has his answer, let a candidate in shadow see it."""
        if sample is not None and not isinstance(outputs, FieldfareError):
            self._mirror.show(sample, outputs)

    def _outcome(self, request: Request, wanted: InferRequest, outputs: Arrays | FieldfareError) -> Response:
        if isinstance(outputs, FieldfareError):
            return self._failure(request, 500, outputs)
        try:
            body, json_bytes = encode_response(self.signature, wanted, outputs)
        except ValueError:
            return self._failure(request, 500, UnspeakableOutputError())
        self._statistics.record_answer(perf_counter() - request.received_at, self._model.winners(outputs, wanted.count))
        return Response(200, body, JSON if json_bytes is None else BINARY, json_bytes)

    def _described(self, spec: TensorSpec) -> TensorMetadata:
        return TensorMetadata(name=spec.name, datatype=spec.datatype, shape=open_shape(self.signature, spec))

    def _failure(self, request: Request, status: int, error: FieldfareError) -> Response:
        self._statistics.record_error(perf_counter() - request.received_at)
        return Response.error(status, str(error))

    def _is_authorized(self, head: Head) -> bool:
        return hmac.compare_digest(head.headers.get(b"authorization", b""), self._authorization)


def _json_bytes(head: Head) -> int | None:
    text = head.headers.get(b"inference-header-content-length")
    if text is None:
        return None
    if not text.isdigit() or len(text) > 10:
        raise BadRequestError("Inference-Header-Content-Length: expected a number of bytes, found something else")
    return int(text)
