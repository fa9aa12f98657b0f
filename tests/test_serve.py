"""Serving over a real socket, by the base installation: answers, protocols, limits, and what hostile callers get."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import handful
from handful.errors import HandfulError
from handful.web.files import SPOOL_BYTES
from handful.web.service import Limits
from handful.web.turns import Turns

# As after `pip install handful`: what training needs is not there.
BASE = (
    "import sys; sys.modules.update(dict.fromkeys(['torch', 'torchvision', 'sklearn', 'scipy', 'onnx', 'httpx', 'sounddevice']));"
    "from handful.__main__ import main; main()"
)


@pytest.fixture(autouse=True)
def short_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody balances load here; servers that are processes of their own give the usual notice."""
    monkeypatch.setattr("handful.web.server.NOTICE_S", 0.0)


class Answer:
    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def problem(self, status: int) -> Any:
        """The problem document, which has one shape."""
        assert self.status == status, self.body
        assert self.headers["content-type"] == "application/problem+json"
        found = self.json
        assert {"type", "title", "status", "detail", "request_id"} <= found.keys() and found["status"] == status
        assert found["request_id"] == self.headers["x-request-id"]
        assert "Traceback" not in found["detail"]
        return found


class Client:
    def __init__(self, port: int) -> None:
        self.port = port

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def raw(self, content: bytes, timeout: float = 20.0) -> bytes:
        """Whatever comes back for whatever is sent, until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as connection:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(content)
            return received(connection)


def received(connection: socket.socket) -> bytes:
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


@contextlib.contextmanager
def serving(*arguments: object, **environment: str) -> Iterator[tuple[subprocess.Popen[str], Client, list[str]]]:
    """`handful serve` as a process of its own: (process, client, lines that it printed)."""
    process = subprocess.Popen(
        [sys.executable, "-c", BASE, "serve", *map(str, arguments), "--port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | environment,
    )  # fmt: skip
    assert process.stdout and process.stderr
    try:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        lines = [line] + ([process.stdout.readline()] if "token" in line else [])
        port = re.search(r"http://\S+:(\d+)", line)
        assert port, line
        yield process, Client(int(port[1])), lines
    finally:
        if process.poll() is None:
            process.terminate()
        rest = process.communicate(timeout=30)
        assert "Traceback" not in rest[1], rest[1]


@pytest.fixture(scope="module")
def client(photo_run: Any, sound_run: Any) -> Iterator[Client]:
    with serving(f"photos={photo_run.path}", f"sounds={sound_run.path}") as (_, client, _):
        yield client


@pytest.fixture(scope="module")
def files(photos: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(photos.rglob("*.png"))]


def form(*files: tuple[str, bytes]) -> tuple[bytes, str]:
    parts = [
        f'--xx\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode() + content + b"\r\n"
        for name, content in files
    ]
    return b"".join(parts) + b"--xx--\r\n", "multipart/form-data; boundary=xx"


def same(answer: dict[str, Any], expected: Any) -> bool:
    scores = expected.to_dict()["scores"]
    close = all(abs(answer["scores"][name] - p) < 1e-6 for name, p in scores.items())
    return answer["label"] == expected.label and close and answer["set"] == list(expected.set)


def test_one_line_is_printed_and_sigterm_drains(photo_run: Any, files: list[bytes]) -> None:
    with serving(photo_run.path) as (process, client, lines):
        assert lines[0].startswith("serving photos (2 classes of pictures) at http://127.0.0.1:")
        with ThreadPoolExecutor(24) as pool:
            answers = [pool.submit(client, "POST", "/predict", file) for file in files]
            arrived(client, files)
            process.send_signal(signal.SIGTERM)
            assert [answer.result().status for answer in answers] == [200] * len(files)
        assert process.wait(20) == 0
        assert process.stdout and process.stdout.read() == ""


@pytest.mark.parametrize("signals", [1, 2])
def test_what_is_cut_off_is_counted_in_one_line(photo_run: Any, signals: int) -> None:
    """Bodies that never come whole: there is a limit to the patience, and a second Ctrl-C ends it at once."""
    drain = 1 if signals == 1 else 600
    code = f"import handful.web.server as s; s.DRAIN_S = {drain}; s.serve({str(photo_run.path)!r}, port=0)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    port = re.search(r":(\d+)$", process.stdout.readline().strip())
    assert port
    head = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/png\r\nContent-Length: 1000\r\n\r\nabc"
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", int(port[1]))))
            connection.sendall(head)
        figures = Client(int(port[1]))
        while b"handful_received_bytes_total 6\n" not in figures("GET", "/metrics").body:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        if signals == 2:
            time.sleep(0.7)
            process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    when = "after 1 s" if signals == 1 else "at once"
    assert said.splitlines() == [f"handful: stopped {when}: 2 answers were cut off"]


def test_stopping_is_said_before_it_is_done(photo_run: Any) -> None:
    with serving(photo_run.path) as (process, client, _):
        assert client("GET", "/v2/health/ready").json == {"ready": True}
        connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=10)
        process.send_signal(signal.SIGTERM)
        seen = []
        with contextlib.suppress(ConnectionError, http.client.HTTPException):
            while True:
                connection.request("GET", "/v2/health/ready")
                answer = connection.getresponse()
                answer.read()
                seen.append(answer.status)
        assert 503 in seen and seen == sorted(seen)
        assert process.wait(20) == 0


def test_what_was_begun_is_answered(photo_run: Any, files: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    server = handful.Server([photo_run.path], port=0).start()
    client = Client(server.port)
    batcher = server.application.service.models["photos"].batcher
    run, sizes = batcher._run, []

    def slow(items: np.ndarray) -> np.ndarray:
        sizes.append(len(items))
        time.sleep(0.4)
        return run(items)

    monkeypatch.setattr(batcher, "_run", slow)
    with ThreadPoolExecutor(24) as pool:
        answers = [pool.submit(client, "POST", "/predict", file) for file in files]
        arrived(client, files)
        server.stop()
        assert [answer.result().status for answer in answers] == [200] * len(files)
    assert sum(sizes) == len(files) and max(sizes) > 1  # what waited was answered together
    with pytest.raises(ConnectionError):
        client("GET", "/v2")


def arrived(client: Client, files: list[bytes]) -> None:
    """Wait until all of `files` were read by the server."""
    deadline = time.monotonic() + 20
    while int(metric(client, "handful_received_bytes_total") or 0) < sum(map(len, files)):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def metric(client: Client, name: str) -> str | None:
    found = re.search(rf"^{name}(?:{{[^}}]*}})? (\S+)$", client("GET", "/metrics").body.decode(), re.M)
    return found[1] if found else None


def test_200_at_once_are_answered_as_one_by_one(client: Client, photo_run: Any, files: list[bytes]) -> None:
    expected = [photo_run.model.predict(file) for file in files]
    healthy: list[int] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            healthy.append(client("GET", "/v2/health/live").status)

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(200) as pool:
        answers = list(pool.map(lambda i: client("POST", "/predict?model=photos", files[i % len(files)]), range(200)))
    over.set()
    watcher.join()
    assert [answer.status for answer in answers] == [200] * 200
    assert all(same(answer.json, expected[i % len(files)]) for i, answer in enumerate(answers))
    assert len({answer.headers["x-request-id"] for answer in answers}) == 200
    assert {answer.json["version"] for answer in answers} == {photo_run.model.version}
    assert healthy and set(healthy) == {200}


def test_of_a_crowd_few_begin_before_a_health_check() -> None:
    begun = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        begun.append(scope["path"])
        await asyncio.sleep(0)

    async def crowd() -> None:
        turns = Turns(app, {"/health"}, most=4)

        def ask(path: str) -> asyncio.Task[None]:
            return asyncio.create_task(turns({"type": "http", "path": path}, None, None))  # type: ignore[arg-type, func-returns-value]

        asked = [ask(f"/{number}") for number in range(200)]
        asked[50].cancel()
        await asyncio.gather(*asked, ask("/health"), return_exceptions=True)
        await asyncio.gather(ask("/later"), ask("/health"))

    asyncio.run(crowd())
    crowded = [f"/{number}" for number in range(200) if number != 50]
    assert begun == [*crowded[:4], "/health", *crowded[4:], "/later", "/health"]


def test_what_was_loaded_is_not_looked_through_again_and_again(photo_run: Any) -> None:
    server = handful.Server([photo_run.path], port=0)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert Client(server.port)("GET", "/v2/health/live").status == 200
        assert gc.get_freeze_count() > 10_000
    finally:
        server.stop()
        thread.join()
    assert gc.get_freeze_count() == 0


def test_sounds_in_every_container(client: Client, sound_run: Any, sounds: Path, tmp_path: Path) -> None:
    wave, rate = soundfile.read(sounds / "low" / "00.wav")
    for suffix in ("wav", "flac", "ogg"):
        path = tmp_path / f"x.{suffix}"
        soundfile.write(path, wave, rate)
        answer = client("POST", "/predict?model=sounds", path.read_bytes(), content_type=f"audio/{suffix}")
        assert answer.status == 200 and same(answer.json, sound_run.model.predict(path))


def test_a_form_answers_for_each_file(client: Client, files: list[bytes], sounds: Path) -> None:
    wave = (sounds / "low" / "00.wav").read_bytes()
    body, kind = form(("../../etc/passwd", files[0]), ("b.wav", wave), ("c.png", files[1][:60]), ("d.png", files[-1]))
    rows = client("POST", "/predict?model=photos", body, content_type=kind).json["predictions"]
    assert [row["file"] for row in rows] == ["../../etc/passwd", "b.wav", "c.png", "d.png"]
    assert [row.get("label") for row in rows] == ["green", None, None, "red"]
    assert [row["error"]["status"] for row in rows[1:3]] == [415, 422]
    assert all(row["error"]["detail"] for row in rows[1:3])
    none, kind = form(("b.wav", wave))
    found = client("POST", "/predict?model=photos", none, content_type=kind).problem(415)
    assert found["files"][0]["file"] == "b.wav"


@pytest.mark.parametrize(
    ("path", "content", "kind", "status"),
    [
        ("/predict?model=photos", b"", "image/png", 422), ("/predict?model=photos", b"text", "image/png", 422),
        ("/predict?model=photos", b"{}", "application/json", 415), ("/predict?model=photos", b"RIFF0000WAVEfmt ", "image/png", 415),
        ("/predict?model=photos", b"x", "audio/wav", 415), ("/predict", b"x", "image/png", 400), ("/predict?model=x", b"x", "image/png", 404),
        ("/predict?model=photos", b"x", "multipart/form-data", 400), ("/predict?model=photos", b"x", "multipart/form-data; boundary=y", 400),
        ("/predict?model=photos", b"--y--\r\n", "multipart/form-data; boundary=y", 422), ("/predict?model=" + "x" * 100, b"x", "image/png", 422),
        ("/nothing", b"", "image/png", 404), ("/v2", b"", "image/png", 405), ("/v2/models/photos/versions/1/infer", b"{}", "application/json", 404),
    ],
)  # fmt: skip
def test_wrong_requests_have_one_shape(client: Client, path: str, content: bytes, kind: str, status: int) -> None:
    assert client("POST", path, content, content_type=kind).problem(status)["detail"]


def tensor(values: Any, shape: list[int], datatype: str = "UINT8", **more: Any) -> bytes:
    row = {"name": "input", "datatype": datatype, "shape": shape, "data": values} | more
    return json.dumps({"id": "7", "inputs": [row]}).encode()


def test_open_inference_protocol(client: Client, photo_run: Any, files: list[bytes]) -> None:
    assert client("GET", "/v2").json.keys() == {"name", "version", "extensions"}
    assert client("GET", "/v2/health/live").json == {"live": True}
    about = client("GET", "/v2/models/photos").json
    version = about["versions"][0]
    assert client("GET", f"/v2/models/photos/versions/{version}").json == about
    assert client("GET", f"/v2/models/photos/versions/{version}/ready").json == {"name": "photos", "ready": True}
    assert {"name", "versions", "platform", "inputs", "outputs"} <= about.keys()
    shape = [2, *about["inputs"][0]["shape"][1:]]
    items = np.concatenate([photo_run.model.items(file) for file in (files[0], files[-1])])
    assert list(items.shape) == shape and about["inputs"][0]["datatype"] == "UINT8"
    expected = [photo_run.model.predict(file) for file in (files[0], files[-1])]
    head = tensor(None, shape, parameters={"binary_data_size": items.nbytes}).replace(b', "data": null', b"")
    sent = {
        "nested": (tensor(items.tolist(), shape), {}),
        "flat": (tensor(items.ravel().tolist(), shape), {}),
        "binary": (head + items.tobytes(), {"Inference_Header_Content_Length": str(len(head))}),
    }
    for way, (body, headers) in sent.items():
        answer = client("POST", "/v2/models/photos/infer", body, **headers)
        assert answer.status == 200, (way, answer.body)
        found = answer.json
        assert (found["id"], found["model_name"], found["model_version"]) == ("7", "photos", version)
        outputs = {row["name"]: row for row in found["outputs"]}
        assert outputs["label"]["data"] == [one.label for one in expected]
        assert outputs["probabilities"]["shape"] == [2, 2] and outputs["probabilities"]["datatype"] == "FP32"
        wanted = [p for one in expected for p in one.scores.values()]
        assert np.allclose(outputs["probabilities"]["data"], wanted, atol=1e-6)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400), (b"[]", 400), (b"{" * 500, 400), (b"[" * 900 + b"]" * 900, 400), (b"[" * 4_000_000, 413), (b"[1" + b",1" * 4_000_000 + b"]", 413),
        (b'{"inputs": [{"name": "input", "datatype": "UINT8", "shape": [' + b"9" * 5000 + b"]}]}", 400), (b"\xff\xfe", 400),
        (tensor([1], [1, 224, 224, 3]), 400), (tensor([1], [10**9, 224, 224, 3]), 400), (tensor([1], [1, 10**9, 10**9, 3]), 400),
        (tensor([1], [-1, 224, 224, 3]), 400), (tensor([1], [True, 224, 224, 3]), 400), (tensor([1], [0, 224, 224, 3]), 400), (tensor([1], []), 400),
        (tensor(["x" * 10**6] + [1] * 99, [1, 224, 224, 3]), 400), (tensor([[1], [1, 2]], [1, 224, 224, 3]), 400), (tensor({"a": 1}, [1, 224, 224, 3]), 400),
        (tensor([300] * 150528, [1, 224, 224, 3]), 400), (tensor([1] * 150528, [1, 224, 224, 3], "FP32"), 400),
        (tensor([1], [1, 224, 224, 3], parameters={"binary_data_size": 10**12}), 400), (b'{"inputs": [], "id": 5}', 400), (b'{"inputs": 5}', 400),
    ],
)  # fmt: skip
def test_tensors_are_checked_before_they_are_made(client: Client, body: bytes, status: int) -> None:
    answer = client("POST", "/v2/models/photos/infer", body)
    answer.problem(status)
    assert answer.status == status


def test_sounds_as_tensors_must_be_finite(client: Client, sound_run: Any) -> None:
    shape = [1, *sound_run.model.input[1]]
    good = client("POST", "/v2/models/sounds/infer", tensor([0.1] * shape[1], shape, "FP32"))
    assert good.status == 200
    for wrong in (float("nan"), 1e39, None):
        client("POST", "/v2/models/sounds/infer", tensor([wrong] * shape[1], shape, "FP32")).problem(400)


def test_bodies_are_counted_while_they_are_read(photo_run: Any) -> None:
    with handful.Server([photo_run.path], port=0, limits=Limits(body=1_000_000)) as server:
        client = Client(server.port)
        head = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        # It says itself that it is too large: refused before anything is read.
        client_said = client.raw(head + b"Content-Length: 99999999999\r\n\r\n")
        assert b" 413 " in client_said and b"problem+json" in client_said
        chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
        assert b" 413 " in client.raw(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 40)
        body, kind = form(("x", bytes(2_000_000)))
        chunked = iter([body[i : i + 65536] for i in range(0, len(body), 65536)])
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client("POST", "/predict", chunked, content_type=kind).problem(413)
        field = b'--xx\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + bytes(50_000) + b"\r\n--xx--\r\n"
        client("POST", "/predict", field, content_type=kind).problem(400)
        many, kind = form(*[(str(i), b"x") for i in range(40)])
        client("POST", "/predict", many, content_type=kind).problem(400)
        client("POST", "/predict", b"x", content_encoding="gzip").problem(415)
        assert metric(client, "handful_held_bytes") == "0"


def _memory(process: subprocess.Popen[str], what: str) -> int:
    """Bytes that a process holds (VmRSS), or held at most since `_forget_peak` (VmHWM)."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    return int(status.split(f"{what}:")[1].split()[0]) * 1024


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is measured as Linux tells it")
def test_a_body_that_is_too_large_is_not_held(photo_run: Any, files: list[bytes]) -> None:
    """Ten gigabytes that are announced cost nothing; what is not announced is read up to the limit, and waits on disk."""
    slack = 15_000_000
    start, end = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\n", b"\r\n\r\n"
    part = b"100000\r\n" + bytes(0x100000) + b"\r\n"
    field = b'--xx\r\nContent-Disposition: form-data; name="a"\r\n\r\n'
    form_head = b"Content-Type: multipart/form-data; boundary=xx\r\n"
    file = b'--xx\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\n'
    first, first_file = (b"%x\r\n" % len(text) + text + b"\r\n" for text in (field, file))
    chunked = b"Transfer-Encoding: chunked"
    attacks = {
        "announced": (start + b"Content-Length: 10000000000" + end, b"", slack),
        "announced form": (start + form_head + b"Content-Length: 10000000000" + end + field, b"", slack),
        "chunked": (start + chunked + end, part, slack),
        "field without a file": (start + form_head + chunked + end + first, part, slack),
        "file": (start + form_head + chunked + end + first_file, part, slack),
    }
    with serving(photo_run.path) as (process, client, _):
        assert client("POST", "/predict", files[0]).status == 200
        for name, (head, repeated, allowed) in attacks.items():
            Path(f"/proc/{process.pid}/clear_refs").write_text("5", encoding="ascii")
            before = _memory(process, "VmRSS")
            with socket.create_connection(("127.0.0.1", client.port), timeout=30) as connection:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    connection.sendall(head)
                    for _ in range(120 if repeated else 0):
                        connection.sendall(repeated)
                answer = received(connection)
            # Who goes on sending may lose the answer with the connection, but gets no other one.
            assert b" 413 " in answer or b" 400 " in answer or (repeated and not answer), name
            assert _memory(process, "VmHWM") - before < allowed, name
        assert client("POST", "/predict", files[0]).status == 200
        assert metric(client, "handful_held_bytes") == "0"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is measured as Linux tells it")
def test_many_large_bodies_at_once_wait_on_disk(photo_run: Any, files: list[bytes]) -> None:
    """Of bodies that are announced by nobody: 200 MB of them are held, and one that is whole is answered meanwhile."""
    head = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    part = b"100000\r\n" + bytes(0x100000) + b"\r\n"
    with serving(photo_run.path) as (process, client, _), contextlib.ExitStack() as stack:
        assert client("POST", "/predict", files[0]).status == 200
        Path(f"/proc/{process.pid}/clear_refs").write_text("5", encoding="ascii")
        before = _memory(process, "VmRSS")
        for _ in range(5):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", client.port), timeout=30))
            connection.sendall(head)
            for _ in range(40):
                connection.sendall(part)
        while int(float(metric(client, "handful_held_bytes"))) < 5 * 40 * 0x100000:
            time.sleep(0.05)
        assert client("POST", "/predict", files[0]).status == 200
        assert _memory(process, "VmHWM") - before < 40_000_000


def test_a_large_file_in_many_parts_is_answered_as_a_whole(client: Client, sound_run: Any, tmp_path: Path) -> None:
    """Beyond what stays in memory, and however it comes: announced, in parts, in a form."""
    rng = np.random.default_rng(0)
    path = tmp_path / "long.wav"
    soundfile.write(path, rng.normal(0, 0.1, 16_000 * 60 * 2), 16_000)
    content = path.read_bytes()
    assert len(content) > 3 * SPOOL_BYTES
    expected = handful.load(sound_run.path).predict(path)
    parts = (content[i : i + 50_000] for i in range(0, len(content), 50_000))
    body, kind = form(("long.wav", content))
    assert same(client("POST", "/predict?model=sounds", content).json, expected)
    assert same(client("POST", "/predict?model=sounds", parts).json, expected)
    assert same(client("POST", "/predict?model=sounds", body, content_type=kind).json["predictions"][0], expected)


def test_all_bodies_together_are_bounded(photo_run: Any, files: list[bytes]) -> None:
    with handful.Server([photo_run.path], port=0, limits=Limits(held=3_000_000)) as server:
        client = Client(server.port)
        head = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        part = b"100000\r\n" + bytes(0x100000) + b"\r\n"
        with socket.create_connection(("127.0.0.1", client.port), timeout=30) as first:
            first.sendall(head + part * 2)
            while int(float(metric(client, "handful_held_bytes"))) < 2 * 0x100000:
                time.sleep(0.02)
            assert b" 429 " in client.raw(head + part * 2)
            assert client("POST", "/predict", files[0]).status == 200, "there is room for a small one"
        while metric(client, "handful_held_bytes") != "0":
            time.sleep(0.02)


def test_a_full_queue_says_when_to_come_again(photo_run: Any, files: list[bytes]) -> None:
    with handful.Server([photo_run.path], port=0, limits=Limits(waiting=2)) as server:
        client = Client(server.port)
        with ThreadPoolExecutor(30) as pool:
            answers = list(pool.map(lambda file: client("POST", "/predict", file), files * 3))
        assert {answer.status for answer in answers} == {200, 429}
        refused = next(answer for answer in answers if answer.status == 429)
        assert refused.problem(429) and int(refused.headers["retry-after"]) >= 1
        assert metric(client, "handful_waiting_predictions") == "0"


def test_slow_clients_are_left(photo_run: Any, files: list[bytes]) -> None:
    limits = Limits(silence=0.4, body_time=0.8)
    with handful.Server([photo_run.path], port=0, limits=limits) as server:
        client = Client(server.port)
        assert client.raw(b"") == b""
        assert client.raw(b"POST /predict HTTP/1.1\r\nHost: 127.0") == b""
        head = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n"
        assert b" 408 " in client.raw(head + b"x")
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as dripping:
            dripping.sendall(head)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                for _ in range(12):  # never silent for long, yet never done
                    dripping.sendall(b"x")
                    time.sleep(0.1)
            assert b" 408 " in received(dripping)
        assert client("POST", "/predict", files[0]).status == 200


@pytest.mark.parametrize(
    "head",
    [
        b"Host: evil.example", b"Host: evil.example:8000", b"Host: localhost.evil.example", b"Host: 127.0.0.1.nip.io", b"Host: ", b"Host: 127.0.0.2",
        b"Host: 127.0.0.1@evil.example", b"Host: [::1", b"Host: localhost:8000, evil.example",
    ],
)  # fmt: skip
def test_unknown_hosts(client: Client, head: bytes) -> None:
    answer = client.raw(b"GET /v2 HTTP/1.1\r\nConnection: close\r\n" + head + b"\r\n\r\n")
    assert b" 421 " in answer and b"problem+json" in answer and b"extensions" not in answer


def test_odd_requests(client: Client) -> None:
    for odd in (
        b"GET /v2 HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\nConnection: close\r\n\r\n",
        b"GET http://evil.example/v2 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01", b"GET /v2 HTTP/9.9\r\n\r\n", b"\r\n\r\n\r\n",
    ):  # fmt: skip
        with socket.create_connection(("127.0.0.1", client.port), timeout=20) as connection:
            connection.sendall(odd)
            connection.shutdown(socket.SHUT_WR)
            assert not received(connection).startswith((b"HTTP/1.1 2", b"HTTP/1.1 5"))
    for path in (
        "/..%2f..%2fetc/passwd",
        "/%252e%252e/",
        "/v2/models/..%5c..%5cx",
        "//etc/passwd",
        "/v2/models/%00",
        "/proc/self/root",
    ):
        client("GET", path).problem(404)


def test_other_pages_may_not_ask(client: Client, files: list[bytes]) -> None:
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Origin": "http://127.0.0.1:1"},
    ):
        client("POST", "/predict?model=photos", files[0], **headers).problem(403)
    own = client("POST", "/predict?model=photos", files[0], Origin=f"http://127.0.0.1:{client.port}")
    assert own.status == 200
    preflight = client(
        "OPTIONS", "/predict", Origin=f"http://127.0.0.1:{client.port}", Access_Control_Request_Method="POST"
    )
    for answer in (own, preflight):
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_every_answer_has_an_id_of_one_s_own_choice(client: Client) -> None:
    assert client("GET", "/v2", X_Request_ID="my-id.1").headers["x-request-id"] == "my-id.1"
    for wrong in ("a b", "x" * 65, "<script>"):
        assert re.fullmatch(r"[0-9a-f]{32}", client("GET", "/v2", X_Request_ID=wrong).headers["x-request-id"])


def test_a_token_is_needed_on_the_network(photo_run: Any, files: list[bytes]) -> None:
    with serving(photo_run.path, "--host", "0.0.0.0") as (_, client, lines):
        assert "everybody who can reach this machine" in lines[0]
        token = lines[1].removeprefix("token: ").strip()
        assert len(token) >= 40
        client("POST", "/predict", files[0]).problem(401)
        for wrong in (token[:-1], token + "x", "", "é"):
            client("POST", "/predict", files[0], Authorization=f"Bearer {wrong}").problem(401)
        client("POST", "/predict", files[0], Authorization=f"Basic {token}").problem(401)
        assert client("POST", f"/predict?token={token}", files[0]).status == 401
        assert client("POST", "/predict", files[0], Authorization=f"Bearer {token}").status == 200
        assert client("GET", "/v2/health/ready").status == 200
        client("GET", "/v2", Host="evil.example", Authorization=f"Bearer {token}").problem(421)
        codes = [client("GET", "/v2", Authorization="Bearer guess").status for _ in range(12)]
        assert codes[-1] == 429
        page = client("GET", "/metrics", Authorization=f"Bearer {token}").body
        assert page and token.encode() not in page


def test_metrics_can_be_read_and_name_no_files(client: Client, files: list[bytes]) -> None:
    body, kind = form(("secret-name.png", files[0]))
    assert client("POST", "/predict?model=photos", body, content_type=kind).status == 200
    client("GET", "/secret-path")
    answer = client("GET", "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    text = answer.body.decode()
    assert "secret" not in text and text.endswith("\n")
    declared = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))
    sample = re.compile(r'(handful_\w+)(\{\w+="(?:[^"\\]|\\.)*"(?:,\w+="(?:[^"\\]|\\.)*")*\})? (\S+)')
    for line in text.splitlines():
        if not line.startswith("#"):
            match = sample.fullmatch(line)
            assert match and float(match[3]) >= 0, line
            assert match[1] in declared or re.sub(r"_(bucket|sum|count)$", "", match[1]) in declared
    assert all(name.endswith("_total") == (kind == "counter") for name, kind in declared.items())


def test_the_page_needs_nothing_from_elsewhere(client: Client) -> None:
    for path in ("/", "/docs"):
        answer = client("GET", path)
        text = answer.body.decode().replace(f"http://127.0.0.1:{client.port}", "")
        assert answer.status == 200 and "default-src 'none'" in answer.headers["content-security-policy"]
        assert "/predict" in text and not re.search(r"https?://|<script|src=|@import|url\(", text)
    api = client("GET", "/openapi.json").json
    assert (
        api["openapi"].startswith("3.") and {"/predict", "/v2/models/{name}/infer", "/metrics"} <= api["paths"].keys()
    )
    assert "multipart/form-data" in api["paths"]["/predict"]["post"]["requestBody"]["content"]


def test_a_client_that_leaves_leaves_nothing_behind(client: Client, files: list[bytes]) -> None:
    head = f"POST /predict?model=photos HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(files[0])}\r\n\r\n".encode()
    for part in (files[0], files[0][:100]):
        with socket.create_connection(("127.0.0.1", client.port)) as connection:
            connection.sendall(head + part)
    deadline = time.monotonic() + 10
    while (metric(client, "handful_waiting_predictions"), metric(client, "handful_held_bytes")) != ("0", "0"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert client("POST", "/predict?model=photos", files[0]).status == 200


def test_what_cannot_be_served_is_said(photo_run: Any, tmp_path: Path) -> None:
    from .test_cli import handful as command

    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = command("serve", photo_run.path, "--port", taken.getsockname()[1], check=1)
        assert "is taken" in done.stderr and "--port 0" in done.stderr
    model = str(photo_run.path)
    for words, arguments, options in (
        ("there is no model", [tmp_path / "none"], {}), ("two models", [model, model], {}), ("cannot be a model's name", [f"a/b={model}"], {}),
        ("no address", [model], {"host": "203.0.113.7"}), ("shorter", [model], {"token": "short"}), ("no model to serve", [], {}),
    ):  # fmt: skip
        with pytest.raises(HandfulError, match=words):
            handful.Server(arguments, **{"port": 0} | options)


def test_a_fault_of_ours_says_nothing_to_the_client(
    photo_run: Any, files: list[bytes], capfd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with handful.Server([photo_run.path], port=0) as server:
        client = Client(server.port)
        monkeypatch.setattr(server.application.service, "answer", lambda *_: 1 / 0)
        found = client("POST", "/predict", files[0]).problem(500)
        assert "zero" not in json.dumps(found)
        said, until = "", time.monotonic() + 10  # it is said after the answer was sent
        while found["request_id"] not in said and time.monotonic() < until:
            said += capfd.readouterr().err
            time.sleep(0.02)
        assert found["request_id"] in said


def test_hours_in_a_few_bytes_are_not_decoded(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "hours.flac"
    with soundfile.SoundFile(path, "w", 1000, 1, "PCM_16") as sound:
        for _ in range(80):
            sound.write(np.zeros(60_000))
    found = client("POST", "/predict?model=sounds", path.read_bytes()).problem(413)
    assert "hours" in found["detail"]
