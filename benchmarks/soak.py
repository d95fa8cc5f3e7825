"""Keeps the embedded server under full load and bad company for minutes; fails when a good request does, or it grows.

    python -m benchmarks.soak [--minutes 10] [--model SAVED_MODEL]

At the same time, against one `tintype serve` with gRPC and REST:

  - good clients ask over both as fast as they are answered, and every answer is compared with the first one;
  - a new version is copied in, and the oldest removed, every few seconds;
  - client processes are killed in the midst of their requests;
  - slow clients open connections, dribble a head or a body, or never read what they asked for;
  - malformed requests come over both, each of which must be refused with the code it deserves;
  - oversized messages come over both.

A table with one line per minute is printed. The exit code is 1 when a good request failed, a bad one was not refused as
it should be, a version did not become available, the server did not stop cleanly, or when its memory or its open files
grew: the minutes after the first, which is for warming up, are halved, and the second half is held against the first.
Memory goes up with every swap, while two versions are loaded, and with every oversized message: what tells whether it
grows is how far it comes down again, the lowest tenth of a minute's readings.
"""

import argparse
import contextlib
import http.client
import json
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from benchmarks.free_port import free_port
from benchmarks.server_process import NAME, SIZE, MeasuredServer, lightness, model_server, predict_request
from serving.client import wire

Color = NDArray[np.float32]

GRPC_CLIENTS, REST_CLIENTS, SLOW_CLIENTS = 6, 2, 12
SECONDS_BETWEEN_SWAPS = 4.0
OVERSIZED_BYTES = 48 * 2**20  # REST takes 32 MiB
# The means of halves still differ by this much without going anywhere.
TOLERATED_GROWTH, TOLERATED_FILES = 0.03, 6


def main() -> None:
    """Run the soak and judge it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--window", type=float, default=60.0, help="seconds that one line of the table stands for")
    parser.add_argument("--model", type=Path, help="a SavedModel for 128 pixels; made anew if none is given")
    parser.add_argument("--ask", metavar="HOST:PORT", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.ask:  # a client that will be killed
        _ask_until_killed(arguments.ask)
        return
    with tempfile.TemporaryDirectory(prefix="tintype-soak-") as folder:
        model = arguments.model
        if model is None:
            model = Path(folder) / "model"
            command = [sys.executable, "-m", "benchmarks.serving", "--part", "write", "--model", str(model)]
            subprocess.run(command, check=True)
        base_path = Path(folder) / "base"
        shutil.copytree(model, base_path / "1")
        rest_port = free_port()
        with model_server(base_path, rest_api_port=rest_port) as server:
            is_sound = Soak(model, base_path, server, rest_port).run(60 * arguments.minutes, arguments.window)
        sys.exit(0 if is_sound else 1)


class Soak:
    """One soak: everything that goes on, and what was counted meanwhile."""

    def __init__(self, model: Path, base_path: Path, server: MeasuredServer, rest_port: int):
        self._model = model
        self._base_path = base_path
        self._server = server
        self._rest_port = rest_port
        self._stop = threading.Event()
        self._counted: Counter[str] = Counter()
        self._latencies: deque[float] = deque()
        self._wrong: list[str] = []
        self._expected: Color = np.zeros(0, np.float32)

    def run(self, seconds: float, window: float) -> bool:
        """Return whether all was as it should be."""
        channel = _channel(self._server.address)
        self._expected = _color(channel.unary_unary(wire.PREDICT)(predict_request(), timeout=60))
        jobs: list[Callable[[], None]] = [
            *[self._good_grpc] * GRPC_CLIENTS,
            *[self._good_rest] * REST_CLIENTS,
            *[self._slow] * SLOW_CLIENTS,
            self._swaps,
            self._killed,
            self._malformed,
            self._oversized,
        ]
        threads = [threading.Thread(target=self._guarded, args=(job,)) for job in jobs]
        for thread in threads:
            thread.start()
        print(
            f"{'seconds':>8}{'gRPC':>8}{'REST':>7}{'p99 ms':>8}{'swaps':>7}{'killed':>8}{'slow':>6}{'malformed':>11}"
            f"{'oversized':>11}{'wrong':>7}{'MB low':>8}{'MB high':>9}{'files':>7}"
        )
        memory, files = [], []
        begin = time.monotonic()
        while time.monotonic() - begin < seconds:
            megabytes, peak, handles = self._watch(window)
            memory.append(megabytes)
            files.append(handles)
            counted, self._counted = self._counted, Counter()
            latencies = [self._latencies.popleft() for _ in range(len(self._latencies))]
            p99 = 1000 * float(np.percentile(latencies, 99)) if latencies else float("nan")
            print(
                f"{time.monotonic() - begin:8.0f}{counted['grpc']:8}{counted['rest']:7}{p99:8.0f}{counted['swaps']:7}"
                f"{counted['killed']:8}{counted['slow']:6}{counted['malformed']:11}{counted['oversized']:11}"
                f"{len(self._wrong):7}{megabytes:8.0f}{peak:9.0f}{handles:7.0f}",
                flush=True,
            )
        self._stop.set()
        for thread in threads:
            thread.join(120)
        code = self._server.stop()
        if code != 0:
            self._wrong.append(f"the server stopped with exit code {code}")
        return self._judge(memory, files)

    def _judge(self, memory: list[float], files: list[float]) -> bool:
        if len(memory) > 2:
            before, after = _halves(memory[1:])
            print(f"memory: {before:.0f} MB, then {after:.0f} MB")
            if after > (1 + TOLERATED_GROWTH) * before:
                self._wrong.append(f"memory grew from {before:.0f} to {after:.0f} MB")
            before, after = _halves(files[1:])
            if after > before + TOLERATED_FILES:
                self._wrong.append(f"open files grew from {before:.0f} to {after:.0f}")
        else:
            print("too short to tell whether anything grows")
        for line in self._wrong[:20]:
            print(f"WRONG: {line}")
        print("failed" if self._wrong else "no good request failed, nothing grew")
        return not self._wrong

    def _watch(self, seconds: float) -> tuple[float, float, float]:
        """Watch the server for that time.

        Returns:
            The lowest tenth and the highest of its memory in MB, and the median of its open files.
        """
        end = time.monotonic() + seconds
        memory, files = [], []
        while time.monotonic() < end:
            memory.append(self._server.resident_megabytes())
            files.append(self._server.open_files())
            time.sleep(0.2)
        return float(np.percentile(memory, 10)), max(memory), statistics.median(files)

    def _guarded(self, job: Callable[[], None]) -> None:
        try:
            job()
        except Exception as error:
            self._wrong.append(f"{job.__name__}: {type(error).__name__}: {error}")

    def _good_grpc(self) -> None:
        with _channel(self._server.address) as channel:
            call, request = channel.unary_unary(wire.PREDICT), predict_request()
            while not self._stop.is_set():
                self._check("grpc", lambda: _color(call(request, timeout=60)))

    def _good_rest(self) -> None:
        body = json.dumps({"instances": lightness().tolist()})

        def ask() -> Color:
            connection.request("POST", f"/v1/models/{NAME}:predict", body)
            response = connection.getresponse()
            text = response.read()
            if response.status != 200:
                raise RuntimeError(f"{response.status} {text[:200]!r}")
            return np.array(json.loads(text)["predictions"], np.float32)

        with contextlib.closing(self._http()) as connection:
            while not self._stop.is_set():
                self._check("rest", ask)

    def _check(self, kind: str, ask: Callable[[], Color]) -> None:
        asked = time.monotonic()
        try:
            np.testing.assert_allclose(ask(), self._expected, atol=1e-3)
        except Exception as error:
            self._wrong.append(f"a good request over {kind} failed: {error}")
            self._stop.wait(0.1)
        else:
            self._latencies.append(time.monotonic() - asked)
            self._counted[kind] += 1

    def _swaps(self) -> None:
        with _channel(self._server.address) as channel:
            status = channel.unary_unary(
                wire.GET_MODEL_STATUS, response_deserializer=wire.GetModelStatusResponse.FromString
            )
            request = wire.GetModelStatusRequest()
            request.model_spec.name = NAME
            version = 1
            while not self._stop.wait(SECONDS_BETWEEN_SWAPS):
                version += 1
                shutil.copytree(self._model, self._base_path / "incoming")
                (self._base_path / "incoming").rename(self._base_path / str(version))
                deadline = time.monotonic() + 120
                while not self._stop.is_set():
                    states = {
                        each.version: each.state
                        for each in status(request.SerializeToString(), timeout=60).model_version_status
                    }
                    if states.get(version) == wire.MODEL_AVAILABLE:
                        break
                    if time.monotonic() > deadline:
                        raise RuntimeError(f"version {version} was not available within 120 s: {states}")
                    time.sleep(0.2)
                shutil.rmtree(self._base_path / str(version - 1))
                self._counted["swaps"] += 1

    def _killed(self) -> None:
        while not self._stop.is_set():
            client = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.soak", "--ask", self._server.address], stdout=subprocess.PIPE
            )
            assert client.stdout is not None
            client.stdout.readline()
            self._stop.wait(1.0)
            client.send_signal(signal.SIGKILL)
            client.wait()
            client.stdout.close()
            self._counted["killed"] += 1
            self._stop.wait(2.0)

    def _slow(self) -> None:
        grpc_port = int(self._server.address.rpartition(":")[2])
        head = f"POST /v1/models/{NAME}:predict HTTP/1.1\r\nHost: soak\r\nContent-Length: 300000\r\n\r\n".encode()
        body = json.dumps({"instances": lightness().tolist()}).encode()
        ways: list[tuple[int, bytes, bytes]] = [
            (self._rest_port, b"", head),  # the head, byte by byte
            (self._rest_port, head, b'{"instances": [' * 10),  # the body, byte by byte
            (self._rest_port, head.replace(b"300000", str(len(body)).encode()) + body, b""),  # never reads its answer
            (grpc_port, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\0"),  # says hello, and no more
            (grpc_port, b"", b"PRI * HTTP/2.0"),
        ]
        turn = threading.get_ident() % len(ways)
        while not self._stop.is_set():
            port, at_once, dribbled = ways[turn % len(ways)]
            turn += 1
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                connection.sendall(at_once)
                for byte in dribbled or b"\0" * 20:
                    if self._stop.wait(0.5):
                        break
                    if dribbled:
                        connection.sendall(bytes([byte]))
            self._counted["slow"] += 1

    def _malformed(self) -> None:
        L = lightness()  # noqa: N806 - the model's name for it
        grpc_requests = [
            (_predict(light=L), "INVALID_ARGUMENT"),
            (_predict(L=L.astype(np.float64)), "INVALID_ARGUMENT"),
            (_predict(L=L[0]), "INVALID_ARGUMENT"),
            (_predict(), "INVALID_ARGUMENT"),
            (_predict(name="painter", L=L), "NOT_FOUND"),
            (_predict(version=10**6, L=L), "NOT_FOUND"),
            (_predict(signature="paint", L=L), "FAILED_PRECONDITION"),
            (_predict(label="gold", L=L), "INVALID_ARGUMENT"),
            (b"\xff" * 100, "INTERNAL"),  # gRPC's own word for what is no message
        ]
        predict = f"/v1/models/{NAME}:predict"
        rest_requests = [
            ("POST", predict, b'{"instances": [', 400),
            ("POST", predict, b'{"instances": [[1], [1, 2]]}', 400),
            ("POST", predict, b"[" * 100_000, 400),
            ("POST", predict, b"\xff\xfe", 400),
            ("POST", predict, b'{"instances": [{"light": 1}]}', 400),
            ("POST", "/v1/models/painter:predict", b'{"instances": [1]}', 404),
            ("GET", "/v1/models/painter", None, 404),
        ]
        with _channel(self._server.address) as channel:
            call = channel.unary_unary(wire.PREDICT)
            while not self._stop.is_set():
                for message, code in grpc_requests:
                    self._refused(f"gRPC {message[:60]!r}", code, _code_of(call, message))
                for method, path, body, status in rest_requests:
                    self._refused(f"{method} {path} {body!r}", status, self._status_of(method, path, body))
                self._counted["malformed"] += len(grpc_requests) + len(rest_requests)
                self._stop.wait(0.5)

    def _oversized(self) -> None:
        message = _predict(L=np.zeros(OVERSIZED_BYTES // 4, np.float32))
        body = b" " * OVERSIZED_BYTES
        with _channel(self._server.address) as channel:
            call = channel.unary_unary(wire.PREDICT)
            while not self._stop.is_set():
                self._refused("an oversized gRPC message", "INVALID_ARGUMENT", _code_of(call, message))
                self._refused("an oversized body", 413, self._status_of("POST", f"/v1/models/{NAME}:predict", body))
                self._counted["oversized"] += 2
                self._stop.wait(5.0)

    def _refused(self, what: str, expected: str | int, received: str | int) -> None:
        if received != expected:
            self._wrong.append(f"{what[:120]} was answered with {received}, expected {expected}")

    def _status_of(self, method: str, path: str, body: bytes | None) -> int:
        with contextlib.closing(self._http()) as connection:
            # The server need not take all of a body that it refuses; its answer is there.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, path, body)
            return connection.getresponse().status

    def _http(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._rest_port, timeout=60)


def _halves(readings: list[float]) -> tuple[float, float]:
    """Return the means of the first half, the middle one included, and of the second."""
    middle = len(readings) // 2
    return statistics.mean(readings[: len(readings) - middle]), statistics.mean(readings[len(readings) - middle :])


def _channel(address: str) -> grpc.Channel:
    # Channels of one process would share a connection.
    return grpc.insecure_channel(
        address,
        options=[
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
        ],
    )


def _predict(
    *,
    name: str = NAME,
    version: int | None = None,
    label: str | None = None,
    signature: str = "",
    **inputs: NDArray[Any],
) -> bytes:
    request = wire.PredictRequest()
    request.model_spec.name = name
    request.model_spec.signature_name = signature
    if version is not None:
        request.model_spec.version.value = version
    if label is not None:
        request.model_spec.version_label = label
    for key, array in inputs.items():
        request.inputs[key].CopyFrom(wire.tensor_from_array(array))
    return bytes(request.SerializeToString())


def _color(answer: bytes) -> Color:
    ab = wire.array_from_tensor(wire.PredictResponse.FromString(answer).outputs["ab"])
    if ab.shape != (1, SIZE, SIZE, 2):
        raise RuntimeError(f"an answer of shape {ab.shape}")
    return ab


def _code_of(call: Callable[..., bytes], message: bytes) -> str:
    try:
        call(message, timeout=60)
    except grpc.RpcError as error:
        failure: grpc.Call = error
        return str(failure.code().name)
    return "OK"


def _ask_until_killed(address: str) -> None:
    call = _channel(address).unary_unary(wire.PREDICT)
    call(predict_request(), timeout=60)
    print("asking", flush=True)
    while True:
        waiting = [call.future(predict_request(), timeout=60) for _ in range(4)]
        for each in waiting:
            each.exception()


if __name__ == "__main__":
    main()
