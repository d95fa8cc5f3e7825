"""Measures the web gateway against the bare client, and whether it goes on answering while it is attacked.

    python -m benchmarks.web [--seconds 2] [--repetitions 8] [--model SAVED_MODEL]
    python -m benchmarks.web --hostile

Every photo is a gray JPEG of 1 megapixel; the network is that of sn_unet_lab_128 (untrained: the time is the same)
behind `tintype serve`. Three ways to get it coloured, by so many callers at once:

    client    `AsyncColorizer` in a process of its own: what the gateway does inside
    colorize  POST /api/colorize of `tintype web`
    jobs      as the page does it: POST /api/jobs, the events, the full-size picture, DELETE

Every repetition measures them in turn, so that whatever else the machine does hurts all alike; ratios are of
neighbours, and the median is printed. The processor time of a photo is that of the client or the gateway, and of the
model server; other work on the machine hardly changes it. The callers run in this process, on the same cores.

--hostile sends broken photos, decompression bombs, endless slow uploads and 1,000 uploads at once, while a process
asks /healthz twenty times a second and another one sends good photos; it prints the latencies and the peak of memory.
"""

import argparse
import asyncio
import http.client
import json
import re
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypedDict

import numpy as np

from benchmarks.server_process import Process, ProcessFigures, model_server
from photo.encoding import encode_photo
from serving.client import AsyncColorizer

CALLERS = (1, 4)
SIDE = 1000
LARGEST_COST = 0.10  # of the client's photos a second
LARGEST_HEALTH_MS = 100.0
_MODULE = "benchmarks.web"
_PROBES_PER_SECOND = 20


class Measured(TypedDict):
    """What callers reached: seconds of each photo, and of all together."""

    latencies: list[float]
    seconds: float


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="for one way in one repetition")
    parser.add_argument("--repetitions", type=int, default=8)
    parser.add_argument("--model", type=Path, help="a SavedModel; made anew if none is given")
    parser.add_argument("--hostile", action="store_true", help="attack instead of measuring speed")
    parser.add_argument("--part", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:  # a process of its own
        {"client": _client, "health": _health}[arguments.part[0]](arguments.part[1])
        return
    with tempfile.TemporaryDirectory(prefix="tintype-benchmark-") as folder:
        base_path = Path(folder) / "base"
        base_path.mkdir()
        model = arguments.model and arguments.model.resolve()
        if model is None:
            model = Path(folder) / "model"
            command = [sys.executable, "-m", "benchmarks.serving", "--part", "write", "--model", str(model)]
            subprocess.run(command, check=True)
        (base_path / "1").symlink_to(model)
        limits = (
            ("--stall-seconds=3", "--upload-seconds=10") if arguments.hostile else ("--max-requests-per-client=64",)
        )
        with (
            model_server(base_path) as server,
            Process(
                "-m", "tintype.cli", "web", f"--server={server.address}", "--port=0", *limits,
                ready=r"http://127\.0\.0\.1:(\d+)",
            ) as gateway,
        ):  # fmt: skip
            port = int(gateway.ready[1])
            if arguments.hostile:
                attack(gateway, port)
            else:
                with Process("-m", _MODULE, "--part", "client", server.address, ready="ready") as client:
                    measure(client, gateway, server, port, arguments.seconds, arguments.repetitions)


def measure(
    client: Process, gateway: Process, server: ProcessFigures, port: int, seconds: float, repetitions: int
) -> None:
    """Measure all ways in turn, and print the table."""
    ways: dict[str, Callable[[int], Measured]] = {
        "client": lambda callers: json.loads(client.ask(f"{callers} {seconds}")),
        "colorize": lambda callers: _calling(callers, seconds, lambda: _colorize_caller(port)),
        "jobs": lambda callers: _calling(callers, seconds, lambda: _job_caller(port)),
    }
    rates: dict[tuple[str, int], list[float]] = defaultdict(list)
    ratios: dict[tuple[str, int], list[float]] = defaultdict(list)
    latencies: dict[tuple[str, int], list[float]] = defaultdict(list)
    processor: dict[tuple[str, int], list[float]] = defaultdict(list)
    for way in ways:  # warm
        ways[way](CALLERS[-1])
    for _ in range(repetitions):
        for callers in CALLERS:
            for way, run in ways.items():
                both = (client if way == "client" else gateway, server)
                used = -sum(process.processor_seconds() for process in both)
                found = run(callers)
                used += sum(process.processor_seconds() for process in both)
                processor[way, callers].append(1000 * used / len(found["latencies"]))
                rates[way, callers].append(len(found["latencies"]) / found["seconds"])
                latencies[way, callers] += found["latencies"]
                ratios[way, callers].append(rates[way, callers][-1] / rates["client", callers][-1])
                print(f"{way}, {callers} callers: {rates[way, callers][-1]:.2f}/s", file=sys.stderr)
    print(f"photos of {SIDE} x {SIDE} pixels; {repetitions} x {seconds:g} s each, in turn; medians")
    print(f"{'':10}{'callers':>8}{'photos/s':>10}{'of client':>11}{'p50 ms':>9}{'p99 ms':>9}{'CPU ms/photo':>14}")
    for (way, callers), measured in rates.items():
        p50, p99 = 1000 * np.percentile(latencies[way, callers], [50, 99])
        ratio, used = statistics.median(ratios[way, callers]), statistics.median(processor[way, callers])
        print(f"{way:10}{callers:8}{statistics.median(measured):10.2f}{ratio:11.2f}{p50:9.0f}{p99:9.0f}{used:14.0f}")
    callers = CALLERS[-1]
    cost = 1 - statistics.median(ratios["colorize", callers])
    said = "reached" if cost <= LARGEST_COST else "missed"
    print(f"with {callers} callers the gateway costs {cost:.0%} of the throughput; at most {LARGEST_COST:.0%}: {said}")
    more = statistics.median(processor["colorize", callers]) / statistics.median(processor["client", callers]) - 1
    print(f"and {more:+.0%} of processor time")
    print(f"memory of the gateway: {gateway.resident_megabytes():.0f} MB, open files: {gateway.open_files()}")


def attack(gateway: Process, port: int) -> None:
    """Send what no service wants to see, and print how it fared."""
    good, before = _photo(), gateway.resident_megabytes()
    bomb = _bomb()
    peak, is_over = before, threading.Event()
    good_statuses: Counter[int] = Counter()

    def watch() -> None:
        nonlocal peak
        while not is_over.wait(0.05):
            peak = max(peak, gateway.resident_megabytes())

    def good_caller() -> None:
        while not is_over.is_set():
            good_statuses[_status(port, good)] += 1

    print(f"{'':44}{'answers':>42}{'p50 ms':>8}{'p99 ms':>8}{'longest':>9}{'peak MB':>9}")
    with Process("-m", _MODULE, "--part", "health", str(port), ready="ready") as health:
        threads = [threading.Thread(target=target, daemon=True) for target in (watch, good_caller)]
        for thread in threads:
            thread.start()
        attacks: dict[str, Callable[[], Counter[int]]] = {
            "good photos alone, 5 s": _nothing_for_5_seconds,
            "0 bytes, truncated, wrong type, polyglot": lambda: Counter(
                _status(port, body)
                for body in (b"", good[:9999], b"<svg/>", b"\x7fELF" + good, good + b"<html><script>alert(1)//") * 20
            ),
            "bombs: 49 megapixels of 70 kB, 4 at a time": lambda: _at_once(8, 4, lambda: _status(port, bomb)),
            "1,000 uploads at once": lambda: asyncio.run(_flood(port, good, 1000)),
            "60 endless uploads, a byte every 0.2 s": lambda: asyncio.run(_drip(port, 60)),
        }
        worst = 0.0
        for name, run in attacks.items():
            peak = gateway.resident_megabytes()
            health.ask("begin")
            answers = run()
            probes = json.loads(health.ask("end"))
            p50, p99 = np.percentile(probes, [50, 99])
            worst = max(worst, *probes)
            shown = ", ".join(f"{count} x {status}" for status, count in sorted(answers.items()))
            print(f"{name:44}{shown:>42}{p50:8.1f}{p99:8.1f}{max(probes):9.1f}{peak:9.0f}")
        is_over.set()
        for thread in threads:
            thread.join()
    print(f"good photos meanwhile: {', '.join(f'{count} x {status}' for status, count in good_statuses.items())}")
    print(f"memory before {before:.0f} MB, after {gateway.resident_megabytes():.0f} MB, files {gateway.open_files()}")
    said = "reached" if worst < LARGEST_HEALTH_MS else "missed"
    print(f"/healthz took at most {worst:.1f} ms; under {LARGEST_HEALTH_MS:g}: {said}")


def _photo() -> bytes:
    rng = np.random.default_rng(0)
    waves = np.add.outer(np.sin(np.arange(SIDE) / 40), np.cos(np.arange(SIDE) / 60))
    gray = np.clip(128 + 50 * waves + 6 * rng.standard_normal((SIDE, SIDE)), 0, 255).astype(np.uint8)
    return encode_photo(np.repeat(gray[..., None], 3, axis=2), "JPEG")


def _bomb() -> bytes:
    """A PNG of 7000 x 7000 pixels, all black, in tens of kilobytes: just under what is accepted."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 7000, 7000, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(7000 * 7001))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def _calling(callers: int, seconds: float, new_caller: Callable[[], Callable[[], None]]) -> Measured:
    """Let so many callers ask at once, each one after its answer again."""
    latencies: list[float] = []
    failures: list[Exception] = []
    start = time.perf_counter()

    def call() -> None:
        try:
            ask = new_caller()
            while (asked := time.perf_counter()) < start + seconds:
                ask()
                latencies.append(time.perf_counter() - asked)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=call) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return {"latencies": latencies, "seconds": time.perf_counter() - start}


def _colorize_caller(port: int) -> Callable[[], None]:
    connection, photo = http.client.HTTPConnection("127.0.0.1", port, timeout=120), _photo()

    def ask() -> None:
        connection.request("POST", "/api/colorize", photo, {"Content-Type": "image/jpeg"})
        answer = connection.getresponse()
        assert answer.read()[:2] == b"\xff\xd8", answer.status

    return ask


def _job_caller(port: int) -> Callable[[], None]:
    connection, photo = http.client.HTTPConnection("127.0.0.1", port, timeout=120), _photo()

    def request(method: str, path: str, body: bytes | None = None) -> bytes:
        connection.request(method, path, body)
        answer = connection.getresponse()
        assert answer.status < 300, answer.status
        return answer.read()

    def ask() -> None:
        job = json.loads(request("POST", "/api/jobs", photo))["id"]
        assert b'"state": "done"' in request("GET", f"/api/jobs/{job}/events")
        assert request("GET", f"/api/jobs/{job}/photos/0/image?download=true")[:2] == b"\xff\xd8"
        request("DELETE", f"/api/jobs/{job}")

    return ask


def _status(port: int, body: bytes) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("POST", "/api/colorize", body, {"Content-Type": "image/jpeg"})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def _nothing_for_5_seconds() -> Counter[int]:
    time.sleep(5)
    return Counter()


def _at_once(count: int, callers: int, ask: Callable[[], int]) -> Counter[int]:
    with ThreadPoolExecutor(callers) as threads:
        return Counter(threads.map(lambda _: ask(), range(count)))


async def _flood(port: int, photo: bytes, count: int) -> Counter[int]:
    lines = ("POST /api/colorize HTTP/1.1", "Host: localhost", "Connection: close", f"Content-Length: {len(photo)}")
    head = ("\r\n".join(lines) + "\r\n\r\n").encode()

    async def upload() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(head + photo)
            answer = await reader.read()
            return int(answer.split(b" ", 2)[1])
        except ConnectionError:
            return 0  # shown as 0: closed without an answer
        finally:
            writer.close()

    return Counter(await asyncio.gather(*(upload() for _ in range(count))))


async def _drip(port: int, count: int) -> Counter[int]:
    head = b"POST /api/colorize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"

    async def upload() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        answer = asyncio.ensure_future(reader.read(4096))
        writer.write(head)
        try:
            while not (await asyncio.wait({answer}, timeout=0.2))[0]:
                writer.write(b"\xff")
            return int(answer.result().split(b" ", 2)[1])
        except ConnectionError:
            return 0
        finally:
            writer.close()

    return Counter(await asyncio.gather(*(upload() for _ in range(count))))


def _client(address: str) -> None:
    """Answer every line, callers and seconds, with what the bare client reached."""
    photo = _photo()

    async def run(callers: int, seconds: float) -> Measured:
        latencies: list[float] = []
        start = time.perf_counter()
        async with AsyncColorizer(address) as colorizer:

            async def call() -> None:
                while (asked := time.perf_counter()) < start + seconds:
                    await colorizer.colorize(photo)
                    latencies.append(time.perf_counter() - asked)

            await asyncio.gather(*(call() for _ in range(callers)))
        return {"latencies": latencies, "seconds": time.perf_counter() - start}

    print("ready", flush=True)
    for line in sys.stdin:
        callers, seconds = line.split()
        print(json.dumps(asyncio.run(run(int(callers), float(seconds)))), flush=True)


def _health(port: str) -> None:
    """Ask /healthz all the time; `end` prints the latencies since `begin`, in milliseconds."""
    found: list[float] = []

    def probe() -> None:
        while True:
            started = time.perf_counter()
            with socket.create_connection(("127.0.0.1", int(port))) as connection:
                connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                assert re.match(rb"HTTP/1.1 200", connection.recv(4096))
            found.append(1000 * (time.perf_counter() - started))
            time.sleep(1 / _PROBES_PER_SECOND)

    threading.Thread(target=probe, daemon=True).start()
    print("ready", flush=True)
    for line in sys.stdin:
        if line.strip() == "begin":
            found.clear()
            print("begun", flush=True)
        else:
            time.sleep(0.2)
            print(json.dumps(list(found)), flush=True)


if __name__ == "__main__":
    main()
