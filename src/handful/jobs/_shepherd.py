"""Runs one worker to its end and writes down how it ended, whether or not the server that asked for it still lives.

    python -I -S _shepherd.py FOLDER ATTEMPT NICENESS COMMAND...

A program of its own that needs nothing but the standard library: it leads the session and process group of the worker, copies
the worker's messages to log.txt with the time of each, and leaves in FOLDER

    worker.json   {"attempt", "pid", "start", "boot"} of this process, before the worker begins
    exit.json     {"attempt", "code", "peak_rss_bytes"} once the worker has ended; code -N: killed by signal N
    lock          held by flock as long as this process lives, so that no second one begins

Knows nothing of queues or of what the worker does.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import sys
import time
from io import FileIO

LOG_BYTES = 50_000_000  # of log.txt at most; what comes later is read and dropped
LINE_BYTES = 10_000
FULL_S = 300  # for how long to try again where the disk is full
BUSY = 75


def main() -> int:
    folder, attempt, niceness = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    command = sys.argv[4:]
    os.chdir(folder)
    lock = os.open("lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return BUSY
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # they are for the worker, which shares the group
    with contextlib.suppress(OSError):
        os.nice(niceness)
    with contextlib.suppress(FileNotFoundError):
        os.unlink("exit.json")
    write("worker.json", {"attempt": attempt, "pid": os.getpid(), "start": started(), "boot": boot()})
    code, peak = run(command)
    for _ in range(FULL_S):
        try:
            write("exit.json", {"attempt": attempt, "code": code, "peak_rss_bytes": peak})
            return 0
        except OSError:
            if not os.path.isfile("worker.json"):  # the folder is gone
                return 1
            time.sleep(1)
    return 1


def run(command: list[str]) -> tuple[int, int]:
    """(exit code, largest resident size of a process in bytes)"""
    reading, writing = os.pipe()
    result = os.open("result.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    with open("log.txt", "ab", buffering=0) as log:
        try:
            worker = os.posix_spawnp(
                command[0], command, os.environ,
                file_actions=[(os.POSIX_SPAWN_DUP2, fd, to) for to, fd in enumerate((nothing, result, writing))],
                setsigdef=(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE),
            )  # fmt: skip
        except OSError as error:
            log.write(stamped(f"{command[0]}: {error.strerror}".encode()))
            return 127, 0
        finally:
            for fd in (writing, result, nothing):
                os.close(fd)
        return follow(worker, reading, log)


def follow(worker: int, reading: int, log: FileIO) -> tuple[int, int]:
    """Copy what the worker says until it has ended; its own children may still hold the pipe then."""
    os.set_blocking(reading, False)
    rest = b""
    ended: tuple[int, int] | None = None
    while True:
        with contextlib.suppress(InterruptedError):
            select.select([reading], [], [], 0.2)
        if ended is None:
            pid, status, usage = os.wait4(worker, os.WNOHANG)
            if pid:
                ended = os.waitstatus_to_exitcode(status), peak_bytes(usage.ru_maxrss)
        try:
            chunk = os.read(reading, 65_536)
        except BlockingIOError:
            if ended:
                break
            continue
        if not chunk:
            if ended:
                break
            time.sleep(0.05)  # it closed its stderr and works on
        rest = copy(rest + chunk, log)
    copy(rest + b"\n" if rest else b"", log)
    return ended


def copy(text: bytes, log: FileIO) -> bytes:
    """Write the whole lines of `text`; returns what is left."""
    *lines, rest = text.replace(b"\r", b"\n").split(b"\n")
    if len(rest) > LINE_BYTES:
        lines, rest = [*lines, rest], b""
    with contextlib.suppress(OSError):  # a full disk must not end the work
        for line in lines:
            if line.strip() and log.tell() < LOG_BYTES:
                log.write(stamped(line[:LINE_BYTES]))
    return rest


def stamped(line: bytes) -> bytes:
    now = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)).encode() + b".%03dZ " % (now % 1 * 1000) + line + b"\n"


def peak_bytes(ru_maxrss: int) -> int:
    return ru_maxrss if sys.platform == "darwin" else ru_maxrss * 1024


def started() -> int | None:
    """Ticks after boot at which this process began; None where the system does not say."""
    try:
        with open("/proc/self/stat") as file:
            return int(file.read().rpartition(")")[2].split()[19])
    except OSError:
        return None


def boot() -> str | None:
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return None


def write(name: str, value: dict[str, object]) -> None:
    """Replace the file by `value`, whole and on the disk."""
    with open(f".{name}.tmp", "w", encoding="utf-8") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(f".{name}.tmp", name)


if __name__ == "__main__":
    sys.exit(main())
