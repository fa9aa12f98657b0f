"""Open Inference Protocol v2 (https://github.com/kserve/open-inference-protocol), all required parts, and binary tensors.

A tensor's declared shape is held against the model's before anything is made of it; the JSON around it is bounded by
what a tensor of that model can need. Knows tensors, not files.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from handful import __version__
from handful.files import shown, to_json
from handful.web.problems import Problem
from handful.web.service import Service
from handful.workflow.serve import BATCH, ServedModel

MAX_HEAD = 1 << 16  # bytes of JSON before binary tensors
SPARE = 1000  # brackets and commas besides the data
_DATATYPES = {"uint8": "UINT8", "float32": "FP32"}
_OUTPUTS = {"probabilities": "FP32", "logits": "FP32", "label": "BYTES"}


def router(service: Service) -> APIRouter:
    """The routes below /v2."""
    routes = APIRouter(prefix="/v2", tags=["Open Inference Protocol v2"])

    @routes.get("", summary="Server metadata")
    async def server() -> Response:
        return _json({"name": "handful", "version": __version__, "extensions": ["binary_tensor_data"]})

    @routes.get("/health/live", summary="Is the server alive?")
    async def live() -> Response:
        return _json({"live": True})

    @routes.get("/health/ready", summary="May requests be sent? 503 while it stops")
    async def ready() -> Response:
        return _json({"ready": service.ready}, 200 if service.ready else 503)

    async def model(name: str, version: str | None = None) -> Response:
        return _json(metadata(service.model(name, version)))

    async def model_ready(name: str, version: str | None = None) -> Response:
        found = service.model(name, version)
        return _json({"name": found.name, "ready": service.ready}, 200 if service.ready else 503)

    async def infer(request: Request, name: str, version: str | None = None) -> Response:
        return await _infer(service, service.model(name, version), request)

    for path in ("/models/{name}", "/models/{name}/versions/{version}"):
        routes.add_api_route(path, model, methods=["GET"], summary="Model metadata: inputs and outputs")
        routes.add_api_route(path + "/ready", model_ready, methods=["GET"], summary="Is the model ready?")
        routes.add_api_route(path + "/infer", infer, methods=["POST"], summary="Predict decoded items")
    return routes


def metadata(model: ServedModel) -> dict[str, Any]:
    """Model metadata as the protocol has it."""
    n = len(model.classes)
    return {
        "name": model.name, "versions": [model.version], "platform": "onnxruntime_onnx",
        "inputs": [{"name": "input", "datatype": _DATATYPES[model.dtype.name], "shape": [-1, *model.shape]}],
        "outputs": [{"name": name, "datatype": kind, "shape": [-1] if name == "label" else [-1, n]} for name, kind in _OUTPUTS.items()],
        "parameters": {"classes": model.classes, "max_batch": BATCH},
    }  # fmt: skip


async def _infer(service: Service, model: ServedModel, request: Request) -> Response:
    with service.place():
        body = await request.body()
        length = request.headers.get("inference-header-content-length")
        asked, items, outputs = await run_in_threadpool(_parsed, model, body, length)
        found = await service.answer(model, model.infer(items))
    tensors = [_output(name, found[name]) for name in outputs]
    answer: dict[str, Any] = {"model_name": model.name, "model_version": model.version, "outputs": tensors}
    if "id" in asked:
        answer["id"] = asked["id"]
    return _json(answer)


def _output(name: str, values: np.ndarray) -> dict[str, Any]:
    return {
        "name": name, "datatype": _OUTPUTS[name], "shape": list(values.shape), "data": values.ravel().tolist(),
    }  # fmt: skip


def _parsed(model: ServedModel, body: bytes, length: str | None) -> tuple[dict[str, Any], np.ndarray, list[str]]:
    """(request, items [n, *shape], names of outputs) of a body. Raises Problem."""
    at = len(body)
    if length is not None:
        if not length.isdigit() or len(length) > 9 or not 0 < int(length) <= min(len(body), MAX_HEAD):
            raise Problem(400, "Inference-Header-Content-Length does not fit the body")
        at = int(length)
    asked = _bounded(body[:at], 0 if length is not None else BATCH * math.prod(model.shape))
    inputs = asked.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise Problem(400, 'exactly one input is needed: {"inputs": [{...}]}')
    if not isinstance(asked.get("id", ""), str) or len(asked.get("id", "")) > 256:
        raise Problem(400, "id is a string of up to 256 characters")
    shape = _shape(model, inputs[0])
    return asked, _items(model, inputs[0], shape, body[at:]), _outputs(asked)


def _bounded(text: bytes, values: int) -> dict[str, Any]:
    """A JSON object that can hold at most about `values` numbers, however they are nested. Raises Problem."""
    if text.count(b",") > values + SPARE or text.count(b"[") + text.count(b"{") > values + SPARE:
        raise Problem(413, "there is more JSON than the largest batch of this model needs", max_batch=BATCH)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Problem(400, "the body is not JSON") from error
    if not isinstance(found, dict):
        raise Problem(400, "the body is not a JSON object")
    return found


def _shape(model: ServedModel, tensor: dict[str, Any]) -> list[int]:
    """The declared shape, checked against the model's. Raises Problem."""
    wanted = metadata(model)["inputs"][0]
    if tensor.get("name") != wanted["name"]:
        raise Problem(400, f"the model's input is called {wanted['name']!r}")
    if tensor.get("datatype") != wanted["datatype"]:
        raise Problem(400, f"the input's datatype is {wanted['datatype']}")
    shape = tensor.get("shape")
    if (
        not isinstance(shape, list)
        or not all(isinstance(n, int) and not isinstance(n, bool) for n in shape)
        or shape[1:] != list(model.shape)
        or not 1 <= shape[0] <= BATCH
    ):
        raise Problem(400, f"the input's shape is [1 to {BATCH}, {', '.join(map(str, model.shape))}]")
    return shape


def _items(model: ServedModel, tensor: dict[str, Any], shape: list[int], binary: bytes) -> np.ndarray:
    """Items of the checked shape. Raises Problem."""
    size = math.prod(shape)
    parameters = tensor.get("parameters")
    claimed = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    if claimed is not None or binary:
        if claimed != len(binary) or "data" in tensor or len(binary) != size * model.dtype.itemsize:
            raise Problem(
                400, f"the binary tensor has {len(binary)} bytes, its shape needs {size * model.dtype.itemsize}"
            )
        values = np.frombuffer(binary, model.dtype.newbyteorder("<"))
    else:
        try:
            values = np.array(
                tensor.get("data"), np.float64
            )  # a type of its own choice could be strings as long as one
        except (ValueError, TypeError, OverflowError) as error:
            raise Problem(400, "data is not a tensor of numbers") from error
        if values.size != size or values.ndim == 0 or (values.ndim > 1 and list(values.shape) != shape):
            raise Problem(400, f"data holds {values.size} values, the shape needs {size} numbers")
        if model.dtype == np.uint8 and not ((values >= 0) & (values <= 255) & (values == np.floor(values))).all():
            raise Problem(400, "data of UINT8 goes from 0 to 255")
    with np.errstate(over="ignore"):
        items = values.astype(model.dtype).reshape(shape)
    if items.dtype.kind == "f" and not np.isfinite(items).all():
        raise Problem(400, "data holds values that are not finite")
    return items


def _outputs(asked: dict[str, Any]) -> list[str]:
    wanted = asked.get("outputs")
    if not wanted:
        return list(_OUTPUTS)
    names = (
        [row.get("name") if isinstance(row, dict) else None for row in wanted] if isinstance(wanted, list) else [None]
    )
    for name in names:
        if not isinstance(name, str) or name not in _OUTPUTS:
            raise Problem(400, f"there is no output called {shown(str(name)[:80])}", outputs=list(_OUTPUTS))
    return [str(name) for name in dict.fromkeys(names)]


def _json(value: Any, status: int = 200) -> Response:
    return Response(to_json(value), status, media_type="application/json")
