"""POST /predict: the bytes of a file, or a form with several; answers with predictions, and a reason for each file that has none.

A file's name is only repeated, never opened. Knows forms and media types; the door counts the bytes. What is more than a
megabyte waits on disk and is read where it is decoded, so that many large files at once need no more memory than few.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from typing import Any, BinaryIO, cast

from starlette.concurrency import run_in_threadpool
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.responses import Response

from handful.files import shown, to_json
from handful.web.problems import Problem
from handful.web.service import Service
from handful.workflow.serve import ServedModel

# Nothing said: a client's default, such as curl's for --data-binary. What a file is is decided by its first bytes.
_UNSAID = frozenset({"", "application/octet-stream", "application/x-www-form-urlencoded"})
SPOOL_BYTES = 1 << 20  # of a file in memory; Starlette's forms do the same
_FIELD_BYTES = 4096  # of a form's field that is no file


async def predict(service: Service, request: Request, name: str | None) -> Response:
    """One file in the body: its prediction. A form: {"predictions": [...]}, in the order of its files."""
    model = service.model(name)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await _several(service, model, request)
    if kind not in _UNSAID and not kind.startswith(f"{model.modality}/"):
        raise Problem(
            415, f"{shown(kind[:80])} is not what this model reads",
            hint=f"send {model.modality}/..., application/octet-stream or multipart/form-data",
        )  # fmt: skip
    with service.place():
        async with _received(request) as file:
            return _json(await service.answer(model, model.predict(file)))


@contextlib.asynccontextmanager
async def _received(request: Request) -> AsyncIterator[BinaryIO]:
    """The body as an open file. Raises Problem."""
    size = 0
    with tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES) as file:
        try:
            async for part in request.stream():
                size += len(part)
                if size <= SPOOL_BYTES:
                    file.write(part)
                else:
                    await run_in_threadpool(file.write, part)
        except OSError as error:
            raise Problem(507, "the server has no room for a file of this size") from error
        if not size:
            raise Problem(422, "the body is empty: send the bytes of a file")
        yield cast(BinaryIO, file)


async def _several(service: Service, model: ServedModel, request: Request) -> Response:
    try:
        async with request.form(
            max_files=service.limits.parts, max_fields=service.limits.parts, max_part_size=_FIELD_BYTES
        ) as form:
            files = [(upload.filename, upload) for _, upload in form.multi_items() if not isinstance(upload, str)]
            if not files:
                raise Problem(422, "the form holds no file", hint="curl -F file=@photo.jpg")
            rows = await asyncio.gather(*(_one(service, model, name, upload) for name, upload in files))
    except MultiPartException as error:
        raise Problem(400, f"the form cannot be read: {shown(error.message)}") from error
    except Exception as error:
        if type(error).__module__.startswith("starlette.exceptions"):
            raise Problem(400, f"the form cannot be read: {shown(str(getattr(error, 'detail', '')))}") from error
        raise
    if all("error" in row for row in rows):
        status = {row["error"]["status"] for row in rows}
        raise Problem(status.pop() if len(status) == 1 else 422, "no file of the form could be predicted", files=rows)
    return _json({"predictions": rows})


async def _one(service: Service, model: ServedModel, name: str | None, upload: Any) -> dict[str, Any]:
    row: dict[str, Any] = {"file": shown((name or "")[:255])}
    try:
        with service.place():
            return row | await service.answer(model, model.predict(upload.file))
    except Problem as problem:
        if problem.status in (429, 503):  # the whole request is to be sent again
            raise
        reason = {"status": problem.status, "detail": problem.detail, "hint": problem.more.get("hint", "")}
        return row | {"error": {key: value for key, value in reason.items() if value}}


def _json(value: Any) -> Response:
    return Response(to_json(value), media_type="application/json")
