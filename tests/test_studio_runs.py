"""The studio's interface from training to export, over HTTP, with real workers: what a program without pages would do."""

from __future__ import annotations

import http.client
import http.server
import importlib.util
import io
import json
import re
import socket
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import handful
from tests.conftest import write_photos

QUICK = {"model": "statistics", "strategy": "prototype", "weights": "none", "repeats": 1, "threads": 1}
TOKEN = "a token of the tests, long enough to be one"
OVER = {"done", "failed", "stopped", "interrupted"}
pytest.importorskip("onnx")


class Client:
    """A program that talks to the studio."""

    def __init__(self, port: int) -> None:
        self.port = port

    def raw(
        self, method: str, path: str, body: bytes | None = None, lang: str = "en"
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Authorization": f"Bearer {TOKEN}", "Accept-Language": lang}
        headers |= {"Content-Type": "application/json"} if body is not None else {}
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def __call__(self, method: str, path: str, body: Any = None, status: int | None = None, lang: str = "en") -> Any:
        """The JSON of an answer; it is an error of the test when the status is another than expected."""
        sent = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        found, _, content = self.raw(method, path, sent, lang)
        assert found == status if status else found < 300, (method, path, found, content[:500])
        return json.loads(content) if content else None

    def finished(self, job: dict[str, Any], seconds: float = 120.0) -> dict[str, Any]:
        """The job when it is over."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            now: dict[str, Any] = self("GET", f"/api/jobs/{job['id']}")
            if now["state"] in OVER:
                return now
            time.sleep(0.1)
        raise AssertionError(f"the job is still {now['state']}")


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from handful.workflow.studio import Studio

    with Studio(tmp_path_factory.mktemp("studio")) as made:
        yield made


@pytest.fixture(scope="module")
def client(studio: Any) -> Iterator[Client]:
    import uvicorn

    from handful.web.studio.app import Application

    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    application = Application(studio, port, token=TOKEN)
    server = uvicorn.Server(uvicorn.Config(application, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield Client(port)
    studio.leave()
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive()
    listening.close()


def fill(studio: Any, folder: Path, name: str = "Colours") -> str:
    """A project with the pictures of `folder`; its id."""
    project = studio.projects.create(name)
    for path in sorted(folder.glob("*/*")):
        project.add(path.read_bytes(), path.parent.name, path.name)
    return str(project.id)


@pytest.fixture(scope="module")
def project(studio: Any, client: Client, tmp_path_factory: pytest.TempPathFactory) -> str:
    return fill(studio, write_photos(tmp_path_factory.mktemp("pictures"), per_class=8, size=32))


@pytest.fixture(scope="module")
def trained(client: Client, project: str) -> dict[str, Any]:
    """A finished training job of the project."""
    wish = {"kind": "train", "settings": QUICK, "title": "First"}
    done = client.finished(client("POST", f"/api/projects/{project}/jobs", wish, 201))
    assert done["state"] == "done", (done, client("GET", f"/api/jobs/{done['id']}/log"))
    return done


def test_form_has_every_setting_of_the_recipe_once(client: Client) -> None:
    from handful.config import ELSEWHERE, Recipe

    fields = {field["name"]: field for field in client("GET", "/api/recipe")["fields"]}
    assert set(fields) == set(Recipe.model_fields) - set(ELSEWHERE)
    assert fields["epochs"]["type"] == "integer" and (fields["epochs"]["low"], fields["epochs"]["high"]) == (1, 10_000)
    assert fields["learning_rate"]["low_open"] and not fields["learning_rate"]["high_open"]
    assert fields["strategy"]["choices"] == ["auto", "prototype", "probe", "finetune", "scratch"]
    assert sum(field["group"] == "basic" for field in fields.values()) <= 6


def test_settings_and_presets_are_called_in_plain_words_in_every_language(client: Client) -> None:
    from handful.config import presets
    from handful.workflow.studio.orders import RACE

    folder = Path(handful.__file__).parent / "locales" / "recipe"
    en, ru = (json.loads((folder / f"{lang}.json").read_text(encoding="utf-8")) for lang in ("en", "ru"))
    fields = client("GET", "/api/recipe", lang="ru-RU,ru;q=0.9")["fields"]
    names = {field["name"] for field in fields}
    assert set(ru["presets"]) == set(presets()) and all(content["title"] for content in presets().values())
    for texts in (en, ru):
        assert set(texts["settings"]) == names and set(texts["labels"]) == names | set(RACE)
        offered = {name: set(texts["choices"].get(name, ())) for name in names}
        fixed = {f["name"]: set(f["choices"]) for f in fields if f["type"] == "choice" and f["choices"]}
        assert {name: offered[name] for name in fixed} == fixed, "a choice has no words"
    assert all(re.search("[а-я]", field["help"]) and re.search("[а-я]", field["label"]) for field in fields)
    for row in client("GET", "/api/presets", lang="ru"):
        assert all(re.search("[а-я]", text) for text in (row["title"], row["summary"], *row["sets"]))
    assert client("GET", "/api/recipe", lang="../../etc") == client("GET", "/api/recipe")


def test_catalogue_and_presets_are_those_of_the_registries(client: Client) -> None:
    from handful.config import presets
    from handful.models import models

    assert {row["name"] for row in client("GET", "/api/models")} == set(models.names())
    of_sounds = {row["name"] for row in client("GET", "/api/models?modality=audio")}
    assert of_sounds == {model.name for model in models if "audio" in model.modalities}
    assert {row["name"] for row in client("GET", "/api/presets")} == set(presets())
    races = {row["name"] for row in client("GET", "/api/presets?modality=image") if row["race"]}
    assert "images-004" in races and "sounds-004" not in races


def test_plan_says_what_would_be_done_and_what_is_in_the_way(studio: Any, client: Client, tmp_path: Path) -> None:
    empty = fill(studio, tmp_path)
    found = client("POST", f"/api/projects/{empty}/plan", {})
    assert not found["ready"] and found["problems"] == [
        "There is nothing to train on yet: add two classes with a few samples each."
    ]
    one = fill(studio, write_photos(tmp_path / "one", classes=("red",), per_class=2, size=16))
    assert "only one class with samples, red" in client("POST", f"/api/projects/{one}/plan", {})["problems"][0]
    assert "красн" not in client("POST", f"/api/projects/{one}/plan?lang=ru", {})["problems"][0]
    few = fill(studio, write_photos(tmp_path / "few", per_class=2, size=16, seed=3))
    found = client("POST", f"/api/projects/{few}/plan", {"settings": {"weights": "none", "strategy": "probe"}})
    assert found["ready"] and (found["strategy"], found["method"]) == ("probe", "quick"), found
    assert "quick method" in found["sentence"] and found["model"] not in found["sentence"] + found["why"], found
    wrong = client("POST", f"/api/projects/{few}/plan", {"settings": {"epochs": 0}})
    assert not wrong["ready"] and wrong["problems"][0].startswith("epochs = 0")


class _Counting(http.server.BaseHTTPRequestHandler):
    asked: list[str] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_error(404)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="networks need torch")
def test_planning_says_what_would_be_fetched_and_fetches_nothing(
    studio: Any, client: Client, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), _Counting) as mirror:
        threading.Thread(target=mirror.serve_forever, daemon=True).start()
        monkeypatch.delenv("HANDFUL_OFFLINE")
        monkeypatch.setenv("HANDFUL_WEIGHTS_MIRROR", f"http://127.0.0.1:{mirror.server_port}")
        for model in ("resnet18", "auto"):
            found = client("POST", f"/api/projects/{project}/plan", {"settings": {"model": model}})
            assert found["ready"] and "are fetched from the network first" in found["notes"][0], found
        mirror.shutdown()
    assert found["model"] == "efficientnet_b0" and _Counting.asked == []
    unlisted = client("POST", f"/api/projects/{project}/plan", {"settings": {"model": "timm/resnet10t"}})
    assert unlisted["ready"] and unlisted["model"] == "timm/resnet10t"


def test_time_of_a_first_training_is_measured_beside(studio: Any, client: Client, tmp_path: Path) -> None:
    made = fill(studio, write_photos(tmp_path / "first", per_class=5, size=16, seed=4))
    path, wish = f"/api/projects/{made}/plan", {"settings": QUICK | {"strategy": "probe", "head": "lda", "views": 0}}
    first = client("POST", path, wish)
    assert first["ready"] and first["seconds"] is None and "time not known yet" in first["sentence"]
    end = time.monotonic() + 120
    while (found := client("POST", path, wish))["seconds"] is None:
        assert time.monotonic() < end
        time.sleep(0.1)
    assert found["seconds"] > 0 and "about" in found["sentence"]
    assert client("GET", f"/api/projects/{made}/runs") == [] and client("GET", f"/api/jobs?project={made}") == []
    job = client("POST", f"/api/projects/{made}/jobs", wish | {"kind": "train"}, 201)
    assert studio.queue.get(job["id"]).expected_seconds == found["seconds"]
    end = time.monotonic() + 60
    while (now := client("GET", f"/api/jobs/{job['id']}"))["share"] is None:  # from the beginning, before it counts
        assert time.monotonic() < end and now["state"] in ("queued", "running")
        time.sleep(0.02)
    assert 0 <= now["share"] < 1
    assert client.finished(job)["state"] == "done"
    check = client.finished(client("POST", f"/api/projects/{made}/jobs", {"kind": "check"}, 201))
    again = client.finished(client("POST", f"/api/projects/{made}/jobs", {"kind": "check"}, 201))
    took = studio.queue.get(check["id"]).worked_seconds
    assert studio.queue.get(again["id"]).expected_seconds == took > 0


def test_nothing_is_queued_that_cannot_be_done(client: Client, project: str, trained: dict[str, Any]) -> None:
    jobs = f"/api/projects/{project}/jobs"
    before = len(client("GET", "/api/jobs"))
    refused = [
        {"kind": "train", "settings": {"epoch": 3}},
        {"kind": "train", "settings": {"epochs": -1}},
        {"kind": "train", "settings": {"data": "/etc"}},
        {"kind": "train", "settings": {"labels": "/etc/passwd"}},
        {"kind": "train", "settings": {"test": "/etc"}},
        {"kind": "train", "settings": {"start": "/etc"}},
        {"kind": "train", "settings": {"weights": "/etc/passwd"}},
        {"kind": "train", "settings": {"model": "resnet_18"}},
        {"kind": "train", "settings": {"model": "/etc/passwd"}},
        {"kind": "train", "settings": {"model": "statistics+mine.onnx"}},
        {"kind": "train", "settings": {"model": "timm/../x"}},
        {"kind": "check", "settings": {"model": "/etc/passwd"}},
        {"kind": "compare", "settings": {"models": ["/etc/passwd"]}},
        {"kind": "compare", "settings": {"vary": {"model": ["/etc/passwd"]}}},
        {"kind": "compare", "settings": {"vary": {"weights": ["/etc/passwd"]}}},
        {"kind": "train", "preset": "images-004"},
        {"kind": "train", "preset": "../quick"},
        {"kind": "train", "run": trained["run"]},  # no network in it
        {"kind": "compare", "settings": {"budget": "soon"}},
        {"kind": "compare", "settings": {"vary": {"data": ["/etc"]}}},
        {"kind": "export", "run": trained["run"], "formats": ["onyx"]},
        {"kind": "export", "run": trained["run"], "formats": ["coreml"]},
        {"kind": "export", "run": trained["run"], "formats": []},
        {"kind": "export", "formats": ["onnx"]},
        {"kind": "explain", "run": trained["run"], "settings": {"limit": 0}},
        {"kind": "explain", "run": trained["run"], "settings": {"out": "/tmp"}},
        {"kind": "curve"},
    ]
    for wish in refused:
        status, headers, content = client.raw("POST", jobs, json.dumps(wish).encode())
        assert status == 422 and headers["content-type"].startswith("application/problem+json"), (wish, status, content)
        assert json.loads(content)["detail"], wish
    for run in ("../../jobs", "..", "x" * 64, "nothing"):
        status, _, _ = client.raw("POST", jobs, json.dumps({"kind": "curve", "run": run}).encode())
        assert status == 404, run
    assert len(client("GET", "/api/jobs")) == before


def test_training_leaves_a_job_with_log_and_a_run(client: Client, project: str, trained: dict[str, Any]) -> None:
    assert trained["title"] == "First" and trained["run"] and trained["ended"] >= trained["started"]
    log = client("GET", f"/api/jobs/{trained['id']}/log")
    assert any("16 pictures in 2 classes" in line["text"] for line in log["lines"])
    assert client("GET", f"/api/jobs/{trained['id']}/log?after={log['next']}")["lines"] == []
    assert client("GET", f"/api/jobs/{trained['id']}/series")["points"] == []  # nothing is trained by gradient
    cards = client("GET", f"/api/projects/{project}/runs")
    card = next(card for card in cards if card["id"] == trained["run"])
    assert card["name"] == "First"  # as the job was called
    assert card["model"] == "statistics" and card["samples"] == 16 and not card["stale"]
    plan = client("POST", f"/api/projects/{project}/plan", {"settings": QUICK})
    assert plan["seconds"] > 0 and "about" in plan["sentence"]


def test_run_says_in_words_what_run_json_says(client: Client, project: str, trained: dict[str, Any]) -> None:
    from handful.reporting import words

    found = client("GET", f"/api/projects/{project}/runs/{trained['run']}")
    assert found["headline"][0] in words.headline(found["result"])
    assert found["card"]["score"]["value"] == found["result"]["score"]["value"] and found["advice"]
    assert found["card"]["score"]["chance"] == 0.5
    russian = client("GET", f"/api/projects/{project}/runs/{trained['run']}?lang=ru")
    assert re.search("[а-я]", russian["headline"][0]) and russian["headline"] != found["headline"]


def test_predictions_fill_the_cells_of_the_confusion_matrix(
    client: Client, project: str, trained: dict[str, Any]
) -> None:
    run = f"/api/projects/{project}/runs/{trained['run']}"
    confusion = client("GET", run)["result"]["confusion"]
    everything = client("GET", f"{run}/predictions")
    assert len(everything) == 16 and all(row["sample"]["id"] == row["id"] for row in everything)
    for i, true in enumerate(confusion["labels"]):
        for j, said in enumerate(confusion["labels"]):
            rows = client("GET", f"{run}/predictions?true={quote(true)}&predicted={quote(said)}")
            assert len(rows) == confusion["counts"][i][j]
            assert all((row["true"], row["predicted"]) == (true, said) for row in rows)
    doubt = [row["scores"][row["true"]] for row in everything]
    assert doubt == sorted(doubt)
    assert all(row["true"] != row["predicted"] for row in client("GET", f"{run}/predictions?wrong=true"))


def test_report_comes_in_a_sandbox_and_in_both_languages(client: Client, project: str, trained: dict[str, Any]) -> None:
    for lang in ("en", "ru"):
        status, headers, content = client.raw(
            "GET", f"/api/projects/{project}/runs/{trained['run']}/report?lang={lang}"
        )
        assert status == 200 and f'lang="{lang}"' in content.decode()[:500]
        policy = headers["content-security-policy"]
        assert policy.startswith("sandbox") and "allow-scripts" not in policy and "allow-same-origin" not in policy


def test_map_places_every_sample(client: Client, project: str, trained: dict[str, Any]) -> None:
    found = client("GET", f"/api/projects/{project}/map?run={trained['run']}")
    assert found["run"] == trained["run"] and len(found["points"]) == 16
    assert len({(point["x"], point["y"]) for point in found["points"]}) > 8


def test_prediction_equals_the_library(
    studio: Any, client: Client, project: str, trained: dict[str, Any], tmp_path: Path
) -> None:
    picture = next(write_photos(tmp_path / "new", per_class=1, size=40, seed=5).glob("*/*"))
    found = client("POST", f"/api/projects/{project}/runs/{trained['run']}/predict", picture.read_bytes())
    expected = handful.load(studio.project(project).runs / trained["run"]).predict(picture)
    assert found["label"] == expected.label and found["set"] == list(expected.set)
    assert found["scores"] == pytest.approx(expected.scores) and found["unknown"] == expected.unknown
    status, headers, _ = client.raw("POST", f"/api/projects/{project}/runs/{trained['run']}/predict", b"no picture")
    assert status in (415, 422) and headers["content-type"].startswith("application/problem+json")


def test_a_file_that_browsers_cannot_show_is_drawn(client: Client, project: str) -> None:
    from PIL import Image

    with io.BytesIO() as file:
        Image.new("RGB", (2000, 30), "red").save(file, "TIFF")
        status, headers, content = client.raw("POST", f"/api/projects/{project}/preview", file.getvalue())
    assert status == 200 and headers["content-type"] == "image/jpeg"
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.size == (1024, 15)
    for bad, words in ((b"text", "cannot be used: not a picture"), (b"\x89PNG\r\n\x1a\n", "picture")):
        status, _, content = client.raw("POST", f"/api/projects/{project}/preview", bad)
        assert status == 422 and words in json.loads(content)["detail"], content


def test_never_more_models_are_held_than_allowed(studio: Any, project: str, trained: dict[str, Any]) -> None:
    import shutil

    from handful.workflow.studio.using import Models

    first = studio.project(project).runs / trained["run"]
    paths = [first, *(shutil.copytree(first, studio.folder / f"copy-{i}") for i in range(3))]
    models = Models(most=2)
    for path in [*paths, *paths]:
        with models.use(path) as model:
            assert model.classes == ["green", "red"] and len(models) <= 2
    models.close()
    assert len(models) == 0
    idle = Models(idle_seconds=0.1)
    with idle.use(first):
        time.sleep(0.3)
        assert len(idle) == 1
    end = time.monotonic() + 30
    while len(idle) and time.monotonic() < end:
        time.sleep(0.05)
    assert len(idle) == 0


def test_deleting_a_job_that_did_not_end_leaves_nothing_and_the_run_of_another(
    studio: Any, client: Client, project: str, trained: dict[str, Any]
) -> None:
    wish = {"kind": "train", "settings": QUICK | {"seed": 1}}
    job = client("POST", f"/api/projects/{project}/jobs", wish, 201)
    folder = studio.project(project).runs / job["run"]
    while client("GET", f"/api/jobs/{job['id']}")["state"] in ("queued", "running") and not folder.exists():
        time.sleep(0.02)
    assert client.raw("DELETE", f"/api/jobs/{job['id']}")[0] == 409
    client("POST", f"/api/jobs/{job['id']}/stop")
    ended = client.finished(job)
    client("DELETE", f"/api/jobs/{job['id']}", status=204)
    client("GET", f"/api/jobs/{job['id']}", status=404)
    assert folder.exists() == (ended["state"] == "done")
    assert (studio.project(project).runs / trained["run"] / "run.json").is_file()


def test_augmentation_changes_a_sample_but_not_its_file(studio: Any, client: Client, project: str) -> None:
    opened = studio.project(project)
    sample = opened.samples[0].id
    before = opened.path(sample).read_bytes()
    found = client("GET", f"/api/projects/{project}/augmentation?sample={sample}&n=3")
    assert len({found["before"], *found["after"]}) == 4 and found["before"].startswith("data:image/jpeg;base64,")
    assert opened.path(sample).read_bytes() == before


def test_export_is_proven_downloaded_and_predicts_the_same(
    studio: Any, client: Client, project: str, trained: dict[str, Any], tmp_path: Path
) -> None:
    wish = {"kind": "export", "run": trained["run"], "formats": ["onnx", "bundle"], "settings": {"benchmark": False}}
    done = client.finished(client("POST", f"/api/projects/{project}/jobs", wish, 201))
    assert done["state"] == "done", done
    run = f"/api/projects/{project}/runs/{trained['run']}"
    cards = {card["format"]: card for card in client("GET", f"{run}/exports")}
    assert set(cards) == {"onnx", "bundle"} and all(card["agree"] == card["n"] == 8 for card in cards.values())
    picture = next(write_photos(tmp_path / "new", per_class=1, size=40, seed=6).glob("*/*"))
    expected = handful.load(studio.project(project).runs / trained["run"]).predict(picture)
    for card in cards.values():
        status, headers, content = client.raw("GET", f"{run}/exports/{card['name']}")
        assert status == 200 and headers["content-disposition"].startswith("attachment")
        assert f'filename="{card["file"]}"' in headers["content-disposition"]
        (tmp_path / card["name"]).write_bytes(content)
        assert handful.load(tmp_path / card["name"]).predict(picture).scores == pytest.approx(expected.scores)
    made = studio.project(project).runs / trained["run"] / "exports" / "bundle.zip"
    assert (tmp_path / "bundle.zip").read_bytes() == made.read_bytes(), "what lies beside the folder is sent as it is"
    with zipfile.ZipFile(made) as packed:
        program = next(name for name in packed.namelist() if name.endswith("/predict.py"))
    named = f"{re.sub(' +', '-', studio.project(project).name)}-First-bundle"
    assert (cards["bundle"]["file"], program) == (f"{named}.zip", f"{named}/predict.py")
    assert f"python {program} " in cards["bundle"]["snippet"]
    made.unlink()  # as an older release left it
    assert client.raw("GET", f"{run}/exports/bundle.zip")[2] == (tmp_path / "bundle.zip").read_bytes()
    assert client.raw("GET", f"{run}/exports/run.json")[0] == 404


def test_formats_are_the_registry_with_reasons(client: Client) -> None:
    from handful.exporting import exporters

    rows = {row["name"]: row for row in client("GET", "/api/formats")}
    assert set(rows) == set(exporters.names())
    assert rows["onnx"]["available"] and rows["onnx"]["title"] == "ONNX"
    assert not rows["coreml"]["available"] and rows["coreml"]["why_not"] and rows["coreml"]["command"]


@pytest.fixture(scope="module")
def own(studio: Any, client: Client, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """(project, run) of which a test takes back what it changes."""
    made = fill(studio, write_photos(tmp_path_factory.mktemp("own"), per_class=6, size=24, seed=8), "Own")
    job = client.finished(client("POST", f"/api/projects/{made}/jobs", {"kind": "train", "settings": QUICK}, 201))
    assert job["state"] == "done", job
    return made, str(job["run"])


def test_relabelling_makes_a_run_stale_and_training_again_compares(
    studio: Any, client: Client, own: tuple[str, str]
) -> None:
    project, run = own
    moved = next(sample.id for sample in studio.project(project).samples if sample.label == "red")
    studio.project(project).move([moved], "green")
    found = client("GET", f"/api/projects/{project}/runs/{run}")
    assert found["card"]["stale"] and found["changed"] == [moved] and found["gone"] == 0
    studio.project(project).undo()
    assert not client("GET", f"/api/projects/{project}/runs/{run}")["card"]["stale"]
    settings = QUICK | {"strategy": "probe", "head": "ridge", "views": 0}
    job = client.finished(client("POST", f"/api/projects/{project}/jobs", {"kind": "train", "settings": settings}, 201))
    assert job["state"] == "done", job
    found = client("GET", f"/api/projects/{project}/comparison")
    assert {row["card"]["id"] for row in found["rows"]} == {run, job["run"]}
    best, other = found["rows"]
    assert best["tied_with_best"] and best["difference"] == 0 and other["n"] == 12 and found["why"]
    assert other["difference"] == pytest.approx(other["card"]["score"]["value"] - best["card"]["score"]["value"])
    differing = {row["setting"]: row["values"] for row in found["differences"]}
    assert "(prototype)" in differing["strategy"][run] and "(probe)" in differing["strategy"][job["run"]]
    assert "model" not in differing


def test_training_sees_the_labels_of_the_moment_it_was_queued(studio: Any, client: Client, tmp_path: Path) -> None:
    made = fill(studio, write_photos(tmp_path / "own", per_class=5, size=24, seed=12), "Own")
    job = client("POST", f"/api/projects/{made}/jobs", {"kind": "train", "settings": QUICK}, 201)
    studio.project(made).rename_class("red", "crimson")
    status, _, content = client.raw("DELETE", f"/api/projects/{made}")
    assert status == 409, content  # a data set that is being trained on stays
    assert client.finished(job)["state"] == "done"
    found = client("GET", f"/api/projects/{made}/runs/{job['run']}")
    assert found["card"]["classes"] == ["green", "red"] and found["card"]["stale"] and len(found["changed"]) == 5
    assert client("GET", f"/api/projects/{made}/map")["points"][0]["label"] in ("green", "crimson")


def test_the_very_same_order_is_one_job_and_trainings_are_numbered(studio: Any, client: Client, tmp_path: Path) -> None:
    made = fill(studio, write_photos(tmp_path / "twice", per_class=5, size=24, seed=13), "Twice")
    path = f"/api/projects/{made}"

    def order(head: str) -> dict[str, Any]:
        wish = {"kind": "train", "settings": QUICK | {"strategy": "probe", "head": head, "views": 0}}
        return dict(client("POST", f"{path}/jobs", wish, 201))

    with ThreadPoolExecutor(8) as pressed:
        first = list(pressed.map(order, ["ridge"] * 8))
    assert len({job["id"] for job in first}) == 1 and first[0]["number"] == 1, "held down, it is one wish"
    second = order("lda")
    assert second["number"] == 2 and second["id"] != first[0]["id"]
    ended = [client.finished(job) for job in (first[0], second)]
    assert [job["state"] for job in ended] == ["done", "done"] and [job["title"] for job in ended] == ["", ""]
    cards = client("GET", f"{path}/runs")
    assert [(card["number"], card["name"], card["method"]) for card in cards] == [
        (2, "Training 2", "quick"), (1, "Training 1", "quick"),
    ]  # fmt: skip
    assert "Обучение" in client("GET", f"{path}/comparison?lang=ru")["why"]
    named = client("PATCH", f"{path}/runs/{second['run']}", {"name": "Mine"})
    assert (named["name"], named["number"]) == ("Mine", None)
    client("DELETE", f"{path}/runs/{second['run']}")
    again = order("lda")
    assert again["number"] == 3, "the deleted one may come back, and is still the second"
    assert again["id"] not in {job["id"] for job in ended}, "what is over can be ordered again"
    assert client.finished(again)["state"] == "done"


def test_what_is_kept_for_testing_is_tested_on_and_never_learnt(studio: Any, client: Client, tmp_path: Path) -> None:
    for number, (part, per_class) in enumerate((("train", 6), ("test", 3))):
        write_photos(tmp_path / part, per_class=per_class, size=24, seed=20 + number)
    made = studio.projects.create("Parts")
    bring = made.begin_import()
    for path in sorted(tmp_path.glob("*/*/*")):
        bring.receive(path.relative_to(tmp_path).as_posix(), path.read_bytes())
    bring.confirm()
    plan = client("POST", f"/api/projects/{made.id}/plan", {"settings": QUICK})
    assert plan["ready"], plan
    job = client.finished(client("POST", f"/api/projects/{made.id}/jobs", {"kind": "train", "settings": QUICK}, 201))
    assert job["state"] == "done", job
    card = client("GET", f"/api/projects/{made.id}/runs/{job['run']}")["card"]
    assert (card["score"]["n"], card["test"]["n"], card["stale"]) == (12, 6, False)
    _, _, archive = client.raw("GET", f"/api/projects/{made.id}/archive")
    (tmp_path / "parts.zip").write_bytes(archive)
    again = studio.projects.restore(tmp_path / "parts.zip")
    (copy,) = client("GET", f"/api/projects/{again.id}/runs")
    assert copy["test"]["n"] == 6 and not copy["stale"]
    assert sum(sample.split == "test" for sample in again.samples) == 6


def test_deleted_run_comes_back_and_names_stay(client: Client, own: tuple[str, str]) -> None:
    project, run = own
    path = f"/api/projects/{project}/runs/{run}"
    assert client("PATCH", path, {"name": 'Mine <b> "x"'})["name"] == 'Mine <b> "x"'
    assert "Mine" in client("DELETE", path)["said"]
    client("GET", path, status=404)
    assert run not in {card["id"] for card in client("GET", f"/api/projects/{project}/runs")}
    assert "Mine" in client("GET", f"/api/projects/{project}")["undo"]
    client("POST", f"/api/projects/{project}/undo")
    assert client("GET", path)["card"]["name"] == 'Mine <b> "x"'
    client("DELETE", path)
    client("POST", f"{path}/restore")
    assert client("GET", path)["card"]["name"] == 'Mine <b> "x"'
    client("POST", f"{path}/restore", status=404)


def test_ids_that_are_none_never_reach_a_path(client: Client, project: str, trained: dict[str, Any]) -> None:
    for bad in ("..", "%2e%2e", "..%2f..", "..%5c..", "%00", "a%00", "/etc", "run.json", ".", "%252e%252e", "x" * 300):
        for path in (
            f"/api/projects/{project}/runs/{bad}",
            f"/api/projects/{project}/runs/{bad}/report",
            f"/api/projects/{project}/runs/{trained['run']}/exports/{bad}",
            f"/api/projects/{project}/runs/{trained['run']}/explanations/{bad}",
            f"/api/jobs/{bad}",
            f"/api/jobs/{bad}/log",
            f"/api/projects/{bad}/runs",
            f"/api/projects/{bad}/comparison",
        ):
            assert client.raw("GET", path)[0] in (400, 404, 405, 422), path
    assert client.raw("GET", f"/api/projects/{project}/comparison?runs=../x")[0] == 404
    assert client.raw("GET", f"/api/projects/{project}/map?run=..")[0] == 404


def listened(client: Client, wanted: Callable[[list[dict[str, Any]]], bool], after: str = "") -> list[dict[str, Any]]:
    """Events {id, event, data} until they are what is wanted."""
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=60)
    headers = {"Authorization": f"Bearer {TOKEN}"} | ({"Last-Event-ID": after} if after else {})
    connection.request("GET", "/api/events", headers=headers)
    answer = connection.getresponse()
    found: list[dict[str, Any]] = []
    now: dict[str, Any] = {}
    try:
        while not wanted(found):
            line = answer.readline().decode().rstrip("\n")
            key, _, value = line.partition(": ")
            if key in ("id", "event", "data"):
                now[key] = json.loads(value) if key == "data" else value
            elif not line and "event" in now:
                found.append(now)
                now = {}
        return found
    finally:
        connection.close()


def test_events_follow_a_job_and_resume_without_a_gap(client: Client, project: str, trained: dict[str, Any]) -> None:
    run = trained["run"]
    hello = listened(client, lambda found: len(found) == 1)[0]
    assert hello["event"] == "hello"
    job = client("POST", f"/api/projects/{project}/jobs", {"kind": "curve", "run": run}, 201)

    def over(found: list[dict[str, Any]]) -> bool:
        return any(e["event"] == "job" and e["data"]["id"] == job["id"] and e["data"]["state"] in OVER for e in found)

    first = listened(client, over, hello["id"])
    again = listened(client, over, hello["id"])
    assert [e["id"] for e in again][: len(first)] == [e["id"] for e in first] and first[0]["event"] != "hello"
    assert int(first[0]["id"]) == int(hello["id"]) + 1
    states = [e["data"]["state"] for e in first if e["event"] == "job" and e["data"]["id"] == job["id"]]
    assert states[0] == "queued" and "running" in states and states[-1] == "done", states
    assert client("GET", f"/api/projects/{project}/runs/{run}")["curve"] is not None
    assert listened(client, lambda found: len(found) == 1, "7")[0]["event"] == "hello"  # long gone


@pytest.mark.slow
def test_race_and_explanations_show_up(client: Client, own: tuple[str, str]) -> None:
    project, run = own
    settings = {"models": ["statistics"], "strategies": ["prototype", "probe:ridge"], "repeats": 1, "budget": "60s"}
    job = client.finished(
        client("POST", f"/api/projects/{project}/jobs", {"kind": "compare", "settings": settings}, 201)
    )
    assert job["state"] == "done", (job, client("GET", f"/api/jobs/{job['id']}/log"))
    (race,) = client("GET", f"/api/projects/{project}/comparison")["races"]
    assert len(race["rows"]) == 2 and sum(row["recommended"] for row in race["rows"]) == 1
    winner = next(row["settings"] for row in race["rows"] if row["recommended"])
    job = client.finished(client("POST", f"/api/projects/{project}/jobs", {"kind": "train", "settings": winner}, 201))
    assert job["state"] == "done", job
    wish = {"kind": "explain", "run": run, "settings": {"limit": 2}}
    job = client.finished(client("POST", f"/api/projects/{project}/jobs", wish, 201))
    assert job["state"] == "done", job
    cards = client("GET", f"/api/projects/{project}/runs/{run}/explanations")
    assert len(cards) == 2 and all(card["sample"] and card["words"] for card in cards)
    status, headers, content = client.raw(
        "GET", f"/api/projects/{project}/runs/{run}/explanations/{cards[0]['picture']}"
    )
    assert status == 200 and headers["content-type"] == "image/jpeg" and content[:2] == b"\xff\xd8"


def test_ensemble_stands_among_the_runs(
    studio: Any, client: Client, project: str, trained: dict[str, Any], tmp_path: Path
) -> None:
    wish = {"kind": "train", "settings": {**QUICK, "model": "random_convolutions"}}
    other = client.finished(client("POST", f"/api/projects/{project}/jobs", wish, 201))
    runs = studio.project(project).runs
    joined = handful.ensemble([runs / trained["run"], runs / other["run"]], run=runs / "together")
    studio.runs_changed(project)
    (card,) = [card for card in client("GET", f"/api/projects/{project}/runs") if card["id"] == "together"]
    assert card["score"]["value"] == joined.score["value"] and card["strategy"] == "ensemble" and not card["stale"]
    place = f"/api/projects/{project}/runs/together"
    assert "of its 2 members" in client("GET", place)["result"]["why"]
    assert len(client("GET", f"{place}/predictions")) == 16
    assert b"handful ensemble" in client.raw("GET", f"{place}/report")[2]
    assert client("GET", f"/api/projects/{project}/comparison?runs={trained['run']},together")["rows"]
    photo = write_photos(tmp_path / "new", per_class=1, size=32) / "red" / "00.png"
    answer = client("POST", f"{place}/predict", photo.read_bytes())
    assert answer["scores"] == pytest.approx(joined.model.predict(photo).scores, abs=1e-6)
    client("DELETE", place)
