"""The queue of workers, with real processes: order, pausing, stopping, what becomes of them when they or the server die."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from handful.errors import BusyError, HandfulError
from handful.jobs import Job, Queue, holder
from handful.jobs import _following as following
from handful.jobs import _queue as queueing
from handful.runs import Run

from .conftest import write_photos

TIMEOUT_S = 30.0
SLEEPS = "import time\nwhile True: time.sleep(0.01)"
# Counts to a file as long as it lives; saves when it is told to stop, goes on when it is told to resume.
COUNTS = """
import os, sys, time
from pathlib import Path
file = Path(sys.argv[1])
count = int(file.read_text()) if "--resume" in sys.argv and file.exists() else 0
print("begins at", count, file=sys.stderr, flush=True)
try:
    while count < int(sys.argv[2]):
        count += 1
        file.with_suffix(".new").write_text(str(count))
        os.replace(file.with_suffix(".new"), file)
        time.sleep(0.01)
except KeyboardInterrupt:
    print("saved", file=sys.stderr)
    sys.exit(130)
print('{"count": %d}' % count)
"""


def python(code: str, *words: object) -> list[str]:
    return [sys.executable, "-c", code, *map(str, words)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("p", "q"):
        (tmp_path / "projects" / name).mkdir(parents=True)
    return tmp_path / "projects"


@pytest.fixture
def project(root: Path) -> Path:
    return root / "p"


@pytest.fixture
def queue(root: Path) -> Iterator[Queue]:
    with Queue(root) as opened:
        yield opened
        end(opened)


def end(queue: Queue) -> None:
    """Stop everything at once, what waits first."""
    for job in reversed(queue.list()):
        if job.active:
            queue.stop(job.id)
            queue.stop(job.id) if job.holds else None
            queue.wait(job.id, TIMEOUT_S)


def until(found: Callable[[], Any], what: str = "") -> Any:
    """What `found` finally gives that is true."""
    for _ in range(int(TIMEOUT_S * 50)):
        if value := found():
            return value
        time.sleep(0.02)
    raise AssertionError(f"it never came: {what}")


def state(queue: Queue, job: Job, *wanted: str) -> Job:
    until(lambda: queue.get(job.id).state in wanted, f"{wanted}, but {queue.get(job.id)}")
    return queue.get(job.id)


def count(file: Path) -> int:
    return int(file.read_text()) if file.exists() else 0


def leader(job: Job) -> int:
    return int(json.loads((job.folder / "worker.json").read_text())["pid"])


def session(pid: int) -> list[int]:
    """Who lives in the session that `pid` leads, without those that only wait to be reaped."""
    done = subprocess.run(["ps", "-o", "pid=,stat=", "-s", str(pid)], capture_output=True, text=True, check=False)
    return [int(line.split()[0]) for line in done.stdout.splitlines() if not line.split()[1].startswith("Z")]


# -- one job ---------------------------------------------------------------------------------------------------------------


def test_a_job_leaves_its_result_its_log_and_its_record(queue: Queue, project: Path) -> None:
    code = "import sys; print('one\\rtwo\\x1b[31m', file=sys.stderr); print('last without end', end='', file=sys.stderr); print('{\"a\": [1]}')"
    job = queue.submit(project, "check", argv=python(code), title="Look")
    assert job.state in ("queued", "running") and job.title == "Look" and job.project == "p"
    done = queue.wait(job.id, TIMEOUT_S)
    assert done.state == "done" and done.share == 1.0 and done.error is None and done.attempt == 1
    assert queue.result(job.id) == {"a": [1]}
    part = queue.log(job.id)
    assert [line.text for line in part.lines] == ["one", "two\\x1b[31m", "last without end"]
    assert [line.n for line in part.lines] == [0, 1, 2] and part.next == 3
    assert all(done.created - 1 <= line.time <= time.time() for line in part.lines)
    assert queue.log(job.id, after=2).lines == part.lines[2:] and queue.log(job.id, after=3).next == 3
    assert queue.log(job.id, after=0, limit=1).next == 1
    kept = json.loads((job.folder / "job.json").read_text())
    assert kept["state"] == "done" and kept["peak_rss_bytes"] > 1_000_000
    assert job.folder == project / "jobs" / job.id


def test_a_job_fits_the_wire(queue: Queue, project: Path) -> None:
    schema = pytest.importorskip("handful.web.studio.schema.jobs")
    job = queue.submit(project, "train", argv=python(SLEEPS))
    until(lambda: queue.get(job.id).rss_bytes, "memory")
    sent = schema.Job.model_validate(queue.get(job.id)).model_dump()
    assert sent["state"] == "running" and sent["can_pause"] and sent["can_stop"] and not sent["can_resume"]
    assert schema.LogPart.model_validate(queue.log(job.id)).lines == []
    assert schema.Series.model_validate(queue.series(job.id)).points == []


def test_a_command_of_handful_that_fails_says_why_in_its_own_words(queue: Queue, project: Path, tmp_path: Path) -> None:
    job = queue.submit(project, "check", ["check", str(tmp_path / "nowhere")])
    failed = queue.wait(job.id, TIMEOUT_S)
    assert failed.state == "failed" and "nowhere" in (failed.error or "") and failed.hint
    assert not failed.can_resume and not failed.can_stop and failed.attempt == 1
    with pytest.raises(HandfulError, match="failed: there is nothing to go on with"):
        queue.resume(job.id)


def test_a_check_of_photos_is_followed_to_its_result(queue: Queue, project: Path, tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "new", seed=99)  # nothing of these is remembered from another test
    job = queue.submit(project, "check", ["check", str(photos), "--weights", "none", "--repeats", "1"])
    assert queue.wait(job.id, TIMEOUT_S).state == "done"
    assert queue.result(job.id)["schema"] == 1
    told = [json.loads(line) for line in (job.folder / "events.jsonl").read_text().splitlines()]
    assert told[0]["kind"] == "begin" and {"stage", "done", "of", "time"} < told[-1].keys()
    seen = queue.get(job.id).progress
    assert seen and seen.done == seen.of > 0


@pytest.mark.parametrize("argv", [["/nowhere/program"], ["/"]])
def test_a_program_that_cannot_be_started(queue: Queue, project: Path, argv: list[str]) -> None:
    failed = queue.wait(queue.submit(project, "check", argv=argv).id, TIMEOUT_S)
    assert failed.state == "failed" and "exit code 127" in (failed.error or "")
    assert argv[0] in failed.tail[-1]


def test_arguments_are_words_and_nothing_else(queue: Queue, project: Path, tmp_path: Path) -> None:
    strange = ["; touch x", "$(touch x)", "`touch x`", "--", "-rf", "%s", "{}", "tab\t", "new\nline", "\udcff"]
    job = queue.submit(project, "check", argv=python("import sys, json; print(json.dumps(sys.argv[1:]))", *strange))
    assert queue.wait(job.id, TIMEOUT_S).state == "done" and queue.result(job.id) == strange
    assert sorted(file.name for file in job.folder.iterdir()) == [
        "events.jsonl", "exit.json", "job.json", "lock", "log.txt", "result.json", "worker.json",
    ]  # fmt: skip


def test_what_does_not_exist_is_said(queue: Queue, root: Path, tmp_path: Path) -> None:
    for place in (root / "nobody", tmp_path):
        with pytest.raises(HandfulError, match="there is no project"):
            queue.submit(place, "check", argv=python("pass"))
    for ask in (queue.get, queue.pause, queue.resume, queue.stop, queue.delete, queue.log, queue.series):
        with pytest.raises(HandfulError, match="there is no job 'x'"):
            ask("x")


# -- order -----------------------------------------------------------------------------------------------------------------


def test_one_at_a_time_in_the_order_of_submission(root: Path, tmp_path: Path) -> None:
    heard: list[Job] = []
    note = f"open({str(tmp_path / 'order')!r}, 'a').write(sys.argv[1]); import time; time.sleep(0.1)"
    with Queue(root, on_change=heard.append) as queue:
        first = queue.submit(root / "p", "check", argv=python(SLEEPS))
        state(queue, first, "running")
        jobs = [
            queue.submit(root / "pq"[n % 2 :][:1], "check", argv=python("import sys; " + note, n)) for n in range(3)
        ]
        assert [queue.get(job.id).position for job in jobs] == [1, 2, 3]
        assert [job.id for job in queue.list()] == [first.id, *(job.id for job in jobs)]
        assert [job.id for job in queue.list("q")] == [jobs[1].id]
        assert queue.memory()["queued"] == 3 and queue.busy("p") and not queue.busy("q")
        queue.stop(jobs[1].id)
        assert queue.get(jobs[1].id).state == "stopped" and queue.get(jobs[2].id).position == 2
        queue.stop(first.id)
        for job in jobs:
            queue.wait(job.id, TIMEOUT_S)
        assert (tmp_path / "order").read_text() == "02"
        queue.resume(jobs[1].id)  # what never began begins
        assert queue.wait(jobs[1].id, TIMEOUT_S).state == "done" and (tmp_path / "order").read_text() == "021"
    of_last = [job.state for job in heard if job.id == jobs[2].id]
    assert list(dict.fromkeys(of_last)) == ["queued", "running", "done"]
    working: set[str] = set()
    for job in heard:
        working = working | {job.id} if job.state == "running" else working - {job.id}
        assert len(working) <= 1


def test_as_many_as_there_are_slots(root: Path, project: Path) -> None:
    with Queue(root, slots=2) as queue:
        jobs = [queue.submit(project, "check", argv=python(SLEEPS)) for _ in range(3)]
        state(queue, jobs[1], "running")
        assert [queue.get(job.id).state for job in jobs] == ["running", "running", "queued"]
        end(queue)


def test_a_listener_that_fails_does_not_stop_the_queue(
    root: Path, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(job: Job) -> None:
        raise RuntimeError("listener")

    with Queue(root, on_change=broken) as queue:
        assert queue.wait(queue.submit(project, "check", argv=python("pass")).id, TIMEOUT_S).state == "done"
    assert "RuntimeError: listener" in capsys.readouterr().err


# -- pausing ---------------------------------------------------------------------------------------------------------------


def test_a_pause_frees_the_processor_and_the_slot(queue: Queue, project: Path, tmp_path: Path) -> None:
    file = tmp_path / "count"
    job = queue.submit(project, "train", argv=python(COUNTS, file, 100_000))
    until(lambda: count(file) > 3)
    queue.pause(job.id)
    paused = state(queue, job, "paused")
    assert paused.can_resume and paused.can_stop and not paused.can_pause and paused.eta_seconds is None
    stood = count(file)
    other = queue.submit(project, "check", argv=python("import time; time.sleep(0.3)"))
    state(queue, other, "running")
    queue.resume(job.id)
    assert queue.get(job.id).state == "queued" and count(file) == stood  # the other has the slot
    assert queue.wait(other.id, TIMEOUT_S).state == "done"
    state(queue, job, "running")
    until(lambda: count(file) > stood)
    assert [line.text for line in queue.log(job.id).lines] == ["begins at 0"]  # still the same worker
    with pytest.raises(HandfulError, match="the job is done, not running"):
        queue.pause(other.id)


def test_a_paused_job_survives_the_server_and_can_be_stopped(root: Path, project: Path, tmp_path: Path) -> None:
    file = tmp_path / "count"
    with Queue(root) as queue:
        job = queue.submit(project, "train", argv=python(COUNTS, file, 100_000))
        until(lambda: count(file) > 3)
        queue.pause(job.id)
        state(queue, job, "paused")
    stood, pid = count(file), leader(job)
    with Queue(root) as queue:
        time.sleep(0.5)
        assert queue.get(job.id).state == "paused" and count(file) == stood and leader(job) == pid
        queue.resume(job.id)
        until(lambda: count(file) > stood)
        queue.pause(job.id)
        state(queue, job, "paused")
        queue.stop(job.id)
        stopped = state(queue, job, "stopped")
        assert queue.log(job.id).lines[-1].text == "saved" and stopped.can_resume and not session(pid)


def test_a_paused_worker_that_dies_is_interrupted(queue: Queue, project: Path) -> None:
    job = queue.submit(project, "train", argv=python(SLEEPS))
    until(lambda: queue.get(job.id).rss_bytes)
    queue.pause(job.id)
    state(queue, job, "paused")
    os.killpg(leader(job), signal.SIGKILL)
    assert queue.wait(job.id, TIMEOUT_S).state == "interrupted" and queue.get(job.id).can_resume


# -- stopping --------------------------------------------------------------------------------------------------------------


def test_a_stop_lets_the_worker_save_and_a_resume_goes_on(queue: Queue, project: Path, tmp_path: Path) -> None:
    file = tmp_path / "count"
    job = queue.submit(project, "train", argv=python(COUNTS, file, 60))
    until(lambda: count(file) > 3)
    assert queue.stop(job.id).state == "stopping"
    stopped = queue.wait(job.id, TIMEOUT_S)
    assert stopped.state == "stopped" and stopped.can_resume and stopped.ended and stopped.error is None
    saved = count(file)
    queue.resume(job.id)
    done = queue.wait(job.id, TIMEOUT_S)
    assert done.state == "done" and done.attempt == 2 and queue.result(job.id) == {"count": 60}
    assert [line.text for line in queue.log(job.id).lines] == ["begins at 0", "saved", f"begins at {saved}"]
    assert queue.stop(job.id).state == "done"  # nothing happens


DEAF = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(2, signal.SIG_IGN); time.sleep(600)"])
print("deaf", file=sys.stderr, flush=True)
while True: time.sleep(0.01)
"""


@pytest.mark.parametrize("again", [False, True])
def test_a_worker_that_does_not_listen_is_killed_with_its_children(root: Path, project: Path, again: bool) -> None:
    with Queue(root, grace_seconds=600.0 if again else 0.3) as queue:
        job = queue.submit(project, "train", argv=python(DEAF))
        until(lambda: queue.log(job.id).lines)
        until(lambda: len(session(leader(job))) == 3)
        queue.stop(job.id)
        if again:
            time.sleep(0.3)
            assert queue.get(job.id).state == "stopping"
            queue.stop(job.id)
        assert queue.wait(job.id, TIMEOUT_S).state == "stopped"
        until(lambda: not session(leader(job)))


def test_a_worker_that_finishes_while_it_is_told_to_stop_is_done(queue: Queue, project: Path) -> None:
    code = "import signal, sys, time; signal.signal(2, lambda *_: sys.exit(0)); print('ready', file=sys.stderr, flush=True); time.sleep(600)"
    job = queue.submit(project, "train", argv=python(code))
    until(lambda: queue.log(job.id).lines)
    queue.stop(job.id)
    assert queue.wait(job.id, TIMEOUT_S).state == "done"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_worker_that_others_stop_is_interrupted(queue: Queue, project: Path, tmp_path: Path, number: int) -> None:
    file = tmp_path / "count"
    job = queue.submit(project, "train", argv=python(COUNTS, file, 100_000))
    until(lambda: count(file) > 3)
    os.killpg(leader(job), number)
    interrupted = queue.wait(job.id, TIMEOUT_S)
    assert (
        interrupted.state == "interrupted" and "another program" in (interrupted.error or "") and interrupted.can_resume
    )


# -- dying -----------------------------------------------------------------------------------------------------------------


TOLD = """
import sys
from handful._console import Events
Events().error("{message}", "{hint}", "{cause}")
print("handful: {message}", file=sys.stderr)
print("   try: {hint}", file=sys.stderr)
sys.exit({code})
"""


@pytest.mark.parametrize(
    ("code", "message", "cause", "state", "found", "can_resume"),
    [
        (1, "x could not be written (No space left on device)", "disk", "interrupted", "No space left", True),
        (
            1,
            "something went wrong that should not (MemoryError: )",
            "memory",
            "failed",
            "it ran out of memory (peak ",
            True,
        ),
        (75, "the run is held by pid 1", "", "failed", "held by pid 1", True),
        (2, "there is no model called 'x'", "", "failed", "no model", False),
    ],
)
def test_what_a_command_complains_of_decides_how_it_ends(
    queue: Queue, project: Path, code: int, message: str, cause: str, state: str, found: str, can_resume: bool
) -> None:
    words = python(TOLD.format(code=code, message=message, hint="do this", cause=cause))
    over = queue.wait(queue.submit(project, "train", argv=words).id, TIMEOUT_S)
    assert over.state == state and found in (over.error or "") and over.can_resume == can_resume and over.attempt == 1
    assert over.hint == "do this" or "batch size" in (over.hint or "")


def test_a_worker_that_sleeps_with_its_machine_is_not_dead(queue: Queue, project: Path, tmp_path: Path) -> None:
    file = tmp_path / "count"
    job = queue.submit(project, "train", argv=python(COUNTS, file, 60))
    until(lambda: count(file) > 3)
    os.killpg(leader(job), signal.SIGSTOP)
    time.sleep(0.5)
    assert queue.get(job.id).state == "running"
    os.killpg(leader(job), signal.SIGCONT)
    assert queue.wait(job.id, TIMEOUT_S).state == "done"


def test_a_worker_that_crashes_at_every_start_is_given_up_and_the_queue_goes_on(queue: Queue, project: Path) -> None:
    code = "import os, sys\nfor n in range(60): print('line', n, file=sys.stderr)\nos._exit(9)"
    job = queue.submit(project, "train", argv=python(code))
    other = queue.submit(project, "check", argv=python("pass"))
    failed = queue.wait(job.id, TIMEOUT_S)
    assert failed.state == "failed" and failed.attempt == 2
    assert "exit code 9" in (failed.error or "") and "2 times" in (failed.error or "")
    assert list(failed.tail) == [f"line {n}" for n in range(10, 60)]
    assert queue.wait(other.id, TIMEOUT_S).state == "done"
    queue.resume(job.id)  # whoever asks gets two more
    assert queue.wait(job.id, TIMEOUT_S).attempt == 4


def test_a_worker_that_crashes_once_is_tried_again(queue: Queue, project: Path, tmp_path: Path) -> None:
    code = "import os, sys; open(sys.argv[1], 'x') if '--resume' not in sys.argv else sys.exit(); os.abort()"
    job = queue.submit(project, "train", argv=python(code, tmp_path / "mark"))
    done = queue.wait(job.id, TIMEOUT_S)
    assert done.state == "done" and done.attempt == 2 and done.error is None


def test_a_worker_that_the_system_killed_was_probably_out_of_memory(queue: Queue, project: Path) -> None:
    code = "import os, time; x = bytearray(b'1') * 120_000_000; time.sleep(1.5); os.kill(os.getpid(), 9)"
    job = queue.submit(project, "train", argv=python(code))
    killed = queue.wait(job.id, TIMEOUT_S)
    assert killed.state == "failed" and killed.attempt == 1 and killed.can_resume
    assert killed.error == f"killed, probably out of memory (peak {(killed.peak_rss_bytes or 0) / 1e6:.0f} MB)"
    assert (killed.peak_rss_bytes or 0) > 120_000_000 and "batch size" in (killed.hint or "")


def test_memory_counts_what_the_worker_started(queue: Queue, project: Path) -> None:
    child = "x = bytearray(b'1') * 60_000_000; import time; time.sleep(600)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    job = queue.submit(project, "train", argv=python(code))
    until(lambda: (queue.get(job.id).rss_bytes or 0) > 60_000_000)
    assert json.loads((job.folder / "job.json").read_text())["rss_bytes"] > 60_000_000
    memory = queue.memory()
    assert memory["jobs_bytes"] > 60_000_000 and memory["server_bytes"] > 10_000_000 and memory["running"] == 1


# -- the server dies ---------------------------------------------------------------------------------------------------------

SERVER = """
import sys, time
from pathlib import Path
from handful.jobs import Queue
project, count, code = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
queue = Queue(project.parent)
queue.note("http://127.0.0.1:1/")
running = queue.submit(project, "train", argv=[sys.executable, "-c", code, count, "100"])
waiting = [queue.submit(project, "check", argv=[sys.executable, "-c", "pass"]) for _ in range(3)]
print(running.id, *(job.id for job in waiting), flush=True)
time.sleep(600)
"""


@pytest.fixture
def killed_server(project: Path, tmp_path: Path) -> tuple[list[str], Path]:
    """([id of a running job, ids of waiting ones], what it counts to), left by a server that was killed."""
    file = tmp_path / "count"
    server = subprocess.Popen(python(SERVER, project, file, COUNTS), stdout=subprocess.PIPE, text=True)
    assert server.stdout
    ids = server.stdout.readline().split()
    until(lambda: count(file) > 3)
    with pytest.raises(BusyError, match=f"pid {server.pid}.*http://127.0.0.1:1/"):
        Queue(project.parent)
    assert (holder(project.parent) or {})["url"] == "http://127.0.0.1:1/"
    server.kill()
    server.wait()
    server.stdout.close()
    assert holder(project.parent) is None
    return ids, file


def test_running_jobs_go_on_without_their_server_and_the_next_one_finds_them(
    root: Path, killed_server: tuple[list[str], Path]
) -> None:
    (running, *waiting), file = killed_server
    stood = count(file)
    heard: list[Job] = []
    with Queue(root, on_change=heard.append) as queue:
        assert [job.id for job in queue.list()] == [running, *waiting]
        assert queue.get(running).state == "running" and [queue.get(w).position for w in waiting] == [1, 2, 3]
        until(lambda: count(file) > stood)
        assert queue.wait(running, TIMEOUT_S).state == "done" and queue.result(running) == {"count": 100}
        assert [line.text for line in queue.log(running).lines] == ["begins at 0"]
        for job_id in waiting:
            assert queue.wait(job_id, TIMEOUT_S).state == "done"
    begun = [job.id for job in heard if job.state == "running"]
    assert [job_id for job_id in dict.fromkeys(begun) if job_id != running] == waiting


def test_what_ended_while_nobody_looked_is_read(root: Path, killed_server: tuple[list[str], Path]) -> None:
    (running, *waiting), file = killed_server
    until(lambda: (root / "p" / "jobs" / running / "exit.json").exists())
    with Queue(root) as queue:
        assert queue.wait(running, TIMEOUT_S).state == "done" and queue.wait(waiting[-1], TIMEOUT_S).state == "done"


def test_what_died_while_nobody_looked_is_interrupted_and_can_go_on(
    root: Path, killed_server: tuple[list[str], Path]
) -> None:
    (running, *_), file = killed_server
    folder = root / "p" / "jobs" / running
    os.killpg(json.loads((folder / "worker.json").read_text())["pid"], signal.SIGKILL)
    for _ in range(2):  # taking it up again changes nothing
        with Queue(root) as queue:
            assert queue.wait(running, TIMEOUT_S).state == "interrupted"
    with Queue(root) as queue:
        assert "vanished" in (queue.get(running).error or "")
        queue.resume(running)
        assert queue.wait(running, TIMEOUT_S).state == "done" and queue.result(running) == {"count": 100}


DIES = """
import os, sys
from pathlib import Path
project, at, count, code = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
from handful.jobs import Queue
real, calls = os.replace, []
def replace(*given):
    calls.append(1)
    if len(calls) == abs(at):
        at < 0 and real(*given)
        os._exit(137)
    real(*given)
os.replace = replace
queue = Queue(project.parent)
jobs = [queue.submit(project, "train", argv=[sys.executable, "-c", code, count, "10"]),
        queue.submit(project, "check", argv=[sys.executable, "-c", "pass"])]
for job in jobs:
    queue.wait(job.id)
"""


@pytest.mark.slow
@pytest.mark.parametrize("side", [1, -1], ids=["before", "after"])
def test_a_server_that_dies_at_any_durable_write_loses_no_job(
    side: int, root: Path, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from handful.jobs import local

    monkeypatch.setattr(local, "STARTING_S", 1.0)
    seen = set()
    for at in range(1, 100):
        done = subprocess.run(python(DIES, project, at * side, tmp_path / f"count{at}", COUNTS), check=False)
        with Queue(root) as queue:
            for job in queue.list():
                over = queue.wait(job.id, TIMEOUT_S)
                seen.add(over.state)
                if over.state != "done":
                    assert over.state == "interrupted" and over.can_resume, over
                    queue.resume(job.id)
                    assert queue.wait(job.id, TIMEOUT_S).state == "done"
                queue.delete(job.id)
        assert list((project / "jobs").iterdir()) == []
        if done.returncode == 0:
            break
        assert done.returncode == 137
    assert at > 5 and "done" in seen


FULL = """
import os, sys, time
from pathlib import Path
from handful.errors import HandfulError
from handful.jobs import Queue
root, fills = Path(sys.argv[1]) / "projects", sys.argv[2]
(root / "p").mkdir(parents=True)
with Queue(root) as queue:
    job = queue.submit(root / "p", "check", argv=[sys.executable, "-c", fills, str(root / "big")])
    while os.statvfs(root).f_bavail or not (root / "big").exists():
        time.sleep(0.05)
    try:
        queue.submit(root / "p", "check", argv=["true"])
    except HandfulError as error:
        assert "No space left" in error.message and error.hint
    else:
        raise AssertionError("it was taken")
    queue.pause(job.id)
    while queue.get(job.id).state != "paused":
        time.sleep(0.05)
    queue.resume(job.id)
    time.sleep(1.5)  # the worker has ended and cannot write that down
    assert queue.get(job.id).state == "running"
    (root / "big").unlink()
    assert queue.wait(job.id, 30).state == "done", queue.get(job.id)
with Queue(root) as queue:
    assert [(one.id, one.state) for one in queue.list()] == [(job.id, "done")]
"""
FILLS = """
import sys
file = open(sys.argv[1], "wb", buffering=0)
try:
    while True: file.write(b"0" * 4096)
except OSError:
    pass
"""


@pytest.mark.slow
def test_a_full_disk_refuses_new_jobs_and_loses_no_old_one(tmp_path: Path) -> None:
    program = f"mount -t tmpfs -o size=1m handful {tmp_path} && exec "
    mounted = subprocess.run(["unshare", "-rm", "sh", "-c", program + "true"], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted here")
    words = ["unshare", "-rm", "sh", "-c", program + '"$@"', "sh", *python(FULL, tmp_path, FILLS)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def left_behind(project: Path, **worker: Any) -> Path:
    """The folder of a job that was running, with the worker that it claims to have."""
    with Queue(project.parent) as queue:
        job = queue.submit(project, "train", argv=python("pass"))
        queue.wait(job.id, TIMEOUT_S)
    kept = json.loads((job.folder / "job.json").read_text())
    kept |= {"state": "running", "holds": True, "attempt": 7}
    (job.folder / "job.json").write_text(json.dumps(kept))
    (job.folder / "exit.json").unlink()
    (job.folder / "worker.json").write_text(json.dumps({"attempt": 7, **worker}))
    return job.folder


def own_start() -> int:
    return int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are told apart by /proc")
@pytest.mark.parametrize("reused", ["number", "boot"])
def test_a_process_number_that_another_program_has_now_is_not_the_worker(project: Path, reused: str) -> None:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    start = own_start()
    worker = {"start": start - 1, "boot": boot} if reused == "number" else {"start": start, "boot": "another"}
    folder = left_behind(project, pid=os.getpid(), **worker)
    with Queue(project.parent) as queue:
        assert queue.wait(folder.name, TIMEOUT_S).state == "interrupted"  # and we still live


def test_a_worker_is_found_by_its_lock_where_there_is_no_process_table(project: Path) -> None:
    import fcntl

    folder = left_behind(project, pid=2**22 + 1, start=None, boot=None)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with Queue(project.parent) as queue:
            time.sleep(0.5)
            assert queue.get(folder.name).state == "running"
    with Queue(project.parent) as queue:
        assert queue.wait(folder.name, TIMEOUT_S).state == "interrupted"


def test_a_worker_that_never_began_is_interrupted_after_a_while(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from handful.jobs import local

    monkeypatch.setattr(local, "STARTING_S", 0.3)
    folder = left_behind(project, pid=1, start=1, boot="x")
    (folder / "worker.json").unlink()
    with Queue(project.parent) as queue:
        assert queue.wait(folder.name, TIMEOUT_S).state == "interrupted"


def test_one_worker_a_folder_whoever_asks(queue: Queue, project: Path) -> None:
    job = queue.submit(project, "train", argv=python(SLEEPS))
    until(lambda: queue.get(job.id).rss_bytes)
    shepherd = Path(queueing.__file__).with_name("_shepherd.py")
    second = subprocess.run([sys.executable, shepherd, job.folder, "2", "0", "true"], check=False)
    assert second.returncode == 75 and queue.get(job.id).state == "running"
    assert json.loads((job.folder / "worker.json").read_text())["attempt"] == 1


def test_two_servers_on_one_home(root: Path, queue: Queue) -> None:
    with pytest.raises(BusyError) as caught:
        Queue(root)
    assert f"pid {os.getpid()}" in caught.value.message and caught.value.exit_code == 75
    queue.note("http://127.0.0.1:8090/")
    with pytest.raises(BusyError) as caught:
        Queue(root)
    assert caught.value.hint == "open http://127.0.0.1:8090/"


def test_records_that_cannot_be_read_are_left_alone(project: Path) -> None:
    newer = project / "jobs" / "newer"
    for folder, text in ((newer, '{"format": 99}'), (project / "jobs" / "torn", '{"format": 1, "id": "to')):
        folder.mkdir(parents=True)
        (folder / "job.json").write_text(text)
    with Queue(project.parent) as queue:
        assert queue.list() == []
    assert (newer / "job.json").read_text() == '{"format": 99}'


def test_a_job_that_came_with_a_folder_from_elsewhere_is_never_run(root: Path, project: Path, tmp_path: Path) -> None:
    import shutil

    other = tmp_path / "elsewhere"
    (other / "stranger").mkdir(parents=True)
    harm = python("import sys; open(sys.argv[1], 'w')", tmp_path / "harm")
    with Queue(other) as queue:
        running = queue.submit(other / "stranger", "check", argv=python(SLEEPS))
        state(queue, running, "running")
        queue.submit(other / "stranger", "check", argv=harm)
        stopped = queue.submit(other / "stranger", "check", argv=harm)
        queue.stop(stopped.id)
        shutil.copytree(other / "stranger", root / "stranger")
        end(queue)
    with Queue(root) as queue:
        queue.wait(queue.submit(project, "check", argv=python("pass")).id, TIMEOUT_S)
        assert sorted(job.state for job in queue.list("stranger")) == ["interrupted", "interrupted", "stopped"]
        for job in queue.list("stranger"):
            assert not job.can_resume
            with pytest.raises(HandfulError, match="nothing to go on with"):
                queue.resume(job.id)
    assert not (tmp_path / "harm").exists()
    assert (root / ".queue.key").stat().st_mode & 0o077 == 0


# -- clocks ------------------------------------------------------------------------------------------------------------------


def test_a_clock_that_jumps_changes_neither_order_nor_durations(
    root: Path, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    with Queue(root, grace_seconds=5.0) as queue:
        first = queue.submit(project, "check", argv=python(COUNTS, tmp_path / "c", 100_000))
        state(queue, first, "running")  # until it is, it has a place among those that wait
        second = queue.submit(project, "check", argv=python("pass"))
        now -= 86_400
        third = queue.submit(project, "check", argv=python("pass"))
        now += 3e7
        fourth = queue.submit(project, "check", argv=python("pass"))
        assert [job.id for job in queue.list()] == [job.id for job in (first, second, third, fourth)]
        assert [queue.get(job.id).position for job in (second, third, fourth)] == [1, 2, 3]
        until(lambda: count(tmp_path / "c") > 3)
        queue.stop(first.id)
        now += 3e7
        assert queue.wait(first.id, TIMEOUT_S).state == "stopped"
        assert queue.log(first.id).lines[-1].text == "saved"  # its grace was not over
        assert queue.wait(fourth.id, TIMEOUT_S).state == "done" and queue.get(first.id).worked_seconds < 100


# -- progress ------------------------------------------------------------------------------------------------------------------


def events(folder: Path, *stages: tuple[str, int, int]) -> None:
    with open(folder / "events.jsonl", "a") as file:
        for stage, done, of in stages:
            file.write(json.dumps({"time": 1.0, "kind": "progress", "stage": stage, "done": done, "of": of}) + "\n")


def epochs(run: Path, *rows: tuple[int | None, int]) -> None:
    for fold, epoch in rows:
        Run(run).log(
            event="epoch", fold=fold, epoch=epoch, epochs=4, train_loss=1 / epoch, train_accuracy=0.5, learning_rate=0.1
        )


def test_the_share_is_known_for_equal_parts_and_for_nothing_else(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    training = following.Following(tmp_path, "train", run)
    shares = []
    for step in (
        lambda: events(tmp_path, ("decode", 3, 10)),
        lambda: events(tmp_path, ("train", 0, 3)),
        lambda: epochs(run, (0, 1), (0, 2)),
        lambda: epochs(run, (0, 3), (0, 4)),
        lambda: events(tmp_path, ("train", 1, 3)),
        lambda: events(tmp_path, ("train", 2, 3)),
        lambda: epochs(run, (None, 1), (None, 2)),
        lambda: events(tmp_path, ("train", 3, 3)),
        lambda: following.mark_beginning(tmp_path),
    ):
        step()
        training.update()
        shares.append(training.share)
    assert shares[:2] == [None, None] and shares[-1] is None and training.progress is None
    assert shares[2:-1] == pytest.approx([0.5 / 3, 1 / 3, 1 / 3, 2 / 3, 2.5 / 3, 1])
    explaining = following.Following(tmp_path, "explain", None)
    events(tmp_path, ("embed", 1, 2), ("explain", 1, 4))
    explaining.update()
    assert explaining.share == 0.25 and explaining.progress == following.Progress("explain", 1, 4)
    comparing = following.Following(tmp_path, "compare", None)
    comparing.update()
    assert comparing.share is None and comparing.progress is not None and comparing.rest(10.0) is None


def test_what_cannot_be_counted_is_a_share_of_the_time_that_was_expected(tmp_path: Path) -> None:
    at = following.Following(tmp_path, "train", tmp_path / "run", expected_seconds=10.0)
    found = []
    for worked in (0.0, 1.0, 5.0, 10.0, 20.0, 300.0):
        at.update(worked)
        found.append((at.share, at.rest(worked)))
    shares, rests = zip(*found, strict=True)
    assert rests == (10.0, 9.0, 5.0, None, None, None)  # it is late, nobody knows by how much
    assert shares[:4] == pytest.approx([0.0, 0.09, 0.45, 0.9]) and 0.9 < shares[4] < shares[5] < 0.995
    following.mark_beginning(tmp_path)
    at.update(5.0)
    events(tmp_path, ("train", 1, 4))
    at.update(5.0)
    assert at.share == pytest.approx(0.45) and at.counted == 0.25  # what is counted takes over when it is further
    events(tmp_path, ("train", 2, 4))
    at.update(6.0)
    assert at.share == 0.5


def test_the_time_left_follows_the_pace_of_the_work() -> None:
    at = following.Following(Path("/nowhere"), "explain", None)
    found = []
    for worked, share in ((0.0, 0.0), (1.0, 0.1), (5.0, 0.5), (6.0, 0.5), (8.0, 0.6), (9.0, 0.1)):
        at.counted = share
        found.append(at.rest(worked))
    assert found[:2] == [None, None]  # too early to say
    assert found[2:5] == pytest.approx([5.0, 6.0, 0.4 * 8 / 0.6]) and found[5] is None  # it began anew


def test_points_are_given_once_and_keep_their_numbers(queue: Queue, project: Path) -> None:
    run = project / "runs" / "r"
    run.mkdir(parents=True)
    job = queue.submit(project, "train", argv=python("pass"), run=run, makes_run=True)
    assert job.run == "r" and queue.series(job.id).points == []
    Run(run).log(event="batch_size", size=8)
    epochs(run, (0, 1), (0, 2))
    first = queue.series(job.id)
    assert [(p["n"], p["fold"], p["epoch"], p["loss"], p["accuracy"]) for p in first.points] == [
        (0, 0, 1, 1.0, 0.5), (1, 0, 2, 0.5, 0.5),
    ]  # fmt: skip
    assert first.next == 2 and "event" not in first.points[0] and first.points[0]["learning_rate"] == 0.1
    with open(run / "metrics.jsonl", "a") as file:
        file.write('{"time": 5, "event": "ep')  # killed while it wrote
    epochs(run, (0, 2), (0, 3), (None, 1))  # resumed: epoch 2 is trained again
    more = queue.series(job.id, after=first.next)
    assert [(p["n"], p["fold"], p["epoch"]) for p in more.points] == [(2, 0, 3), (3, None, 1)] and more.next == 4
    assert queue.series(job.id).points == first.points + more.points
    assert queue.series(job.id, after=4).next == 4 and len(queue.series(job.id, after=1, limit=1).points) == 1


def test_a_long_log_is_read_in_parts(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text("".join(f"2026-01-01T00:00:00.{n % 1000:03d}Z line {n}\n" for n in range(5500)) + "torn")
    log = following.Log(path)
    assert [line.text for line in log.part(4999, 2).lines] == ["line 4999", "line 5000"]
    assert log.part(5499, 10).lines[0].n == 5499 and log.part(5500, 10).lines == []
    assert log.part(0, 3).next == 3 and log.tail(2) == ["line 5499", "torn"]
    assert log.part(1234, 1).lines[0].time == 1767225600.234


# -- forgetting ------------------------------------------------------------------------------------------------------------------


def test_only_what_is_over_can_be_deleted(queue: Queue, root: Path, project: Path) -> None:
    job = queue.submit(project, "train", argv=python(SLEEPS))
    state(queue, job, "running")
    for refuse in (lambda: queue.delete(job.id), lambda: queue.forget("p")):
        with pytest.raises(BusyError) as caught:
            refuse()
        assert caught.value.hint == "stop it first"
    end(queue)
    queue.delete(job.id)
    assert queue.list() == [] and list((project / "jobs").iterdir()) == []
    waiting = queue.submit(root / "q", "check", argv=python(SLEEPS))
    end(queue)
    queue.forget("q")
    assert queue.list() == [] and waiting.folder.is_dir()


def test_what_was_half_deleted_is_gone_after_the_next_start(root: Path, project: Path) -> None:
    with Queue(root) as queue:
        job = queue.submit(project, "check", argv=python("pass"))
        queue.wait(job.id, TIMEOUT_S)
    os.replace(job.folder, job.folder.with_name(f".gone-{job.id}"))
    with Queue(root) as queue:
        assert queue.list() == []
    assert list((project / "jobs").iterdir()) == []


def test_a_project_that_vanishes_takes_its_jobs_with_it(queue: Queue, root: Path, project: Path) -> None:
    import shutil

    first = queue.submit(project, "train", argv=python(SLEEPS))
    state(queue, first, "running")
    job = queue.submit(root / "q", "check", argv=python("pass"))
    shutil.rmtree(root / "q")
    queue.stop(first.id)
    until(lambda: job.id not in {other.id for other in queue.list()})
    assert not (root / "q").exists()


# -- leaks -----------------------------------------------------------------------------------------------------------------------


def children() -> int:
    done = subprocess.run(["ps", "-o", "pid=", "--ppid", str(os.getpid())], capture_output=True, text=True, check=False)
    return len(done.stdout.split()) - 1  # ps itself


@pytest.mark.parametrize("cycles", [4, pytest.param(50, marks=pytest.mark.slow)])
def test_opening_working_and_closing_leaves_nothing_open(root: Path, project: Path, cycles: int) -> None:
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("open files are counted in /proc")

    def cycle() -> None:
        with Queue(root) as queue:
            job = queue.submit(project, "check", argv=["true"])
            assert queue.wait(job.id, TIMEOUT_S).state == "done"
            queue.log(job.id), queue.series(job.id)
            queue.delete(job.id)

    cycle()
    before = len(os.listdir("/proc/self/fd")), threading.active_count(), children()
    for _ in range(cycles):
        cycle()
    after = len(os.listdir("/proc/self/fd")), threading.active_count(), children()
    assert after[0] <= before[0] + 2 and after[1] == before[1] and after[2] <= before[2]
    assert list((project / "jobs").iterdir()) == []
    assert sorted(file.name for file in root.iterdir()) == [".queue.key", ".queue.lock", "p", "q"]


def test_many_threads_ask_at_once(queue: Queue, project: Path) -> None:
    jobs = [queue.submit(project, "check", argv=python(SLEEPS)) for _ in range(4)]
    errors: list[BaseException] = []

    def ask() -> None:
        for job in jobs:
            for what in (queue.pause, queue.resume, queue.get, queue.log, queue.stop):
                try:
                    what(job.id)
                except HandfulError:
                    pass
                except BaseException as error:
                    errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    for job in jobs:
        assert queue.wait(job.id, TIMEOUT_S).state == "stopped"


# -- training ----------------------------------------------------------------------------------------------------------------------


def test_a_quick_training_makes_its_run(queue: Queue, project: Path, photos: Path) -> None:
    run = project / "runs" / "first"
    words = ["train", str(photos), "--weights", "none", "--repeats", "1", "--run", str(run)]
    job = queue.submit(project, "train", words, run=run, makes_run=True)
    done = queue.wait(job.id, TIMEOUT_S)
    assert done.state == "done", queue.log(job.id)
    assert queue.result(job.id)["run"] == str(run) and Run.open(run).result["classes"] == ["green", "red"]
    # All that is missing of a run that was finished before it was interrupted is its report.
    (run / "report.html").unlink()
    queue._shelf.jobs[job.id] = replace(done, state="interrupted", resumable=True)
    queue.resume(job.id)
    assert queue.wait(job.id, TIMEOUT_S).state == "done" and (run / "report.html").is_file()


@pytest.fixture
def scratch(photos: Path) -> list[str]:
    pytest.importorskip("torch", reason="torch is not installed")
    words = ["train", str(photos), "--strategy", "scratch", "--epochs", "6", "--folds", "2", "--batch-size", "8"]
    return [*words, "--threads", "1", "--input-size", "32"]


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_training_that_is_told_to_stop_keeps_its_last_step(
    scratch: list[str], number: int, code: int, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    words = [sys.executable, "-m", "handful", *scratch, "--run", str(run)]
    child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    until(lambda: (run / "metrics.jsonl").is_file() and len(Run(run).rows("metrics.jsonl")) >= 2)
    child.send_signal(number)
    said = child.communicate(timeout=TIMEOUT_S)[1]
    assert child.returncode == code and "to go on: " in said and said.rstrip().endswith("--resume")
    before = [(row["fold"], row["epoch"]) for row in Run(run).rows("metrics.jsonl")]
    assert (run / "unfinished").is_dir()  # seconds after it began: a checkpoint is otherwise written every 20
    subprocess.run([*words, "--resume"], check=True, capture_output=True)
    whole = tmp_path / "whole"
    subprocess.run([sys.executable, "-m", "handful", *scratch, "--run", str(whole)], check=True, capture_output=True)
    after = [(row["fold"], row["epoch"]) for row in Run(run).rows("metrics.jsonl")]
    assert after[: len(before)] == before and len(after) == len(set(after)) == 18  # no epoch was trained twice
    for name in ("model.safetensors", "out_of_fold.jsonl"):
        assert (run / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.slow
def test_a_stopped_training_goes_on_with_its_curve(root: Path, project: Path, scratch: list[str]) -> None:
    run = project / "runs" / "r"
    with Queue(root) as queue:
        job = queue.submit(project, "train", [*scratch, "--run", str(run)], run=run, makes_run=True)
        until(lambda: len(queue.series(job.id).points) >= 3)
        share = until(lambda: queue.get(job.id).share, "a share")
        assert 0 < share < 1
        queue.stop(job.id)
        assert queue.wait(job.id, TIMEOUT_S).state == "stopped"
        first = queue.series(job.id)
    with Queue(root) as queue:  # another server
        queue.resume(job.id)
        done = queue.wait(job.id, 2 * TIMEOUT_S)
        assert done.state == "done" and done.attempt == 2, queue.log(job.id)
        points = queue.series(job.id).points
        assert (
            points[: first.next] == first.points
            and queue.series(job.id, after=first.next).points == points[first.next :]
        )
    assert [(p["fold"], p["epoch"]) for p in points] == [(f, e) for f in (0, 1, None) for e in range(1, 7)]
    assert [p["n"] for p in points] == list(range(18)) and (run / "report.html").is_file()


def test_a_second_signal_acts_at_once_and_a_late_one_is_not_lost() -> None:
    from handful.training._stopping import Stopping

    with pytest.raises(KeyboardInterrupt), Stopping() as stopping:
        os.kill(os.getpid(), signal.SIGINT)
        until(lambda: stopping.asked)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
        raise AssertionError("it waited")
    reached = False
    with pytest.raises(KeyboardInterrupt), Stopping() as stopping:
        os.kill(os.getpid(), signal.SIGINT)
        until(lambda: stopping.asked)
        reached = True
    assert reached and signal.getsignal(signal.SIGINT) is signal.default_int_handler
