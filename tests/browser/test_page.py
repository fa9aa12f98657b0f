"""The exported page: in a real Chromium, served as its README says, it answers as Python does and needs nobody else."""

from __future__ import annotations

import functools
import http.server
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import handful
from handful.exporting import exporters
from handful.files import sha256_file
from handful.inference import Predictor
from tests.browser.conftest import WAIT_MS, faults_of, missing
from tests.browser.test_words import placeholders
from tests.conftest import write_photos

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
expect = sync_api.expect
expect.set_options(timeout=WAIT_MS)

pytestmark = pytest.mark.web
HOSTILE = (
    "<img src=x onerror=document.title='hit'>",
    "<script>document.title='hit'<\\script>",
    '"; import os#',
    "{{7*7}}${7*7}",
    "a\u2028b",
)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def serve() -> Iterator[Callable[[Path], str]]:
    """Serves a folder as `python -m http.server` does; answers its address."""
    servers = []

    def begin(folder: Path) -> str:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/"

    yield begin
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def look(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Opens an address; what the page throws, asks of others or is forbidden fails the test."""
    faults: list[str] = []
    contexts = []

    def make(address: str, width: int = 1100, dark: bool = False, locale: str = "en-US") -> Any:
        context = chromium.new_context(
            viewport={"width": width, "height": 800}, color_scheme="dark" if dark else "light", locale=locale,
            permissions=["camera", "microphone"], reduced_motion="reduce",
        )  # fmt: skip
        context.set_default_timeout(WAIT_MS)
        contexts.append(context)
        page = context.new_page()
        origin = "/".join(address.split("/")[:3])
        mine = (origin, "blob:", "data:")
        page.on("request", lambda asked: asked.url.startswith(mine) or faults.append(f"asked {asked.url}"))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: "Content Security" in said.text and faults.append(said.text))
        page.goto(address)
        return page

    yield make
    for context in contexts:
        context.close()
    assert not faults, "\n".join(faults)


def exported(run: Any, folder: Path) -> Path:
    """The page of a run."""
    if hasattr(exporters.get("page"), "unavailable"):
        missing("the parts of the page are not built: make pages, or npm ci && npm run page in frontend/")
    result = handful.export(run.path, ["page"], out=folder)["files"][0]
    assert result["agree"] == result["n"] > 1
    return Path(result["path"])


@pytest.fixture(scope="module")
def photo_page(photo_run: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(photo_run, tmp_path_factory.mktemp("photo_page"))


@pytest.fixture(scope="module")
def sound_page(sound_run: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(sound_run, tmp_path_factory.mktemp("sound_page"))


def with_vectors(page: Path, files: list[Path], folder: Path) -> Path:
    """A copy of a page whose test files are `files`, with what Python says of them."""
    copy = Path(shutil.copytree(page, folder))
    shutil.rmtree(copy / "vectors")
    (copy / "vectors").mkdir()
    model, rows = Predictor.load(copy), []
    for number, file in enumerate(files):
        name = f"vectors/{number:02d} {file.name}"
        shutil.copyfile(file, copy / name)
        logits = [float(value) for value in model.file_logits(file)]
        rows.append({"file": name, "sha256": sha256_file(file), "logits": logits})
    (copy / "vectors.json").write_text(json.dumps(rows), encoding="utf-8")
    return copy


def checked(page: Any) -> tuple[int, int, float]:
    """(files with the same label, files, largest difference of a logit as a share of the spread) as the page says it."""
    found = page.locator("[data-state]")
    found.wait_for(timeout=120_000)
    agree, n, error = (found.get_attribute(f"data-{key}") for key in ("agree", "n", "error"))
    expect(page.get_by_text(f"{agree} of {n} files get the same label")).to_be_visible()
    return int(agree), int(n), float(error)


# -- the same answers ----------------------------------------------------------------------------------------------------------


def pictures(folder: Path) -> list[Path]:
    """Twenty pictures of the two classes in the kinds, sizes and ways up that people have."""
    from PIL import Image

    drawn = write_photos(folder / "drawn", per_class=10, size=320, seed=5)
    sizes = [
        (320, 240),
        (240, 320),
        (500, 331),
        (101, 77),
        (300, 700),
        (224, 224),
        (640, 480),
        (60, 200),
        (400, 380),
        (250, 260),
    ]
    made = []
    for number, source in enumerate(sorted(drawn.rglob("*.png"))):
        picture = Image.open(source).resize(sizes[number % 10], Image.Resampling.BICUBIC)
        path = folder / f"{source.parent.name}-{number}"
        exif = Image.Exif()
        exif[0x0112] = number % 8 + 1
        if number % 4 == 0:
            picture.save(path := path.with_suffix(".jpg"), quality=90, exif=exif)
        elif number % 4 == 1:
            picture.putalpha(Image.linear_gradient("L").resize(picture.size))
            picture.save(path := path.with_suffix(".png"))
        elif number % 4 == 2:
            picture.save(path := path.with_suffix(".webp"), quality=85)
        else:
            picture.quantize(128).save(path := path.with_suffix(".gif" if number % 8 == 3 else ".bmp"))
        made.append(path)
    return made


def clips(folder: Path) -> list[Path]:
    """Twenty tones of the two classes at many rates, in many encodings, some longer than a window, some in stereo."""
    import soundfile

    rng = np.random.default_rng(3)
    kinds = [("wav", "PCM_16"), ("wav", "PCM_24"), ("wav", "FLOAT"), ("wav", "PCM_U8"), ("flac", "PCM_16"), ("ogg", "VORBIS"), ("wav", "PCM_32")]  # fmt: skip
    made = []
    for number in range(20):
        rate = (8_000, 11_025, 16_000, 22_050, 44_100, 48_000)[number % 6]
        suffix, encoding = kinds[number % len(kinds)]
        t = np.arange(int(rate * (0.3, 0.5, 0.9, 1.7)[number % 4])) / rate
        wave = 0.3 * np.sin(2 * np.pi * rng.uniform(200, 300) * (1 + 4 * (number % 2)) * t) + rng.normal(
            0, 0.02, len(t)
        )
        both = np.stack([wave, 0.5 * wave], axis=1) if number % 5 == 0 else wave
        path = folder / f"{number:02d}.{suffix}"
        soundfile.write(path, both, rate, encoding)
        made.append(path)
    return made


def test_twenty_pictures_get_the_answers_of_python(
    photo_page: Path, tmp_path: Path, serve: Callable[[Path], str], look: Callable[..., Any]
) -> None:
    place = with_vectors(photo_page, pictures(tmp_path), tmp_path / "page")
    agree, n, error = checked(look(serve(place) + "?check"))
    print(f"20 pictures: largest difference {error:.1e} of the spread")
    assert (agree, n) == (20, 20) and error < 1e-4, f"the same pixels give the same answers, but {error}"


def test_twenty_clips_get_the_answers_of_python(
    sound_page: Path, tmp_path: Path, serve: Callable[[Path], str], look: Callable[..., Any]
) -> None:
    place = with_vectors(sound_page, clips(tmp_path), tmp_path / "page")
    agree, n, error = checked(look(serve(place) + "?check"))
    print(f"20 clips: largest difference {error:.1e} of the spread")
    assert (agree, n) == (20, 20) and error < 5e-3, f"{error} of the spread"


def test_photos_larger_than_needed_get_nearly_the_same_pixels(
    photo_page: Path, tmp_path: Path, serve: Callable[[Path], str], look: Callable[..., Any]
) -> None:
    """Python lets the JPEG decoder shrink them; a browser cannot, and rounds twice."""
    from PIL import Image

    files = []
    for name in ("red", "green"):
        for number, size in enumerate([(1000, 900), (1999, 1503), (2700, 2400)]):
            source = write_photos(
                tmp_path / f"{name}{number}", (name,) if name == "red" else ("x", name), 1, 600, number
            )
            files.append(tmp_path / f"{name}-{number}.jpg")
            Image.open(source / name / "00.png").resize(size).save(files[-1], quality=88)
    agree, n, error = checked(look(serve(with_vectors(photo_page, files, tmp_path / "page")) + "?check"))
    print(f"large photos: largest difference {error:.1e} of the spread")
    assert (agree, n) == (6, 6) and error < 0.03, f"{error} of the spread"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["catsdogs", "esc10"])
def test_twenty_real_files(
    shared: Path, tmp_path: Path, serve: Callable[[Path], str], look: Callable[..., Any], name: str
) -> None:
    kind = {"catsdogs": "catsdogs/train", "esc10": "esc10"}[name]
    weights = shared / "weights" / "squeezenet1_0_imagenet.safetensors"
    wish = {"model": "squeezenet1_0", "weights": str(weights)} if name == "catsdogs" else {"weights": "none"}
    run = handful.train(shared / kind, run=tmp_path / "run", repeats=1, **wish)
    files = sorted((shared / name / ("test" if name == "catsdogs" else "")).rglob("*.[jo][pg]g"))
    chosen = files[:: len(files) // 20][:20]
    page = with_vectors(exported(run, tmp_path / "out"), chosen, tmp_path / "page")
    agree, n, error = checked(look(serve(page) + "?check"))
    print(f"{name}: largest difference {error:.1e} of the spread")
    assert (agree, n) == (20, 20) and error < 1e-3, f"{error} of the spread"


def test_both_languages_say_the_same() -> None:
    words = Path(__file__).resolve().parents[2] / "frontend" / "page" / "words"
    english, russian = (json.loads((words / f"{name}.json").read_text(encoding="utf-8")) for name in ("en", "ru"))
    assert english.keys() == russian.keys() and all(key.startswith("page.") for key in english)
    differing = [key for key in english if placeholders(english[key]) != placeholders(russian[key])]
    assert not differing, f"other placeholders in Russian: {differing}"


# -- what one sees -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["photo_page", "sound_page"])
def test_the_page_proves_itself(
    kind: str, request: pytest.FixtureRequest, serve: Callable[[Path], str], look: Callable[..., Any]
) -> None:
    folder: Path = request.getfixturevalue(kind)
    page = look(serve(folder))
    page.get_by_text("About this model").click()
    expect(page.get_by_text(sha256_file(folder / "model.onnx"))).to_be_visible()
    page.get_by_role("link", name="Check that this browser").click()
    expect(page.get_by_text("The same model")).to_be_visible(timeout=120_000)
    agree, n, error = checked(page)
    assert agree == n and error <= 1e-3
    assert faults_of(page) == []


def test_dropped_files_are_answered_and_refused_in_words(
    photo_page: Path, photos: Path, tmp_path: Path, serve: Callable[[Path], str], look: Callable[..., Any]
) -> None:
    text = tmp_path / "letter.jpg"
    text.write_text("not a picture", encoding="utf-8")
    page = look(serve(photo_page))
    files = [photos / "red" / "00.png", text, photos / "green" / "01.png"]
    page.get_by_label("Choose pictures").set_input_files(files)
    rows = page.locator("tr[data-file]")
    expect(rows).to_have_count(3)
    model = Predictor.load(photo_page)
    found = {row.get_attribute("data-file"): row.get_attribute("data-label") for row in rows.all()}
    assert found["00.png"] == model.predict(files[0]).label and found["01.png"] == model.predict(files[2]).label
    expect(page.get_by_text("This browser cannot read it as a picture")).to_be_visible()
    expect(page.locator(".verdict")).to_have_attribute("data-label", found["01.png"])
    assert faults_of(page) == []


def test_camera_and_microphone_are_answered_live(
    photo_page: Path, sound_page: Path, serve: Callable[[Path], str], look: Callable[..., Any]
) -> None:
    for folder, name in ((photo_page, "Camera"), (sound_page, "Microphone")):
        page = look(serve(folder))
        page.locator(".segments label").filter(has_text=name).click()
        expect(page.locator(".verdict")).to_be_visible()
        known = json.loads((folder / "model.json").read_text(encoding="utf-8"))["metadata"]["classes"]
        assert page.locator(".verdict").get_attribute("data-label") in known
        assert faults_of(page) == []


def test_unknown_is_said_in_words(
    photo_page: Path, photos: Path, tmp_path: Path, serve: Callable[[Path], str], look: Callable[..., Any]
) -> None:
    copy = Path(shutil.copytree(photo_page, tmp_path / "page"))
    about = json.loads((copy / "model.json").read_text(encoding="utf-8"))
    about["metadata"]["unknown_below"] = 1.1
    (copy / "model.json").write_text(json.dumps(about), encoding="utf-8")
    page = look(serve(copy), locale="ru-RU", dark=True)
    page.get_by_label("Выбрать изображения").set_input_files(photos / "red" / "00.png")
    expect(page.get_by_text("Возможно, ничего из этого").first).to_be_visible()
    expect(page.locator(".verdict")).to_have_attribute("data-unknown", "true")
    assert faults_of(page) == []


def test_a_phone_shows_everything(
    photo_page: Path, photos: Path, serve: Callable[[Path], str], look: Callable[..., Any]
) -> None:
    for locale in ("en-US", "ru-RU"):
        page = look(serve(photo_page), width=360, locale=locale)
        page.locator("input[type=file]").set_input_files([photos / "red" / "00.png", photos / "green" / "00.png"])
        expect(page.locator("tr[data-file]")).to_have_count(2)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_without_test_files_the_check_says_so(
    photo_page: Path, tmp_path: Path, serve: Callable[[Path], str], look: Callable[..., Any]
) -> None:
    copy = Path(shutil.copytree(photo_page, tmp_path / "page"))
    shutil.rmtree(copy / "vectors")
    (copy / "vectors.json").unlink()
    page = look(serve(copy) + "?check")
    expect(page.get_by_text("There are no test files in this folder")).to_be_visible()


def test_hostile_class_names_are_text(tmp_path: Path, serve: Callable[[Path], str], look: Callable[..., Any]) -> None:
    data = write_photos(tmp_path / "data", HOSTILE, per_class=6)
    run = handful.train(data, run=tmp_path / "run", weights="none", repeats=1)
    folder = exported(run, tmp_path / "out")
    programs = [path for path in folder.rglob("*") if path.suffix in (".html", ".js", ".css", ".md")]
    assert not [path for path in programs if any(name in path.read_text(encoding="utf-8") for name in HOSTILE)]
    page = look(serve(folder))
    page.get_by_label("Choose pictures").set_input_files(data / HOSTILE[0] / "00.png")
    expect(page.locator(".verdict-bar")).to_have_count(len(HOSTILE))
    shown = page.locator(".verdict-name").all_text_contents()
    assert sorted(shown) == sorted(HOSTILE), "names are shown as they are"
    assert page.locator("img[src=x]").count() == 0 and page.title() != "hit"


def test_opened_as_a_file_it_says_what_to_do(photo_page: Path, chromium: Any) -> None:
    context = chromium.new_context()
    page = context.new_page()
    page.goto((photo_page / "index.html").as_uri())
    expect(page.get_by_text("a browser loads programs over HTTP only")).to_be_visible()
    assert "http.server" in (photo_page / "README.md").read_text(encoding="utf-8")
    context.close()
