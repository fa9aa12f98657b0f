"""The index: one body of promises over SQLite and, where a server can be started, PostgreSQL."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sql

from handful.errors import HandfulError
from handful.store import Store
from handful.store import _database as database
from handful.store import _tables as tables

NAMES = ["bird", "Кот", "dog"]


def project(name: str = "p", **more: Any) -> dict[str, Any]:
    return {
        "id": name,
        "name": name.upper(),
        "modality": "image",
        "created": 1.0,
        "updated": 1.0,
        "classes": NAMES,
    } | more


def sample(number: int, label: str = "bird", **more: Any) -> dict[str, Any]:
    return {
        "id": f"{number:016x}",
        "name": f"photo {number}.png",
        "label": label,
        "group": "",
        "bytes": 10,
        "added": 1.0,
    } | more


def many(count: int) -> list[dict[str, Any]]:
    return [sample(n, NAMES[n % 3], group=f"take{n % 5}") for n in range(count)]


# -- a PostgreSQL server of our own --------------------------------------------------------------------------------------


class Server:
    """In a folder of its own, on a socket there; run by an unprivileged user where the tests run as root."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self._binaries, self.folder = binaries, folder
        self._user: dict[str, Any] = {}
        if os.getuid() == 0:
            import pwd

            nobody = pwd.getpwnam("nobody")
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
            self._user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        self._run(
            "initdb", "-D", folder / "data", "-U", "handful", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"
        )
        self.start()
        self.url = f"postgresql://handful@/postgres?host={folder}"

    def _run(self, name: str, *words: Any) -> None:
        done = subprocess.run(
            [self._binaries / name, *map(str, words)], cwd=self.folder, capture_output=True, text=True, timeout=60, **self._user,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        options = f"-k {self.folder} -c listen_addresses= -c fsync=off -c max_connections=60"
        self._run("pg_ctl", "-D", self.folder / "data", "-o", options, "-l", self.folder / "log", "-w", "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", self.folder / "data", "-m", "immediate", "-w", "stop")


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    binaries = next((place for place in reversed(places) if (place / "pg_ctl").is_file()), None)
    if binaries is None:
        pytest.skip("there are no PostgreSQL binaries")
    folder = Path(tempfile.mkdtemp(prefix="handful-pg-", dir="/tmp"))  # a socket's path must be short
    try:
        running = Server(binaries, folder)
        try:
            yield running
        finally:
            running.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'studio.sqlite'}"
    address: str = request.getfixturevalue("server").url
    drop(address)
    return address


def drop(address: str) -> None:
    engine = sql.create_engine(address.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        for table in ("version", "projects", "samples", "runs", "jobs"):
            connection.execute(sql.text(f"DROP TABLE IF EXISTS handful_{table}"))
    engine.dispose()


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with Store(url) as opened:
        yield opened


# -- what is put is found --------------------------------------------------------------------------------------------------


def test_a_project_comes_back_as_it_was_put_with_what_is_counted(store: Store) -> None:
    store.put_project(project(extra={"a": [1, None, "é"]}), many(10))
    store.put_project(project("q", updated=5.0))
    store.put_runs(
        "p", [{"id": f"r{n}", "created": n, "score": s} for n, s in enumerate([{"value": 0.5}, {"value": 0.9}, None])]
    )
    store.put_job({"id": "j", "project": "p", "state": "running", "kind": "train"})
    newest, card = store.projects()
    assert newest["id"] == "q" and newest["samples"] == newest["takes"] == newest["runs"] == 0
    assert newest["score"] is None and newest["covers"] == [] and newest["counts"] == {} and not newest["busy"]
    assert card["extra"] == {"a": [1, None, "é"]} and card["classes"] == NAMES and card["modality"] == "image"
    assert card["counts"] == {"bird": 4, "Кот": 3, "dog": 3} and card["samples"] == 10 and card["runs"] == 3
    assert card["takes"] == 5 and card["takes_by_label"] == {"bird": 4, "Кот": 3, "dog": 3}
    assert card["covers"] == [sample(n)["id"] for n in range(3)] and card["score"] == {"value": 0.9} and card["busy"]
    assert store.project("p") == card and store.project("nothing") is None
    assert [run["id"] for run in store.runs("p")] == ["r2", "r1", "r0"] and store.runs("q") == []
    store.put_job({"id": "j", "project": "p", "state": "done", "kind": "train"})
    assert not store.projects()[1]["busy"]


def test_samples_by_class_words_ids_and_pages(store: Store) -> None:
    rows = many(25)
    store.put_project(project(), rows)
    store.put_project(project("other"), many(7))
    total, page = store.samples("p", offset=20, limit=10)
    assert total == 25 and page == rows[20:]
    assert store.samples("p", label="Кот")[1] == rows[1::3]
    assert store.samples("p", query="PHOTO 2")[1] == [rows[2], *rows[20:]]
    assert store.samples("p", query="take3", label="dog")[1] == [rows[8], rows[23]]
    assert store.samples("p", limit=0) == (25, []) and store.samples("nothing") == (0, [])
    names = [row["name"] for row in store.samples("p", sort="name", limit=4)[1]]
    assert names == ["photo 0.png", "photo 1.png", "photo 10.png", "photo 11.png"]
    wanted = [rows[n]["id"] for n in (9, 3, 17)]
    assert store.samples("p", ids=[*wanted, wanted[0], "gone"], sort="ids")[1] == [rows[9], rows[3], rows[17]]
    assert store.samples("p", ids=wanted)[1] == [rows[3], rows[9], rows[17]]
    assert store.samples("p", ids=wanted, sort="ids", offset=1, limit=1) == (3, [rows[3]])
    assert store.samples("p", ids=[]) == (0, [])
    assert store.sample("p", wanted[0]) == rows[9] and store.sample("p", "gone") is None


def test_changes_keep_places_and_touch_nothing_else(store: Store) -> None:
    rows = many(6)
    store.put_project(project(), rows)
    moved, new = rows[1] | {"label": "dog"}, sample(99)
    store.change_samples("p", put=[moved, new], delete=[rows[0]["id"], rows[4]["id"]])
    assert store.samples("p")[1] == [moved, rows[2], rows[3], rows[5], new]
    store.put_project(project(name="p", revision=2))  # without samples: they stay
    assert store.samples("p")[0] == 5 and store.projects()[0]["revision"] == 2
    store.put_project(project(), [new])
    assert store.samples("p") == (1, [new])
    store.put_project(project("q"), rows)
    store.put_job({"id": "j", "project": "q", "state": "done"})
    store.delete_project("q")
    assert store.samples("q") == (0, []) and store.jobs("q") == [] and [p["id"] for p in store.projects()] == ["p"]


def test_jobs_stand_in_the_order_of_their_numbers(store: Store) -> None:
    for number, name in ((3, "a"), (1, "c"), (2, "b")):
        store.put_job({"id": name, "project": "p", "state": "queued", "number": number, "created": 100.0 - number})
    assert [job["id"] for job in store.jobs()] == ["c", "b", "a"] == [job["id"] for job in store.jobs("p")]
    store.delete_job("b")
    assert [job["id"] for job in store.jobs()] == ["c", "a"] and store.jobs("q") == []


HOSTILE = [
    "'; DROP TABLE handful_samples; --", '"', "%", "_", "\\", "nul\x00byte", "tab\tnew\nline", "\udcff.png", "a" * 5000, "😀",
    "ﬁ", "é", "e\u0301", "\u202egnp.exe", "__proto__", " ", ":name", "{}", "%s", "?",
]  # fmt: skip


def test_names_are_data_whatever_they_are(store: Store) -> None:
    rows = [sample(n, name, name=name, group=name) for n, name in enumerate(HOSTILE)]
    store.put_project(project(name="p"), rows)
    assert store.samples("p")[1] == rows
    assert store.project("p")["counts"] == dict.fromkeys(HOSTILE, 1)  # type: ignore[index]
    for row in rows:
        found = store.samples("p", label=row["label"])[1]
        assert found == [row]
        assert row in store.samples("p", query=row["name"])[1]
    assert store.samples("p", query="%")[1] == [rows[2], rows[18]]  # no wildcard
    assert store.samples("p", query="É")[1] == rows[11:13]  # however accents are written


def test_an_index_is_filled_from_its_source_and_can_be_made_again(url: str) -> None:
    asked = []

    def source() -> Iterator[Any]:
        asked.append(1)
        yield project(), many(4), [{"id": "r", "created": 1.0}]

    with Store(url, source) as store:
        assert len(asked) == 1 and store.samples("p")[0] == 4 and len(store.runs("p")) == 1
        store.put_project(project("stale"), many(2))
        store.put_job({"id": "j", "project": "p", "state": "done"})
        store.rebuild()
        assert (
            [p["id"] for p in store.projects()] == ["p"]
            and store.samples("stale") == (0, [])
            and len(store.jobs()) == 1
        )
        store.rebuild([(project("q"), many(1), [])])
        assert [p["id"] for p in store.projects()] == ["q"]
    with Store(url, source) as store:  # what is there is taken as it is
        assert len(asked) == 2 and [p["id"] for p in store.projects()] == ["q"]


def test_a_rebuild_that_fails_leaves_what_was_there(store: Store) -> None:
    store.put_project(project(), many(3))

    def broken() -> Iterator[Any]:
        yield project("q"), many(1), []
        raise OSError("the disk is away")

    with pytest.raises(OSError, match="away"):
        store.rebuild(broken())
    assert [p["id"] for p in store.projects()] == ["p"] and store.samples("p")[0] == 3


# -- versions --------------------------------------------------------------------------------------------------------------


def test_a_newer_index_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "studio.sqlite"
    Store(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE handful_version SET version = 999")
        connection.commit()
        connection.execute("PRAGMA journal_mode=DELETE")
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(HandfulError, match="newer handful .version 999") as caught:
        Store(path)
    assert "upgrade" in caught.value.hint and hashlib.sha256(path.read_bytes()).hexdigest() == before


def test_a_newer_index_on_a_server_is_refused(server: Server) -> None:
    drop(server.url)
    Store(server.url).close()
    engine = sql.create_engine(server.url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(sql.text("UPDATE handful_version SET version = 999"))
    with pytest.raises(HandfulError, match="newer handful"):
        Store(server.url)
    engine.dispose()
    drop(server.url)


def test_an_older_index_takes_the_missing_steps_once_and_keeps_its_rows(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def second(connection: sql.Connection) -> None:
        connection.execute(sql.text("ALTER TABLE handful_projects ADD COLUMN colour TEXT"))

    def torn(connection: sql.Connection) -> None:
        connection.execute(sql.text("ALTER TABLE handful_projects ADD COLUMN weight TEXT"))
        raise HandfulError("power went away")

    with Store(url) as store:
        store.put_project(project(), many(2))
    monkeypatch.setattr(tables, "MIGRATIONS", [*tables.MIGRATIONS, second, torn])
    with pytest.raises(HandfulError, match="power"):
        Store(url)
    tables.MIGRATIONS.pop()
    for _ in range(2):  # neither step was half done, nor is one done twice
        with Store(url) as store:
            assert store.samples("p")[0] == 2
    monkeypatch.undo()
    with pytest.raises(HandfulError, match="version 2, this one reads 1"):
        Store(url)


# -- damage ----------------------------------------------------------------------------------------------------------------


def spoiled(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "foreign":
        content = bytearray(b"not a database at all " * 400)
    elif how == "half":
        content = content[: len(content) // 2]
    elif how == "flipped":
        content[4096 + 2 : 4096 + 1200] = random.Random(0).randbytes(1198)
    path.write_bytes(content)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


@pytest.mark.parametrize("how", ["foreign", "half", "flipped"])
def test_a_damaged_file_is_thrown_away_and_made_again(tmp_path: Path, how: str) -> None:
    path = tmp_path / "studio.sqlite"

    def source() -> Iterator[Any]:
        yield project(), many(400), []

    Store(path, source).close()
    spoiled(path, how)
    with Store(path, source) as store:
        assert store.samples("p")[0] == 400 and store.projects()[0]["samples"] == 400


def test_a_file_that_is_deleted_or_spoiled_under_an_open_store_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "studio.sqlite"

    def source() -> Iterator[Any]:
        yield project(), many(400), []

    with Store(path, source) as store:
        store._base._engine.dispose()  # no connection holds the old file
        path.unlink()
        assert store.samples("p")[0] == 400
        store._base._engine.dispose()
        spoiled(path, "foreign")
        store.put_project(project("q"), many(2))
        assert [p["samples"] for p in store.projects()] == [400, 2]


def test_a_place_that_cannot_be_used_is_said_in_two_lines(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for given in (tmp_path / "file" / "studio.sqlite", tmp_path, "mysql://somewhere/x"):
        with pytest.raises(HandfulError) as caught:
            Store(given)
        assert caught.value.hint and "\n" not in caught.value.message


def test_a_full_disk_rolls_back_and_reads_go_on(tmp_path: Path) -> None:
    with Store(tmp_path / "studio.sqlite") as store:
        store.put_project(project(), many(10))

        @sql.event.listens_for(store._base._engine, "begin")
        def full(connection: sql.Connection) -> None:
            connection.exec_driver_sql("PRAGMA max_page_count = 20")

        with pytest.raises(HandfulError, match="full") as caught:
            store.put_project(project("q"), many(5000))
        assert "free some space" in caught.value.hint
        assert store.samples("p")[0] == 10 and store.project("q") is None


# -- many at once ----------------------------------------------------------------------------------------------------------


def load(url: str, number: int, seconds: float) -> int:
    """Write or read as fast as it goes; how many rounds it were."""
    rows, done, end = many(200), 0, time.monotonic() + seconds
    with Store(url) as store:
        while time.monotonic() < end or not done:
            done += 1
            if number < 4:
                store.put_project(project(f"p{number}", updated=time.time()), rows[: 100 + done % 100])
                store.change_samples(f"p{number}", put=rows[50:60], delete=[rows[1]["id"]])
                store.put_job({"id": f"j{number}", "project": f"p{number}", "state": "running"})
                continue
            for card in store.projects():
                assert card["samples"] >= 99  # never a half of what was put
                store.samples(card["id"], query="1", limit=20)
    return done


def test_four_writers_and_eight_readers_never_meet_a_locked_database(url: str) -> None:
    with ThreadPoolExecutor(12) as pool:
        rounds = [worker.result() for worker in [pool.submit(load, url, n, 1.0) for n in range(12)]]
    assert min(rounds) >= 1
    with Store(url) as store:
        assert sorted(card["id"] for card in store.projects()) == ["p0", "p1", "p2", "p3"]


@pytest.mark.slow
def test_nor_do_processes_for_a_minute(url: str, tmp_path: Path) -> None:
    program = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import test_store as t; "
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", f"{program} t.load({url!r}, {n}, 60.0)"], stderr=subprocess.PIPE, text=True
        )
        for n in range(12)
    ]
    for worker in workers:
        _, error = worker.communicate(timeout=150)
        assert worker.returncode == 0, error


def test_threads_of_one_store_that_write_the_same_project(store: Store) -> None:
    def work(number: int) -> int:
        store.put_project(project(), many(20 + number))
        return store.samples("p")[0]

    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(work, range(24)))
    assert set(seen) <= set(range(20, 44)) and store.project("p")["samples"] == store.samples("p")[0]  # type: ignore[index]


def test_fifty_stores_leave_no_file_open(tmp_path: Path) -> None:
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("open files are counted in /proc")
    Store(tmp_path / "a").close()
    before = len(os.listdir("/proc/self/fd")), threading.active_count()
    for _ in range(50):
        with Store(tmp_path / "a") as store:
            store.put_project(project(), many(2))
    after = len(os.listdir("/proc/self/fd")), threading.active_count()
    assert after[0] <= before[0] + 2 and after[1] <= before[1] + 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a"]


# -- a server that goes away ---------------------------------------------------------------------------------------------------


def test_a_server_that_comes_back_loses_nothing(server: Server) -> None:
    drop(server.url)
    with Store(server.url) as store:
        store.put_project(project(), many(3))
        server.stop()
        threading.Timer(1.0, server.start).start()
        store.put_project(project("q"), many(5))  # waits
        assert [p["samples"] for p in store.projects()] == [3, 5]


def test_a_server_that_stays_away_is_said_after_the_patience(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "PATIENCE_S", 1.0)
    monkeypatch.setattr(database, "OPENING_S", 0.5)
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        with pytest.raises(HandfulError, match="cannot be used") as caught:
            Store(f"postgresql://secret:word@127.0.0.1:{taken.getsockname()[1]}/x")
    assert "word" not in str(caught.value) and "server runs" in caught.value.hint
    with Store(server.url) as store:
        server.stop()
        try:
            with pytest.raises(HandfulError, match="cannot be used"):
                store.projects()
        finally:
            server.start()
        assert isinstance(store.projects(), list)
