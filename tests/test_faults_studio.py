"""What strangers and accidents do to a studio, over a real socket: wild values for every route, damaged and hostile files."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from handful.web.studio.openapi import document
from handful.web.studio.server import StudioServer

from .test_projects import ATTACKS
from .test_serve import received
from .test_studio_server import TOKEN, Answer, Client, waited_for

RUN = "0123456789abcdef"
PNG = b"\x89PNG\r\n\x1a\n"


class Filled:
    """A studio with one project that has pictures, findings and the run `RUN` with explanations."""

    def __init__(self, server: StudioServer, photos: Path, run: Path) -> None:
        self.server, self.client = server, Client(server.port, token=TOKEN)
        self.id = self.client("POST", "/api/projects", {"name": "x"}).json["id"]
        project = server.studio.project(self.id)
        for path in sorted(photos.glob("*/*"))[::3]:
            project.add(path.read_bytes(), path.parent.name, path.name)
        self.folder, self.sample = project.folder, project.samples[0].id
        self.run = self.folder / "runs" / RUN
        shutil.copytree(run, self.run)
        finding = {
            "kind": "corrupt",
            "severity": "error",
            "message": "torn",
            "files": [project.samples[0].file],
            "fix": "",
        }
        kept = {"format": 1, "made": 1.0, "labels": "", "findings": [finding], "suggested": {}, "skipped": []}
        project.findings.write_text(json.dumps(kept))
        shown = {
            "file": project.samples[0].file, "label": "red", "predicted": "red", "confidence": 0.5, "method": "occlusion",
            "before": "explanations/a.jpg", "overlay": "explanations/b.jpg", "filtered": None,
            "deletion": {"passed": True, "salient": 0.2, "random": 0.1},
        }  # fmt: skip
        (self.run / "explanations.json").write_text(json.dumps([shown]))
        (self.run / "exports").mkdir(exist_ok=True)
        shutil.copy(self.run / "model.onnx", self.run / "exports" / "model.onnx")
        proof = {"format": "onnx", "bytes": 1, "max_error": 0.0, "agree": 8, "n": 8, "latency_ms": 1.0, "drop": None}
        (self.run / "exports" / "proofs.json").write_text(json.dumps({"rows": [proof]}))
        (self.run / "exports" / "benchmark.json").write_text(
            json.dumps({"rows": [{"format": "onnx", "batch_1_ms": 1.0}]})
        )

    def known(self, path: str) -> dict[str, str]:
        """What stands in a path: of imports and takes new ones, since a change may end them."""
        at = f"/api/projects/{self.id}"
        found = {"p": self.id, "r": RUN, "s": self.sample, "f": "0" * 16, "j": "0" * 12, "name": "model.onnx"}
        if "{i}" in path:
            found["i"] = self.client("POST", at + "/imports").json["id"]
        if "{t}" in path:
            found["t"] = self.client("POST", at + "/takes", {"label": "a", "source": "webcam"}).json["id"]
        return found


@pytest.fixture(scope="module")
def photo_run_folder(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import handful

    settings = {"model": "statistics", "strategy": "prototype", "weights": "none", "repeats": 1}
    return Path(handful.train(photos, run=tmp_path_factory.mktemp("runs") / "quick", **settings).path)  # type: ignore[arg-type]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[StudioServer]:
    with StudioServer(folder=tmp_path / "data", port=0, token=TOKEN) as server:
        yield server


@pytest.fixture
def filled(tmp_path: Path, photos: Path, photo_run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Filled]:
    monkeypatch.setenv("HANDFUL_HOME", str(tmp_path / "home"))  # no picture of these photos was drawn there before
    with StudioServer(folder=tmp_path / "data", port=0, token=TOKEN) as server:
        yield Filled(server, photos, photo_run_folder)


def answered(answer: Answer, asked: object, capfd: pytest.CaptureFixture[str] | None = None) -> None:
    """No fault of ours, and errors in one shape."""
    said = capfd.readouterr().err if capfd and answer.status == 500 else ""
    assert answer.status < 500, (asked, answer.body[:300], said)
    assert b"Traceback" not in answer.body, asked
    if answer.status >= 400 and answer.status != 416:
        assert answer.headers["content-type"] == "application/problem+json", (asked, answer.status)


# -- wild values for every route ---------------------------------------------------------------------------------------

WORDS = (
    "..", "%2e%2e", "%00", "%ff", "%ed%a0%80", "%e2%80%ae", "__proto__", "None", "-1", "9" * 400, "NaN", "1e999", "--help", "x" * 5000,
    "%0d%0aX-Evil:%201", "'%20or%201=1--", "%7b%7b7*7%7d%7d", "a,b,,", "%F0%9F%A6%9C",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, -1, 1e308, 2**70, "", "\ud800", "a\0b", "x" * 5000, "\u202e", "__proto__", "-rf", "../../etc/passwd", [], {}, [[]],
    [None], {"__proto__": 1}, {"": ""}, {"a": {"b": [1e308]}},
)  # fmt: skip
BODIES = (
    b"", b"null", b"[]", b"{", b'"x"', b"NaN", b"\xff\xfe\0", b"[" * 100_000, b'{"name":' * 3000 + b"1" + b"}" * 3000,
    b'{"name":Infinity}', b'{"name":"a","name":["b"]}', b"1" * 6000, b"PK\x03\x04" + bytes(50), PNG + bytes(50),
)  # fmt: skip
# What begins work of minutes: asked with wild names only.
_LONG = {"/api/projects/sample", "/api/projects/{p}/jobs"}


def example(api: dict[str, Any], schema: dict[str, Any]) -> Any:
    """A value that a shape of the interface allows."""
    while "$ref" in schema or "anyOf" in schema:
        schema = (
            schema["anyOf"][0] if "anyOf" in schema else api["components"]["schemas"][schema["$ref"].split("/")[-1]]
        )
    if "enum" in schema:
        return schema["enum"][-1]
    if schema.get("type") == "object":
        wanted = schema.get("required", [])
        return {name: example(api, part) for name, part in schema.get("properties", {}).items() if name in wanted}
    if schema.get("type") == "array":
        return [example(api, schema["items"])]
    return {"string": "red", "integer": 1, "number": 1.0, "boolean": False}.get(schema.get("type", ""))


def wild(
    api: dict[str, Any], path: str, method: str, operation: dict[str, Any]
) -> Iterator[tuple[dict[str, str], str, Any]]:
    """(what stands in the path, query, body): one of them wild, the others as they should be."""
    content = operation.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema")
    body = example(api, schema) if schema else PNG if content else None
    queries = [p for p in operation.get("parameters", []) if p["in"] == "query"]
    needed = "&".join(f"{p['name']}=x" for p in queries if p.get("required"))
    for name in re.findall(r"\{(\w+)\}", path):
        for word in WORDS:
            yield {name: word}, needed, body
    if path in _LONG or method == "delete":
        return
    for query in queries:
        for word in WORDS:
            yield {}, f"{query['name']}={word}", body
    if content:
        for raw in BODIES:
            yield {}, needed, raw
    if schema:
        for field in [*api["components"]["schemas"][schema["$ref"].split("/")[-1]]["properties"], "unheard_of"]:
            for value in VALUES:
                yield {}, needed, {**body, field: value}
                yield {}, needed, {**body, field: [value]}
    yield {}, needed, body


@pytest.mark.slow
@pytest.mark.parametrize("area", ["check", "imports", "machine", "projects", "runs", "samples", "train", "use"])
def test_no_request_is_a_fault(filled: Filled, area: str, capfd: pytest.CaptureFixture[str]) -> None:
    """F-114, F-127, F-128: every route with values that nobody should send."""
    api = json.loads(document())
    asked = 0
    for path, operations in api["paths"].items():
        for method, operation in operations.items():
            for words, query, body in wild(api, path, method, operation) if operation["tags"] == [area] else ():
                places = filled.known(path) | words
                where = re.sub(r"\{(\w+)\}", lambda found, at=places: at[found[1]], path)  # type: ignore[misc]
                answer = filled.client(method.upper(), f"{where}?{query}", body)
                answered(answer, (method, where[:200], query[:200], repr(body)[:200]), capfd)
                asked += 1
    assert asked > 0
    assert filled.client("GET", f"/api/projects/{filled.id}").status == 200


# -- files that are damaged, or were made to do harm -------------------------------------------------------------------

TORN = (b"", b"null", b"[]", b"{}", b"{", b"\xff\xfe\0", b"[" * 100_000, b'{"model": "\\ud800"}')
WRONG: tuple[Any, ...] = (None, "x", [], {}, -1, [1], 1e999)


def changed(value: Any, depth: int = 0) -> Iterator[Any]:
    """`value` with one thing in it missing or of another type."""
    if isinstance(value, dict) and depth < 3:
        for key, inner in value.items():
            yield {other: kept for other, kept in value.items() if other != key}
            yield from ({**value, key: wrong} for wrong in WRONG if type(wrong) is not type(inner))
            yield from ({**value, key: part} for part in changed(inner, depth + 1))
    elif isinstance(value, list) and value and depth < 3:
        yield from ([wrong, *value[1:]] for wrong in WRONG if type(wrong) is not type(value[0]))
        yield from ([part, *value[1:]] for part in changed(value[0], depth + 1))


def damaged(content: bytes, suffix: str) -> list[bytes]:
    """Torn and strange contents of a file, a few of each kind."""
    found = list(TORN)
    if suffix == ".json":
        found += [json.dumps(value).encode() for value in changed(json.loads(content))]
    elif suffix == ".jsonl":
        first, *rest = content.splitlines()
        found += [b"\n".join([json.dumps(value).encode(), *rest]) for value in changed(json.loads(first))]
    step = max(1, (len(found) - len(TORN)) // 6)
    return found[: len(TORN)] + found[len(TORN) :: step]


KEPT = (
    "run.json", "samples.jsonl", "out_of_fold.jsonl", "recipe.yaml", "name.json", "explanations.json", "model.onnx", "vectors.json",
    "exports/proofs.json", "exports/benchmark.json", "../../findings.json",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", KEPT)
def test_a_damaged_file_is_said_and_hides_nothing_else(
    filled: Filled, name: str, photos: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """F-8, F-106, F-110: whole projects come from strangers, too. What is damaged is said; lists go on without it."""
    at, client = f"/api/projects/{filled.id}", filled.client
    own = [f"{at}/runs/{RUN}{rest}" for rest in ("", "/predictions", "/report?lang=ru", "/explanations", "/exports")]
    lists = ["/api/projects", at, f"{at}/runs", f"{at}/comparison", f"{at}/samples?sort=doubt", f"{at}/findings"]
    file = (filled.run / name).resolve()
    content = file.read_bytes() if file.is_file() else b'{"name": "x"}'
    recipes = [
        b"labels: [1]",
        b"- 1",
        b"a: &a [*a]",
        b"!!python/object/apply:os._exit [1]",
        b"x: " + b"[" * 5000,
        bomb(),
    ]
    for number, wrong in enumerate(recipes if name == "recipe.yaml" else damaged(content, file.suffix)):
        file.write_bytes(wrong)
        # Files are remembered by their time, which two writes may share.
        os.utime(file, ns=(number * 10**9, number * 10**9))
        for where in own + [f"{at}/map"]:
            answered(client("GET", where), (where, wrong[:200]), capfd)
        for where in lists:
            answer = client("GET", where)
            assert answer.status == 200, (where, wrong[:200], answer.body[:300], capfd.readouterr().err)
        answered(
            client("POST", f"{at}/plan", {"settings": {"weights": "none", "model": "statistics"}}), wrong[:200], capfd
        )
    answered(client("POST", f"{at}/runs/{RUN}/predict", (photos / "red" / "00.png").read_bytes()), name, capfd)


def bomb() -> bytes:
    """Ten lists, each of ten times the one before."""
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    return "\n".join([*rows, "head: *a9"]).encode()


def test_a_studio_begins_and_deletes_what_is_damaged(tmp_path: Path, photos: Path, photo_run_folder: Path) -> None:
    """A run that cannot be read keeps neither the index from being made again nor itself from being deleted."""
    with StudioServer(folder=tmp_path / "data", port=0, token=TOKEN) as server:
        filled = Filled(server, photos, photo_run_folder)
        (filled.run / "run.json").write_text(
            '{"score": {"value": "x", "low": [], "high": {}, "n": null}, "classes": 5}'
        )
    (tmp_path / "data" / "studio.sqlite").unlink()
    with StudioServer(folder=tmp_path / "data", port=0, token=TOKEN) as server:
        client, at = Client(server.port, token=TOKEN), f"/api/projects/{filled.id}"
        assert client("GET", f"{at}/runs").json == []
        found = client("GET", f"{at}/runs/{RUN}").problem(422)
        assert "damaged" in found["detail"] and "delete" in found["hint"]
        assert client("DELETE", f"{at}/runs/{RUN}").status == 200
        client("GET", f"{at}/runs/{RUN}").problem(404)
        assert client("POST", f"{at}/undo").status == 200
        client("GET", f"{at}/runs/{RUN}").problem(422)


def test_a_medium_that_somebody_removed_is_said(filled: Filled) -> None:
    """F-23"""
    next(filled.folder.glob(f"media/*/{filled.sample}.*")).unlink()
    at = f"/api/projects/{filled.id}/samples/{filled.sample}"
    found = filled.client("GET", f"{at}/file").problem(404)
    assert "no longer" in found["detail"] and found["hint"]
    for rest in ("/thumb", "/preview", "/wave", "/spectrogram"):
        answered(filled.client("GET", at + rest), rest)
    filled.client("GET", f"/api/projects/{filled.id}/archive").problem(422)
    assert not list(filled.server.studio.upload_folder().iterdir())


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_a_medium_that_leads_elsewhere_is_never_opened(filled: Filled, tmp_path: Path, photos: Path, kind: str) -> None:
    """F-27, F-28: a project may come from a stranger as a folder, too. Neither shown nor explained nor packed."""
    secret = tmp_path / "secret.png"
    shutil.copy(photos / "green" / "11.png", secret)
    (path,) = filled.folder.glob(f"media/*/{filled.sample}.*")
    path.unlink()
    {"link": lambda: path.symlink_to(secret), "pipe": lambda: os.mkfifo(path), "folder": path.mkdir}[kind]()
    at = f"/api/projects/{filled.id}"
    for rest in ("/file", "/thumb", "/preview", "/wave", "/spectrogram"):
        answer = filled.client("GET", f"{at}/samples/{filled.sample}{rest}")
        assert answer.status in (404, 422) and secret.read_bytes() not in answer.body, rest
    wish = {"kind": "explain", "run": RUN, "settings": {"samples": [filled.sample]}}
    filled.client("POST", f"{at}/jobs", wish).problem(404)
    assert filled.client("POST", f"{at}/plan", {"settings": {"weights": "none", "model": "statistics"}}).status == 200
    assert "missing from the project" in filled.client("GET", f"{at}/archive").problem(422)["detail"]


# -- archives ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_run_in_a_stranger_s_archive_reaches_no_file_outside_the_project(
    filled: Filled, tmp_path: Path, photos: Path
) -> None:
    """Its samples are looked for in the project, whatever it names and even where it knows the content."""
    private = Path(shutil.copytree(photos, tmp_path / "private"))
    secret = private / "red" / "01.png"
    row = {"id": "x", "sha256": hashlib.sha256(secret.read_bytes()).hexdigest(), "label": "red", "group": None}
    names = [str(secret), "../" * 9 + str(secret)[1:], secret.as_uri(), "red/01.png"]
    rows = [row | {"file": name, "cluster": 0, "split": "train"} for name in names]
    (filled.run / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = json.loads((filled.run / "run.json").read_text())
    result["data"]["path"] = str(private)
    (filled.run / "run.json").write_text(json.dumps(result))
    (filled.run / "recipe.yaml").write_text(f"data: {private}\nlabels: {private}/labels.csv\nmodel: statistics\n")
    packed = filled.client("GET", f"/api/projects/{filled.id}/archive").body
    at = f"/api/projects/{filled.client('POST', '/api/projects/archive', packed).json['id']}"
    job = filled.client("POST", f"{at}/jobs", {"kind": "explain", "run": RUN, "settings": {"limit": 4}}).json["id"]
    waited_for(lambda: filled.client("GET", f"/api/jobs/{job}").json["state"] in ("done", "failed"))
    assert filled.client("GET", f"/api/jobs/{job}").json["state"] == "done"
    told = filled.client("GET", f"{at}/runs/{RUN}/explanations").json
    assert len(told) == 4 and all(card["file"].startswith("vectors/") for card in told)
    job = filled.client("POST", f"{at}/jobs", {"kind": "curve", "run": RUN}).json["id"]
    waited_for(lambda: filled.client("GET", f"/api/jobs/{job}").json["state"] in ("done", "failed"))
    log = filled.client("GET", f"/api/jobs/{job}/log").body.decode()
    assert filled.client("GET", f"/api/jobs/{job}").json["state"] == "failed" and str(private) not in log


def test_a_hostile_archive_is_refused_on_every_way_in(filled: Filled, tmp_path: Path) -> None:
    """F-81 to F-88: nothing is written outside, nothing of it stays inside."""
    at = f"/api/projects/{filled.id}/imports"
    bring = filled.client("POST", at).json["id"]

    def there() -> set[Path]:
        return {path for path in tmp_path.rglob("*") if ".sqlite" not in path.name}

    before = there()
    for name in [name for name in ATTACKS if name not in ("nothing", "too many", "too large", "large member")]:
        content, why = ATTACKS[name]
        for method, where in (("PUT", f"{at}/{bring}/files?path=a.zip"), ("POST", "/api/projects/archive")):
            found = filled.client(method, where, content)
            problem = found.problem(413 if "lists" in why else 422)
            assert re.search(f"{why}|holds no handful project", problem["detail"]) and problem["hint"], (name, problem)
            assert "\n" not in problem["detail"]
    assert filled.client("GET", f"{at}/{bring}").json["received"] == []
    assert there() == before and len(filled.client("GET", "/api/projects").json) == 1


# -- what goes away while it is used -----------------------------------------------------------------------------------


@pytest.mark.parametrize("gone", ["import", "project"])
def test_an_upload_whose_place_is_deleted_meanwhile_is_told(filled: Filled, gone: str, photos: Path) -> None:
    """F-42"""
    at = f"/api/projects/{filled.id}"
    bring = filled.client("POST", f"{at}/imports").json["id"]
    body = (photos / "red" / "01.png").read_bytes()
    head = (
        f"PUT {at}/imports/{bring}/files?path=a/1.png HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
    )
    with socket.create_connection(("127.0.0.1", filled.client.port), timeout=20) as connection:
        connection.sendall(f"{head}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body[:100])
        time.sleep(0.2)
        where = f"{at}/imports/{bring}" if gone == "import" else at
        assert filled.client("DELETE", where).status == 204
        connection.sendall(body[100:])
        answer = received(connection)
    assert answer.startswith(b"HTTP/1.1 404 ") and b'"hint"' in answer
    assert not list(filled.server.studio.upload_folder().iterdir())


def test_a_download_that_nobody_reads_leaves_no_file(filled: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
    """F-116: a project is packed for each download; who leaves or never reads must not fill the disk."""
    monkeypatch.setattr(filled.server.application._door, "_send_time", 0.3)
    with open(filled.run / "large.bin", "wb") as file:
        file.write(os.urandom(20_000_000))  # more than a socket holds
    head = f"GET /api/projects/{filled.id}/archive HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    for leaves in (True, False):
        with socket.create_connection(("127.0.0.1", filled.client.port), timeout=20) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(head.encode())
            assert connection.recv(12) == b"HTTP/1.1 200"
            if leaves:
                connection.close()
            waited_for(lambda: not list(filled.server.studio.upload_folder().iterdir()))


# -- names -------------------------------------------------------------------------------------------------------------

# As given, and as everybody sees it; None: refused.
NAMES: dict[str, str | None] = {
    "e\u0301": "\xe9", "a\nb": "a\\nb", "a\x00b": "a\\x00b", "\x1b[31mred": "\\x1b[31mred", "a\u2028b": "a\\u2028b", " x ": "x", "\ud800x": None,
} | {
    name: name
    for name in (
        "-rf", "--help", "$(id)", "`id`;", "%s{}", "{{7*7}}", "__proto__", "constructor", "None", "nan", "true", "1e5", "007", "train",
        "CON", "nul.txt", "dot.", "a:b", "..\\x", "../x", "</script><img src=x onerror=alert(1)>", "javascript:alert(1)",
        "\u202egnp.exe", "a\u200bb", "\u043aot", "\U0001f431" * 50, "=1+1", "'=1+1", "x" * 120,
    )
}  # fmt: skip


@pytest.mark.slow
def test_a_name_is_the_same_wherever_it_goes(server: StudioServer, photos: Path) -> None:
    """F-73 to F-80: classes, files, takes, groups and projects keep their names through lists, tables, undo and archives."""
    client = Client(server.port, token=TOKEN)
    pictures = [path.read_bytes() for path in sorted(photos.glob("*/*"))[:3]]
    for name, wanted in NAMES.items():
        if wanted is None:
            client("POST", "/api/projects", {"name": name}).problem(422)
            continue
        project = client("POST", "/api/projects", {"name": name}).json
        at = f"/api/projects/{project['id']}"
        assert project["name"] == wanted
        assert client("POST", f"{at}/classes", {"name": name}).json["project"]["classes"][0]["name"] == wanted
        take = client("POST", f"{at}/takes", {"label": name, "source": "webcam", "device": name}).json
        assert take["label"] == wanted
        assert client("PUT", f"{at}/takes/{take['id']}/samples", pictures[0]).status == 200
        bring = client("POST", f"{at}/imports").json["id"]
        path = quote(f"y/file {name.replace('/', '_')}.png")
        assert client("PUT", f"{at}/imports/{bring}/files?path={path}", pictures[1]).status == 200
        assert client("PUT", f"{at}/imports/{bring}/files?path=z/1.png", pictures[2]).status == 200
        done = client("POST", f"{at}/imports/{bring}/confirm", {"classes": {"z": name}}).json
        assert {found["name"]: found["count"] for found in done["project"]["classes"]} == {wanted: 2, "y": 1}
        found = client("GET", f"{at}/samples?label={quote(wanted)}").json
        assert found["total"] == 2 and {row["label"] for row in found["samples"]} == {wanted}
        ids = [row["id"] for row in found["samples"]]
        assert client("POST", f"{at}/samples/group", {"ids": ids, "group": name}).status == 200
        shape = client("POST", f"{at}/classes/delete", {"name": wanted}).json["project"]
        assert [c["name"] for c in shape["classes"]] == ["y"]
        assert client("POST", f"{at}/undo").json["project"]["classes"][0]["name"] == wanted
        other = client("POST", "/api/projects/archive", client("GET", f"{at}/archive").body).json
        assert (other["name"], [c["name"] for c in other["classes"]]) == (wanted, [wanted, "y"])
        folder = Path(other["folder"])
        assert all(re.fullmatch(r"[A-Za-z0-9._-]+", part.name) for part in folder.rglob("*"))
        head, *rows = csv.reader(io.StringIO((folder / "labels.csv").read_text(encoding="utf-8")))
        assert len(rows) == 3 and {len(row) for row in rows} == {len(head)}
        assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@", "\t"))]
        for row in client("GET", f"/api/projects/{other['id']}/samples").json["samples"]:
            answer = client("GET", f"/api/projects/{other['id']}/samples/{row['id']}/file")
            kept = answer.headers["content-disposition"]
            assert answer.status == 200 and kept.startswith("attachment; ") and kept.isprintable(), kept


# -- what is given back ------------------------------------------------------------------------------------------------


def test_nothing_that_came_from_outside_is_a_page(filled: Filled) -> None:
    """F-126: files are attachments, or were drawn by us; reports are in a sandbox without scripts; nothing is sniffed."""
    evil = b"<!doctype html><script>alert(1)</script>"
    (filled.run / "explanations").mkdir(exist_ok=True)
    (filled.run / "explanations" / f"{'0' * 16}.jpg").write_bytes(evil)
    (filled.run / "exports" / "model.onnx").write_bytes(evil)
    (filled.run / "report.html").write_bytes(b'<html lang="en">' + evil)
    at = f"/api/projects/{filled.id}"
    saved = [f"{at}/archive", f"{at}/samples/{filled.sample}/file", f"{at}/runs/{RUN}/exports/model.onnx"]
    drawn = [f"{at}/samples/{filled.sample}/{kind}" for kind in ("thumb", "preview")]
    shown = [f"{at}/runs/{RUN}/explanations/{'0' * 16}.jpg"]
    for where in saved + drawn + shown:
        answer = filled.client("GET", where)
        assert answer.status == 200 and answer.headers["x-content-type-options"] == "nosniff", where
        kind = answer.headers["content-type"]
        assert kind in ("application/zip", "application/octet-stream", "image/jpeg", "image/png"), (where, kind)
        assert answer.headers.get("content-disposition", "").startswith("attachment") == (where in saved), where
    report = filled.client("GET", f"{at}/runs/{RUN}/report")
    policy = report.headers["content-security-policy"]
    assert (
        "sandbox" in policy
        and "allow-scripts" not in policy
        and "default-src 'none'" in policy
        and "script-src" not in policy
    )


def test_one_range_is_given_and_what_is_none_is_passed_over(filled: Filled) -> None:
    """F-128: neither an answer of another shape nor thousands of parts."""
    where = f"/api/projects/{filled.id}/samples/{filled.sample}/file"
    whole = filled.client("GET", where).body
    for words in (
        "bytes=",
        "bytes=-",
        "bytes=5-2",
        "items=0-1",
        "bytes=0-1,3-4",
        "bytes=" + "0-,1-," * 800 + "0-",
        "\xff",
    ):
        answer = filled.client("GET", where, Range=words)
        answered(answer, words)
        assert (answer.status, answer.body) == (200, whole), (words, answer.status)
    for words, part in (("bytes=0-3", whole[:4]), ("bytes=-3", whole[-3:]), ("bytes=9-", whole[9:])):
        answer = filled.client("GET", where, Range=words)
        assert (answer.status, answer.body) == (206, part), words
    assert filled.client("GET", where, Range=f"bytes={len(whole)}-").status == 416


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.png", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"), ("a.svg", b"<?xml version='1.0'?><svg/>"),
        ("a.jpg", b"<!doctype html><script>alert(1)</script>"), ("model.pt", b"\x80\x04\x95"), ("a.wav", b"\x80\x02}q\x00."),
        ("a.png", b"\x7fELF" + bytes(60)), ("model.onnx", b"\x08\x07\x12\x07pytorch"), ("w.safetensors", b"\x08" + bytes(80)),
        ("a.gif", b"GIF89a<script>alert(1)</script>"), ("a.png", PNG + b"<script>alert(1)</script>" + bytes(40)),
    ],
)  # fmt: skip
def test_what_is_no_picture_or_sound_is_not_kept(server: StudioServer, name: str, content: bytes) -> None:
    """F-55, F-104: by content, whatever it is called; models and pickles have no way in."""
    client = Client(server.port, token=TOKEN)
    at = f"/api/projects/{client('POST', '/api/projects', {'name': 'x'}).json['id']}"
    bring = client("POST", f"{at}/imports").json["id"]
    found = client("PUT", f"{at}/imports/{bring}/files?path=cat/{name}", content)
    assert found.status == 200 and found.json["files"] == 0 and found.json["reason"]
    client("POST", f"{at}/imports/{bring}/confirm", {}).problem(422)
    take = client("POST", f"{at}/takes", {"label": "cat", "source": "webcam"}).json["id"]
    answer = client("PUT", f"{at}/takes/{take}/samples", content)
    assert 400 <= answer.status < 500 and answer.json["hint"]
    client("POST", "/api/projects/archive", content).problem(422)
    assert client("GET", at).json["samples"] == 0
    folder = Path(client("GET", at).json["folder"])
    assert not list(folder.glob("media/*/*"))
