"""Measures the embedded server against the bare model, a plain servicer, and FastAPI with tensors as JSON.

    python -m benchmarks.serving [--seconds 5] [--repetitions 3] [--model SAVED_MODEL]

Every request is one square of 128x128 lightness for the network of sn_unet_lab_128 (untrained: the time is the same).
Ways to get its colour:

    bare      the SavedModel's function in a loop, in a process of its own: what the machine can do
    bare x 8  the same with batches of eight: what it can do for --enable_batching
    plain     the function in a gRPC servicer of a few lines, without checks: what Python's gRPC leaves of it
    grpc      `tintype serve`, asked by 1, 4 and 16 clients at once, each with a connection of its own
    batching  the same with --enable_batching
    bfloat16  the same with --mixed_precision=bfloat16
    fastapi   the model in FastAPI, tensors as JSON, as it is usually done

Every repetition measures all of them in turn, the bare function before each group, so that whatever else the machine
does hurts all alike; ratios are of neighbours, and the median over the repetitions is printed. The clients run in this
process and cost processor time, too, on the same cores.
"""

import argparse
import http.client
import json
import math
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from benchmarks.server_process import (
    SIZE,
    Process,
    ProcessFigures,
    lightness,
    model_server,
    predict_request,
    write_model,
)
from serving.client import wire
from serving.model import signatures

CLIENTS = (1, 4, 16)
# A batch waits for nobody: while one runs, the next fills up.
BATCHING = """
max_batch_size { value: 8 }
batch_timeout_micros { value: 0 }
num_batch_threads { value: 1 }
max_enqueued_batches { value: 100 }
allowed_batch_sizes: [1, 2, 4, 8]
"""
# What is to be reached, as a share of the bare function's throughput.
TARGETS = {("grpc", 1): 0.92, ("grpc", 16): 1.15, ("batching", 16): 2.0}
LARGEST_P99_OVER_P50 = 2.0  # at 4 clients
WARM_UP_SECONDS = 0.5
_BARE_BATCHES = "bare x 8"
_MODULE = "benchmarks.serving"


@dataclass(frozen=True)
class Cell:
    """What one way reached in one repetition.

    Attributes:
        rate: answers a second.
        latencies: seconds of every answer.
        processor_seconds: of the server, for one answer.
    """

    rate: float
    latencies: list[float]
    processor_seconds: float


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="for one way in one repetition")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--model", type=Path, help="a SavedModel for 128 pixels; made anew if none is given")
    parser.add_argument("--part", choices=list(PARTS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:  # a process of its own
        PARTS[arguments.part](arguments.model)
        return
    with tempfile.TemporaryDirectory(prefix="tintype-benchmark-") as folder:
        base_path = Path(folder) / "base"
        base_path.mkdir()
        if arguments.model is None:
            model = Path(folder) / "model"
            subprocess.run([sys.executable, "-m", _MODULE, "--part", "write", "--model", str(model)], check=True)
        else:
            model = arguments.model.resolve()
        (base_path / "1").symlink_to(model)
        batching_file = Path(folder) / "batching.config"
        batching_file.write_text(BATCHING)
        batching = {"enable_batching": True, "batching_parameters_file": batching_file}
        with (
            Process("-m", _MODULE, "--part", "bare", "--model", str(model), ready="ready") as bare,
            model_server(base_path) as server,
            model_server(base_path, **batching) as batched,
            model_server(base_path, **batching, mixed_precision="bfloat16") as rounded,
            Process("-m", _MODULE, "--part", "plain", "--model", str(model), ready=r"ready on port (\d+)") as plain,
            Process("-m", _MODULE, "--part", "fastapi", "--model", str(model), ready=r"ready on port (\d+)") as fastapi,
        ):
            groups: dict[str, tuple[ProcessFigures, Callable[[], Callable[[], None]]]] = {
                "plain": (plain, lambda: _grpc_client(f"localhost:{plain.ready[1]}")),
                "grpc": (server, lambda: _grpc_client(server.address)),
                "batching": (batched, lambda: _grpc_client(batched.address)),
                "bfloat16": (rounded, lambda: _grpc_client(rounded.address)),
                "fastapi": (fastapi, lambda: _json_client(int(fastapi.ready[1]))),
            }
            measure(bare, groups, arguments.seconds, arguments.repetitions)


def measure(
    bare: Process,
    groups: dict[str, tuple[ProcessFigures, Callable[[], Callable[[], None]]]],
    seconds: float,
    repetitions: int,
) -> None:
    """Measure all ways in turn, and print the table."""
    cells: dict[tuple[str, int], list[Cell]] = defaultdict(list)
    ratios: dict[tuple[str, int], list[float]] = defaultdict(list)
    memory: dict[str, list[float]] = {name: [] for name in groups}
    for _ in range(repetitions):
        one, eight = _measure_bare(bare, seconds), _measure_bare(bare, seconds, rows=8)
        cells["bare", 1].append(one)
        cells[_BARE_BATCHES, 1].append(eight)
        ratios[_BARE_BATCHES, 1].append(eight.rate / one.rate)
        for name, (server, new_client) in groups.items():
            base = _measure_bare(bare, seconds)
            cells["bare", 1].append(base)
            for clients in CLIENTS:
                cell = _measure_clients(server, new_client, clients, seconds)
                cells[name, clients].append(cell)
                ratios[name, clients].append(cell.rate / base.rate)
                print(f"{name}, {clients} clients: {cell.rate:.1f}/s, bare {base.rate:.1f}/s", file=sys.stderr)
            memory[name].append(server.resident_megabytes())

    print(f"one square of {SIZE} pixels a request; {repetitions} x {seconds:g} s each, in turn; medians")
    print(f"{'':10}{'clients':>8}{'requests/s':>12}{'of bare':>9}{'p50 ms':>9}{'p99 ms':>9}{'CPU ms/request':>16}")
    for (name, clients), measured in cells.items():
        latencies = [1000 * latency for cell in measured for latency in cell.latencies] or [math.nan]
        ratio = statistics.median(ratios[name, clients]) if name != "bare" else 1.0
        print(
            f"{name:10}{clients:8}{statistics.median(cell.rate for cell in measured):12.1f}{ratio:9.2f}"
            f"{np.percentile(latencies, 50):9.1f}{np.percentile(latencies, 99):9.1f}"
            f"{1000 * statistics.median(cell.processor_seconds for cell in measured):16.1f}"
        )
    for (name, clients), target in TARGETS.items():
        reached = statistics.median(ratios[name, clients])
        print(
            f"{name}, {clients} clients: {reached:.2f} of bare; "
            f"target at least {target:.2f}: {_said(reached >= target)}"
        )
    latencies = [latency for cell in cells["grpc", 4] for latency in cell.latencies] or [math.nan]
    p50, p99 = np.percentile(latencies, [50, 99])
    print(
        f"grpc, 4 clients: p99 is {p99 / p50:.2f} of p50; target at most {LARGEST_P99_OVER_P50:g}: "
        f"{_said(p99 <= LARGEST_P99_OVER_P50 * p50)}"
    )
    for name, megabytes in memory.items():
        print(f"{name}: {megabytes[0]:.0f} MB after the first repetition, {megabytes[-1]:.0f} MB after the last")


def _said(reached: bool) -> str:
    return "reached" if reached else "missed"


def _measure_bare(bare: Process, seconds: float, rows: int = 1) -> Cell:
    return Cell(**json.loads(bare.ask(f"{seconds} {rows}")))


def _measure_clients(
    server: ProcessFigures, new_client: Callable[[], Callable[[], None]], clients: int, seconds: float
) -> Cell:
    """Let so many clients ask at once, each one after its answer again, and count what is answered after a warm-up."""
    latencies: list[list[float]] = [[] for _ in range(clients)]
    failures: list[Exception] = []
    start = time.perf_counter() + WARM_UP_SECONDS
    end = start + seconds

    def ask(own: list[float]) -> None:
        try:
            request = new_client()
            while (asked := time.perf_counter()) < end:
                request()
                answered = time.perf_counter()
                if start < answered < end:
                    own.append(answered - asked)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=ask, args=(own,)) for own in latencies]
    for thread in threads:
        thread.start()
    time.sleep(max(0.0, start - time.perf_counter()))
    before = server.processor_seconds()
    time.sleep(max(0.0, end - time.perf_counter()))
    used = server.processor_seconds() - before
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    together = [latency for own in latencies for latency in own]
    return Cell(len(together) / seconds, together, used / len(together) if together else math.nan)


def _grpc_client(address: str) -> Callable[[], None]:
    # Channels of one process would share a connection.
    channel = grpc.insecure_channel(
        address, options=[("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
    )
    call = channel.unary_unary(wire.PREDICT, response_deserializer=wire.PredictResponse.FromString)
    request = predict_request()

    def ask() -> None:
        answer = wire.array_from_tensor(call(request, timeout=60).outputs["ab"])
        assert answer.shape == (1, SIZE, SIZE, 2)

    return ask


def _json_client(port: int) -> Callable[[], None]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    body = json.dumps({"L": lightness().tolist()})

    def ask() -> None:
        connection.request("POST", "/predict", body, {"content-type": "application/json"})
        answer = np.array(json.loads(connection.getresponse().read())["ab"], np.float32)
        assert answer.shape == (1, SIZE, SIZE, 2)

    return ask


def _bare(model: Path) -> None:
    """Answer every line, a number of seconds and of squares at once, with what the function reached in them."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(model))
    function = loaded.signatures[signatures.COLORIZE]
    squares = {rows: tf.constant(np.repeat(lightness(), rows, axis=0)) for rows in (1, 8)}
    for together in squares.values():
        function(L=together)
    print("ready", flush=True)
    for line in sys.stdin:
        seconds, rows = line.split()
        start, used = time.perf_counter(), time.process_time()
        end = start + float(seconds)
        latencies = []
        while (asked := time.perf_counter()) < end:
            function(L=squares[int(rows)])["ab"].numpy()
            latencies.append(time.perf_counter() - asked)
        took, used = time.perf_counter() - start, time.process_time() - used
        answers = len(latencies) * int(rows)
        cell = Cell(answers / took, latencies, used / answers)
        print(json.dumps(vars(cell)), flush=True)


def _plain(model: Path) -> None:
    """Serve the model as a few lines do, with TensorFlow's own conversions."""
    import tensorflow as tf
    from tensorflow_serving.apis.predict_pb2 import PredictRequest, PredictResponse

    loaded = tf.saved_model.load(str(model))
    function = loaded.signatures[signatures.COLORIZE]

    def predict(request: PredictRequest, _context: grpc.ServicerContext) -> PredictResponse:
        answer = PredictResponse()
        ab = function(L=tf.constant(tf.make_ndarray(request.inputs["L"])))["ab"]
        answer.outputs["ab"].CopyFrom(tf.make_tensor_proto(ab.numpy()))
        return answer

    service, _, method = wire.PREDICT.strip("/").partition("/")
    handler = grpc.unary_unary_rpc_method_handler(
        predict, PredictRequest.FromString, lambda answer: answer.SerializeToString()
    )
    server = grpc.server(ThreadPoolExecutor(max(CLIENTS)))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
    port = server.add_insecure_port("localhost:0")
    server.start()
    print(f"ready on port {port}", flush=True)
    server.wait_for_termination()


def _fastapi(model: Path) -> None:
    """Serve the model as the tutorials do: tensors as nested lists in JSON, a plain function for a route."""
    import fastapi
    import pydantic
    import tensorflow as tf
    import uvicorn

    loaded = tf.saved_model.load(str(model))
    function = loaded.signatures[signatures.COLORIZE]
    function(L=tf.constant(lightness()))
    app = fastapi.FastAPI()

    class Request(pydantic.BaseModel):
        L: list[list[list[list[float]]]]

    @app.post("/predict")
    def predict(request: Request) -> dict[str, Any]:
        return {"ab": function(L=tf.constant(request.L, tf.float32))["ab"].numpy().tolist()}

    listener = socket.create_server(("127.0.0.1", 0))
    print(f"ready on port {listener.getsockname()[1]}", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])


PARTS: dict[str, Callable[[Path], None]] = {"write": write_model, "bare": _bare, "plain": _plain, "fastapi": _fastapi}

if __name__ == "__main__":
    main()
