"""Where weights come from, and every way in which a file or a host can be wrong (faults 104, 105, 107, 136 to 139)."""

from __future__ import annotations

import hashlib
import json
import pickle
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handful.errors import WeightsError
from handful.models import Network, Weights, _weights, models
from handful.models import _download as download_module
from handful.models._state import read_state

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """No cache of this machine, no proxy and no network is used by a test that does not ask for it."""
    for name in (
        "TORCH_HOME",
        "HF_HOME",
        "HF_HUB_CACHE",
        "XDG_CACHE_HOME",
        "HANDFUL_OFFLINE",
        "HF_HUB_OFFLINE",
        "HF_ENDPOINT",
    ):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("HANDFUL_HOME", str(tmp_path / "handful"))
    monkeypatch.setenv("HANDFUL_WEIGHTS_MIRROR", "https://mirror.invalid")
    monkeypatch.setattr(_weights, "_silent_hosts", {})
    monkeypatch.setattr(download_module, "FIRST_BYTE_SECONDS", 0.5)
    monkeypatch.setattr(download_module, "STALL_SECONDS", 0.5)
    yield tmp_path
    for thread in threading.enumerate():
        if thread.name == "handful-download":
            thread.join(5)


def network(**changes: Any) -> Network:
    model = models.get("squeezenet1_1")
    assert isinstance(model, Network)
    url = f"https://download.example/net-{SHA256[:8]}.pth"
    return replace(model, **{"url": url, "weights_sha256": SHA256[:8], "weights_bytes": len(CONTENT)} | changes)


Answer = Callable[[BaseHTTPRequestHandler], None]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Answer], list[str]]]:
    """Start a mirror on loopback that answers every GET by one function; returns the list of ranges asked for."""
    servers: list[ThreadingHTTPServer] = []

    def start(answer: Answer) -> list[str]:
        asked: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.headers.get("Range", ""))
                answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = False  # closing waits for the answers
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        monkeypatch.setenv("HANDFUL_WEIGHTS_MIRROR", f"http://127.0.0.1:{server.server_port}/models/")
        return asked

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def send(
    handler: BaseHTTPRequestHandler, body: bytes, status: int = 200, length: int | None = None, **headers: str
) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body) if length is None else length))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def good(handler: BaseHTTPRequestHandler) -> None:
    """A whole server: the file, or the rest of it."""
    wanted = handler.headers.get("Range")
    if wanted:
        start = int(wanted.removeprefix("bytes=").rstrip("-"))
        send(handler, CONTENT[start:], 206, Content_Range=f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
    else:
        send(handler, CONTENT)


def left_over(home: Path) -> list[str]:
    folder = home / "handful" / "cache" / "weights"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_weights_are_fetched_checked_and_kept(serve: Any) -> None:
    asked = serve(good)
    seen: list[tuple[int, int]] = []
    weights, tried = _weights.resolve(network(), None, progress=lambda done, total: seen.append((done, total)))
    assert weights is not None and weights.path.read_bytes() == CONTENT and weights.sha256 == SHA256
    assert tried[-1].startswith("fetched http://127.0.0.1")
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    again, tried = _weights.resolve(network(), None)
    assert again == weights and tried[-1].startswith("found") and len(asked) == 1


def test_an_md5_is_checked_where_nothing_else_is_published(serve: Any, home: Path) -> None:
    md5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
    url = "https://zenodo.example/records/1/files/Net_mAP%3D0.4.pth"
    serve(lambda handler: send(handler, CONTENT[::-1]))
    weights, tried = _weights.resolve(network(url=url, weights_sha256="", weights_md5=md5), None)
    assert weights is None and f"not {md5[:12]}" in tried[-1] and left_over(home) == []
    serve(good)
    weights, _ = _weights.resolve(network(url=url, weights_sha256="", weights_md5=md5), None)
    assert weights is not None and weights.path.name == "Net_mAP=0.4.pth" and weights.sha256 == SHA256
    _, tried = _weights.resolve(network(url=url, weights_sha256="", weights_md5=md5[::-1]), None, fetch_limit_bytes=0)
    assert any("is damaged: MD5" in line for line in tried)


def test_torchs_cache_is_used_and_not_copied(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = home / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / f"net-{SHA256[:8]}.pth").write_bytes(CONTENT)
    monkeypatch.setenv("TORCH_HOME", str(home / "torch"))
    weights, _ = _weights.resolve(network(), None)
    assert weights is not None and weights.path.parent == folder and left_over(home) == []


def test_hugging_faces_cache_is_used(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = home / "hf" / "hub" / "models--timm--resnet18.a1_in1k" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").write_bytes(b"weights")
    monkeypatch.setenv("HF_HOME", str(home / "hf"))
    url = "https://huggingface.co/timm/resnet18.a1_in1k/resolve/main/model.safetensors"
    weights, _ = _weights.resolve(network(url=url, weights_sha256=""), None)
    assert weights is not None and weights.path == snapshot / "model.safetensors"


def test_a_damaged_file_in_a_cache_is_named_and_passed_over(home: Path, serve: Any) -> None:
    folder = home / "user" / ".cache" / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / f"net-{SHA256[:8]}.pth").write_bytes(CONTENT[:-1])
    serve(good)
    weights, tried = _weights.resolve(network(), None)
    assert weights is not None and weights.path.parent != folder
    assert "is damaged: SHA-256" in tried[0]


@pytest.mark.parametrize("variable", ["HANDFUL_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_opens_no_socket(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "1")
    monkeypatch.setattr(socket, "socket", lambda *_, **__: pytest.fail("a socket was opened"))
    weights, tried = _weights.resolve(network(), None)
    assert weights is None and "offline" in tried[-1]


def test_large_weights_are_not_fetched_unasked(serve: Any) -> None:
    asked = serve(good)
    weights, tried = _weights.resolve(network(weights_bytes=51_000_000), None)
    assert weights is None and "51 MB, more than 50 MB" in tried[-1] and asked == []
    weights, tried = _weights.resolve(network(weights_bytes=0), None, fetch_limit_bytes=0)
    assert weights is None and tried[-1] == "not fetched unasked (handful fetch squeezenet1_1)" and asked == []
    weights, _ = _weights.resolve(network(weights_bytes=51_000_000), None, fetch_limit_bytes=None)
    assert weights is not None


def test_a_host_that_sends_more_than_promised_is_cut_off(serve: Any, home: Path) -> None:
    serve(good)
    weights, tried = _weights.resolve(network(weights_bytes=0), None, fetch_limit_bytes=100_000)
    assert weights is None and "fetched unasked" in tried[-1] and left_over(home) == []


def test_an_interrupted_transfer_is_resumed(serve: Any, home: Path) -> None:
    asked = serve(lambda handler: send(handler, CONTENT[:100_000], length=len(CONTENT)))
    weights, tried = _weights.resolve(network(), None)
    assert weights is None and "broke off after 100,000 of 300,000 bytes" in tried[-1]
    assert left_over(home) == [f"net-{SHA256[:8]}.pth.part"]
    _weights._silent_hosts.clear()
    asked = serve(good)
    weights, _ = _weights.resolve(network(), None)
    assert weights is not None and weights.path.read_bytes() == CONTENT and asked == ["bytes=100000-"]
    assert left_over(home) == [f"net-{SHA256[:8]}.pth"]


@pytest.mark.parametrize("old", [b"x" * 1000, CONTENT + b"more"])
def test_a_part_of_another_file_starts_over(old: bytes, serve: Any, home: Path) -> None:
    folder = home / "handful" / "cache" / "weights"
    folder.mkdir(parents=True)
    (folder / f"net-{SHA256[:8]}.pth.part").write_bytes(old)

    def strict(handler: BaseHTTPRequestHandler) -> None:
        start = int((handler.headers.get("Range") or "bytes=0-")[6:-1])
        send(handler, b"", 416) if start >= len(CONTENT) else good(handler)

    serve(strict)
    weights, _ = _weights.resolve(network(), None)
    assert weights is not None and weights.path.read_bytes() == CONTENT


def captive(handler: BaseHTTPRequestHandler) -> None:
    send(handler, b"<!DOCTYPE html><title>Please log in</title>", Content_Type="text/html")


def redirect(handler: BaseHTTPRequestHandler) -> None:
    send(handler, b"", 302, Location="http://other.example/weights.pth")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (captive, "web page"),
        (lambda handler: send(handler, CONTENT[::-1]), "the file has SHA-256"),
        (lambda handler: send(handler, b"no", 403), "answered 403"),
        (lambda handler: send(handler, b"no", 404), "answered 404"),
        (lambda handler: send(handler, b"later", 429), "answered 429"),
        (redirect, "redirects to an unencrypted address"),
        (lambda handler: handler.wfile.write(b"\x00garbage\r\n\r\n"), "nonsense"),
    ],
)
def test_a_wrong_answer_is_explained_and_leaves_nothing(answer: Answer, reason: str, serve: Any, home: Path) -> None:
    serve(answer)
    weights, tried = _weights.resolve(network(), None)
    assert weights is None and reason in tried[-1]
    assert left_over(home) == []
    error = _weights.missing(network(), tried)
    assert (
        "handful fetch squeezenet1_1" in error.hint
        and "--weights PATH" in error.hint
        and "HANDFUL_WEIGHTS_MIRROR" in error.hint
    )


def test_a_host_that_hangs_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv("HANDFUL_WEIGHTS_MIRROR", f"http://127.0.0.1:{listener.getsockname()[1]}")
        for most in (2.0, 0.2):
            start = time.monotonic()
            _, tried = _weights.resolve(network(), None)
            assert "no answer from 127.0.0.1" in tried[-1] and time.monotonic() - start < most


def test_a_host_that_falls_silent_is_left(serve: Any) -> None:
    over = threading.Event()

    def stall(handler: BaseHTTPRequestHandler) -> None:
        send(handler, CONTENT[:1000], length=len(CONTENT))
        handler.wfile.flush()
        over.wait(10)

    serve(stall)
    start = time.monotonic()
    weights, tried = _weights.resolve(network(), None)
    assert weights is None and "no progress" in tried[-1] and time.monotonic() - start < 2.5
    over.set()


def test_a_hanging_name_server_does_not_hang_us(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(10) and [])
    start = time.monotonic()
    weights, tried = _weights.resolve(network(), None)
    assert weights is None and "no answer" in tried[-1] and time.monotonic() - start < 2.5
    over.set()


def test_plain_http_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDFUL_WEIGHTS_MIRROR", "http://mirror.example")
    assert "not https; refused" in _weights.resolve(network(), None)[1][-1]


def test_ctrl_c_keeps_the_part(serve: Any, home: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done > 100_000:
            raise KeyboardInterrupt

    serve(good)
    with pytest.raises(KeyboardInterrupt):
        _weights.resolve(network(), None, progress=stop)
    assert left_over(home) == [f"net-{SHA256[:8]}.pth.part"]


def test_two_processes_do_not_write_one_part(serve: Any, home: Path) -> None:
    target = home / "handful" / "cache" / "weights" / "held.pth"
    target.parent.mkdir(parents=True)
    with download_module._part_file(target) as first, download_module._part_file(target) as second:
        assert first != second
    assert left_over(home) == []


def test_none_and_paths_are_taken_as_asked(home: Path) -> None:
    assert _weights.resolve(network(), "none")[0] is None
    path = home / "mine.safetensors"
    path.write_bytes(CONTENT)
    weights, _ = _weights.resolve(network(), str(path))
    assert weights == Weights(path, "mine.safetensors", SHA256)
    for wrong in (home / "absent.pth", home / "mine.txt", home):
        with pytest.raises(WeightsError) as caught:
            _weights.resolve(network(), str(wrong))
        assert ".safetensors" in caught.value.hint


def test_small_networks_have_no_weights_to_find() -> None:
    model = models.get("small_cnn")
    assert isinstance(model, Network)
    assert _weights.resolve(model, None) == (None, ["nobody publishes weights of small_cnn"])


# --- files -----------------------------------------------------------------------------------------------------------


def packed(path: Path, header: Any, data: bytes = b"", length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)
    return path


def entry(shape: list[Any], start: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def test_safetensors_are_read_as_the_library_writes_them(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    tensors = {"half": np.array([1.5, -2.0], np.float16), "whole": np.arange(6).reshape(2, 3), "b": np.float32([[0.1]])}
    save_file(tensors, tmp_path / "a.safetensors", metadata={"made": "here"})
    state = read_state(tmp_path / "a.safetensors")
    assert state["half"].dtype == np.float32 and state["half"].tolist() == [1.5, -2.0]
    assert state["whole"].dtype == np.int64 and state["whole"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert state["b"] == np.float32(0.1)


def test_bfloat16_becomes_float32(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.safetensors", {"x": entry([2], 0, 4, "BF16")}, bytes.fromhex("c03f00c0"))
    assert read_state(path)["x"].tolist() == [1.5, -2.0]


@pytest.mark.parametrize(
    ("header", "data", "length"),
    [
        ({}, b"", 2**63),
        ({}, b"", 99_000_000),
        ({}, b"", None),
        (b"not json", b"", None),
        (b"[" * 100_000, b"", None),
        ([1, 2], b"", None),
        ({f"t{i}": entry([0], 0, 0) for i in range(10_001)}, b"", None),
        ({"a": entry([1], 0, 4), "b": entry([1], 2, 6)}, b"123456", None),
        ({"a": entry([1], 0, 4), "b": entry([1], 8, 12)}, b"123456789012", None),
        ({"a": entry([2], 0, 4)}, b"1234", None),
        ({"a": entry([-1], 0, 4)}, b"1234", None),
        ({"a": entry([1.0], 0, 4)}, b"1234", None),
        ({"a": entry([True], 0, 4)}, b"1234", None),
        ({"a": entry([2**40], 0, 4)}, b"1234", None),
        ({"a": entry([2**39, 2**39, 2**39], 0, 4)}, b"1234", None),
        ({"a": entry([1], 0, 4, "PICKLE")}, b"1234", None),
        ({"a": entry([1], 0, 4)}, b"12345", None),
        ({"a": entry([1], 0, 4)}, b"123", None),
        ({"a": {"dtype": "F32"}}, b"1234", None),
        ({"a": "text"}, b"", None),
        (
            b'{"a": {"dtype":"U8","shape":[1],"data_offsets":[0,1]}, "a": {"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
            b"1",
            None,
        ),
    ],
)
def test_a_damaged_safetensors_file_is_refused(header: Any, data: bytes, length: int | None, tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        read_state(packed(tmp_path / "bad.safetensors", header, data, length))
    assert "bad.safetensors" in caught.value.message and caught.value.hint


class Canary:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["x.safetensors", "x.pth", "x.pt", "x.bin"])
def test_a_pickle_that_runs_code_does_not(name: str, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    (tmp_path / name).write_bytes(pickle.dumps({"weight": Canary(tmp_path / "ran")}))
    with pytest.raises(WeightsError):
        read_state(tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_a_state_dict_is_read_and_other_pickles_are_not(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"w": torch.ones(2, dtype=torch.float16)}, tmp_path / "good.pth")
    assert read_state(tmp_path / "good.pth")["w"].dtype == np.float32
    torch.save({"epoch": 3, "state_dict": {"w": torch.ones(2)}}, tmp_path / "checkpoint.pth")
    with pytest.raises(WeightsError, match="something else than named tensors") as caught:
        read_state(tmp_path / "checkpoint.pth")
    assert "state_dict()" in caught.value.hint


# --- fit to the architecture -----------------------------------------------------------------------------------------


def saved(module: Any, path: Path, change: Callable[[dict[str, Any]], object] = lambda state: None) -> Weights:
    from safetensors.torch import save_file

    state = dict(module.state_dict())
    change(state)
    save_file(state, path)
    return Weights(path, path.name, hashlib.sha256(path.read_bytes()).hexdigest())


def built(name: str, weights: Weights) -> Any:
    from handful.models._state import build

    model = models.get(name)
    assert isinstance(model, Network)
    return build(model, weights)


def test_weights_go_into_the_module(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    model = models.get("mobilenet_v3_small")
    assert isinstance(model, Network)
    module = model.create(7)
    loaded = built(model.name, saved(module, tmp_path / "w.safetensors"))
    assert not loaded.training
    for key, value in module.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[key], value)


@pytest.mark.parametrize("name", ["small_cnn", "squeezenet1_1", "mobilenet_v3_small", "shufflenet_v2_x0_5"])
def test_a_network_trained_here_can_be_trained_on(name: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    model = models.get(name)
    assert isinstance(model, Network)
    module = model.create(1000)
    model.replace_head(module, 3)
    loaded = built(name, saved(module, tmp_path / "w.safetensors"))
    for left, right in zip(model.body(loaded).parameters(), model.body(module).parameters(), strict=True):
        torch.testing.assert_close(left, right)


def test_weights_without_a_head_or_counters_fit(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")

    def bare(state: dict[str, Any]) -> None:
        for key in [key for key in state if key.startswith("2.") or key.endswith("num_batches_tracked")]:
            del state[key]

    model = models.get("small_cnn")
    assert isinstance(model, Network)
    module = model.create(2)
    loaded = built("small_cnn", saved(module, tmp_path / "w.safetensors", bare))
    torch.testing.assert_close(loaded[0][0][0].weight, module[0][0][0].weight)
    assert not any(tensor.is_meta for tensor in (*loaded.parameters(), *loaded.buffers()))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda state: state.pop("0.1.0.weight"), r"1 missing \(0.1.0.weight\)"),
        (lambda state: state.update(extra=state["0.1.1.bias"].clone()), r"1 unexpected \(extra\)"),
        (
            lambda state: state.update({"0.1.1.bias": state["0.1.1.bias"][:5].clone()}),
            r"1 of another shape or type \(0.1.1.bias\)",
        ),
        (
            lambda state: state.update({"0.1.1.bias": state["0.1.1.bias"].int()}),
            r"1 of another shape or type \(0.1.1.bias\)",
        ),
        (lambda state: state["0.1.1.bias"].fill_(float("nan")), "not finite"),
    ],
)
def test_weights_that_do_not_fit_are_refused(change: Any, complaint: str, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    model = models.get("small_cnn")
    assert isinstance(model, Network)
    with pytest.raises(WeightsError, match=complaint):
        built("small_cnn", saved(model.create(1000), tmp_path / "w.safetensors", change))


def test_the_model_that_would_fit_is_named(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    model = models.get("squeezenet1_1")
    assert isinstance(model, Network)
    weights = saved(model.create(1000), tmp_path / "w.safetensors")
    with pytest.raises(WeightsError) as caught:
        built("squeezenet1_0", weights)
    assert caught.value.hint == "these are weights of squeezenet1_1: use --model squeezenet1_1"
