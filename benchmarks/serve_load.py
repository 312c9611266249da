"""`maskcls serve` under load: many clients at once, on this machine alone.

    python benchmarks/serve_load.py --model model/ --photos photos/ --clients 50 --seconds 60

Starts a server of its own on a free port of the loopback address, and asks it in three ways: one client alone, many
clients with the photos of all batched together, and many clients of a server that answers one photo at a time. Each
client sends the next photo once it has its answer. Memory is the server's resident set, read from /metrics; "flat" is
the last quarter of the run against its second quarter.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from maskcls.embedder.photo import list_photos

BOUNDARY = "maskcls-load"
MIB = 2**20


@dataclass
class Load:
    """What the clients saw."""

    seconds: float
    statuses: Counter[str] = field(default_factory=Counter)
    taken: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    mean_pass: float = 0.0

    def row(self, name: str) -> str:
        """One line of the table."""
        milliseconds = sorted(1000 * one for one in self.taken)
        quarter = len(self.memory) // 4
        early, late = self.memory[quarter : 2 * quarter] or [0.0], self.memory[-quarter or -1 :]
        errors = sum(count for status, count in self.statuses.items() if status != "200")
        return (
            f"| {name} | {len(self.taken)} | {errors} | {len(self.taken) / self.seconds:.1f} "
            f"| {statistics.median(milliseconds):.0f} | {milliseconds[int(0.95 * len(milliseconds))]:.0f} "
            f"| {milliseconds[-1]:.0f} | {self.mean_pass:.1f} "
            f"| {statistics.median(early):.0f} | {statistics.median(late):.0f} |"
        )


class Server:
    """`maskcls serve` as a process of its own."""

    def __init__(self, model: Path, batch_size: int) -> None:
        code = "from maskcls.cli.main import main; main()"
        command = [sys.executable, "-uc", code, "serve", "--model", str(model), "--port", "0"]
        self.process = subprocess.Popen([*command, "--batch-size", str(batch_size)], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        found = re.match(r"(http://\S+)", self.process.stdout.readline())
        if not found:
            raise SystemExit("the server did not start")
        self.host = urlsplit(found[1]).netloc

    def metrics(self) -> dict[str, float]:
        """Figures without labels, by name."""
        connection = HTTPConnection(self.host, timeout=30)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        return {name: float(value) for name, value in re.findall(r"^(\w+) (\S+)$", text, re.MULTILINE)}

    def stop(self) -> None:
        """End the process."""
        self.process.terminate()
        self.process.wait(30)


def form(photo: bytes) -> bytes:
    """A request's body."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="photo"; filename="photo"\r\n\r\n'
    return head.encode() + photo + f"\r\n--{BOUNDARY}--\r\n".encode()


def client(host: str, bodies: list[bytes], first: int, end: float, load: Load, lock: threading.Lock) -> None:
    """Ask until the end."""
    connection = HTTPConnection(host, timeout=120)
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    for number in itertools.count(first):
        began = time.monotonic()
        if began >= end:
            break
        try:
            connection.request("POST", "/predict", bodies[number % len(bodies)], headers)
            answer = connection.getresponse()
            text, status = answer.read(), str(answer.status)
            if status == "200":
                json.loads(text)
        except (OSError, HTTPException, ValueError) as error:
            status = type(error).__name__
            connection.close()
        with lock:
            load.statuses[status] += 1
            load.taken.append(time.monotonic() - began)
    connection.close()


def measure(server: Server, bodies: list[bytes], clients: int, seconds: float) -> Load:
    """Load a server that is warm."""
    client(server.host, bodies, 0, time.monotonic() + 3, Load(3), threading.Lock())
    before, load, lock = server.metrics(), Load(seconds), threading.Lock()
    end = time.monotonic() + seconds
    threads = [
        threading.Thread(target=client, args=(server.host, bodies, 7 * number, end, load, lock))
        for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    while (left := end - time.monotonic()) > 0:
        load.memory.append(server.metrics()["process_resident_memory_bytes"] / MIB)
        time.sleep(min(1.0, left))
    for thread in threads:
        thread.join()
    after = server.metrics()
    photos, passes = (
        after[f"maskcls_batch_photos_{name}"] - before[f"maskcls_batch_photos_{name}"] for name in ("sum", "count")
    )
    load.mean_pass = photos / max(passes, 1)
    return load


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--most", type=int, default=200, help="photos used, spread over the folder")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    paths = list_photos(options.photos)[0]
    bodies = [form(path.read_bytes()) for path in paths[:: max(1, len(paths) // options.most)][: options.most]]
    print(f"{len(bodies)} photos of {options.photos.name}, {options.seconds:g} s a row, medians in ms and MiB")
    print("| clients | answers | errors | answers/s | median | 95 % | longest | photos a pass | memory early | late |")
    print("|---|" + "---:|" * 9, flush=True)
    for batch_size, counts in ((32, (1, options.clients)), (1, (options.clients,))):
        server = Server(options.model, batch_size)
        try:
            for clients in counts:
                load = measure(server, bodies, clients, options.seconds)
                name = f"{clients}" + ("" if batch_size > 1 else ", one photo a pass")
                print(load.row(name), flush=True)
                if set(load.statuses) != {"200"}:
                    print(f"  {dict(load.statuses)}")
        finally:
            server.stop()


if __name__ == "__main__":
    main()
