"""What serving costs: requests per second over a socket against the bare engine on the same files, and health meanwhile.

    python benchmarks/serving.py RUN FILE_OR_FOLDER [--requests 400] [--clients 32] [--rows]

Both sides take turns; the median of the ratios is printed. The bare engine is `Predictor.stream`: decoding in threads,
batches of 16, all files at once. The clients share the machine's cores with the server; where other programs do too, the
processor time that each side needed says more than the clock.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from handful.data.media import AUDIO_SUFFIXES, IMAGE_SUFFIXES

# A process of its own, as whoever watches a server is: not one that shares its interpreter with the clients.
WATCH = """
import http.client, json, select, sys, time
connection, found = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=60), []
print("watching", flush=True)
while not select.select([sys.stdin], [], [], 0.05)[0]:
    start = time.perf_counter()
    connection.request("GET", "/v2/health/live")
    connection.getresponse().read()
    found.append(time.perf_counter() - start)
print(json.dumps(found))
"""


def bare(run: str, files: list[Path]) -> tuple[float, float, list[str]]:
    """(files per second, processor seconds a file, labels) of the engine in a process of its own."""
    program = (
        "import json, sys, time; from pathlib import Path; from handful.inference import Predictor\n"
        "p = Predictor.load(sys.argv[1]); files = [Path(f) for f in json.load(sys.stdin)]; list(p.stream(files[:16]))\n"
        "t, c = time.perf_counter(), time.process_time(); found = [q.label for q in p.stream(files)]; n = len(files)\n"
        "print(json.dumps([n / (time.perf_counter() - t), (time.process_time() - c) / n, found]))"
    )
    names = json.dumps([str(file) for file in files])
    done = subprocess.run([sys.executable, "-c", program, run], input=names, capture_output=True, text=True, check=True)
    rate, cpu, labels = json.loads(done.stdout)
    return rate, cpu, labels


def processor(pid: int) -> float:
    """Seconds of processor time a process has used (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def served(run: str, files: list[Path], clients: int) -> tuple[float, float, list[str], list[float]]:
    """(files per second, processor seconds a file, labels, seconds of each health check meanwhile) over a socket."""
    process = subprocess.Popen(
        [sys.executable, "-m", "handful", "serve", run, "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    port = int(process.stdout.readline().strip().rsplit(":", 1)[1])
    contents = [file.read_bytes() for file in files]
    local = threading.local()

    def ask(content: bytes) -> str:
        """Over a plain socket: http.client would take as much of the machine's cores as the server's own HTTP."""
        if not hasattr(local, "connection"):
            local.connection = socket.create_connection(("127.0.0.1", port), timeout=120)
            local.answers = local.connection.makefile("rb")
        head = f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(content)}\r\n\r\n"
        local.connection.sendall(head.encode() + content)
        status, length = local.answers.readline().split()[1], 0
        while line := local.answers.readline().strip():
            if line.lower().startswith(b"content-length:"):
                length = int(line[15:])
        body = json.loads(local.answers.read(length))
        if status != b"200":
            raise RuntimeError(f"{status.decode()}: {body}")
        return str(body["label"])

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(ask, contents[:16]))
        watcher = subprocess.Popen(
            [sys.executable, "-c", WATCH, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert watcher.stdout
        watcher.stdout.readline()
        start, used = time.perf_counter(), processor(process.pid)
        labels = list(pool.map(ask, contents))
        rate = len(files) / (time.perf_counter() - start)
        cpu = (processor(process.pid) - used) / len(files)
        health = json.loads(watcher.communicate()[0])  # which closes its input
    process.terminate()
    process.wait(30)
    return rate, cpu, labels, health


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("files", type=Path)
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", action="store_true", help="print rows of a table alone")
    chosen = parser.parse_args()
    found = (
        sorted(f for f in chosen.files.rglob("*") if f.suffix.lower() in AUDIO_SUFFIXES | IMAGE_SUFFIXES)
        if chosen.files.is_dir()
        else [chosen.files]
    )
    files = [found[i % len(found)] for i in range(chosen.requests)]
    ratios, costs, checks, agreed = [], [], [], 0
    for number in range(chosen.rounds):
        engine, least, expected = bare(chosen.run, files)
        rate, cpu, labels, health = served(chosen.run, files, chosen.clients)
        ratios.append(rate / engine)
        costs.append(least / cpu)
        checks += health
        same = sum(a == b for a, b in zip(labels, expected, strict=True))
        agreed += same
        if chosen.rows:
            continue
        print(
            f"round {number + 1}: bare {engine:.1f} files/s and {least * 1000:.1f} ms of processor a file, "
            f"served {rate:.1f} and {cpu * 1000:.1f} ms: ratio {ratios[-1]:.3f}, by processor {costs[-1]:.3f}; "
            f"{same} of {len(files)} labels agree"
        )
    if chosen.rows:
        each = f"{min(ratios):.2f} to {max(ratios):.2f}; by processor time {statistics.median(costs):.2f}"
        asked = f"{chosen.requests} files by {chosen.clients} clients"
        print(f"| files a second, served / bare engine loop, {asked} | {statistics.median(ratios):.2f} ({each}) | at least 0.85 |")  # fmt: skip
        print(f"| ... answers with the label of the bare loop | {agreed} of {chosen.requests * chosen.rounds} | all |")
        print(f"| ... health meanwhile, worst of {len(checks)} | {max(checks) * 1000:.0f} ms, median {statistics.median(checks) * 1000:.0f} ms | below 100 ms |")  # fmt: skip
        return
    print(
        f"median ratio {statistics.median(ratios):.3f}, by processor {statistics.median(costs):.3f}; "
        f"health: median {statistics.median(checks) * 1000:.1f} ms, worst {max(checks) * 1000:.1f} ms of {len(checks)}"
    )


if __name__ == "__main__":
    main()
