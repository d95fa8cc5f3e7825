"""A model to serve, and processes whose processor time, memory and open files are read: servers, and others."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from serving.client import wire
from serving.server.options import ServerOptions
from serving.server.process import ServerProcess, server_process

NAME = "colorizer"
RECIPE = "sn_unet_lab_128"
SIZE = 128  # the side of the square that recipe sees, in pixels

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_STOP_SECONDS = 60.0
_START_SECONDS = 300.0  # with a busy machine the import of TensorFlow alone has taken over a minute


def write_model(folder: Path) -> None:
    """Export an untrained network of the recipe: it takes as long to answer as a trained one."""
    from components.trainer.export import export_saved_model
    from components.trainer.networks.build import build_generator
    from pipeline.config import load_config

    # Without the dropout that this recipe is served with: the network's own time is what is measured.
    config = load_config(RECIPE, ["network.generator.dropout_at_inference=false"]).trainer_config()
    momentum = config.train.batch_norm_momentum
    generator = build_generator(config.network, batch_norm_momentum=momentum, seed=config.seed)
    photo = np.random.default_rng(0).integers(0, 256, (config.size, config.size, 3), np.uint8)
    export_saved_model(generator, config, str(folder), warmup_photo=photo)


def lightness() -> NDArray[np.float32]:
    """One square as the client sends it, float32 [1, 128, 128, 1]."""
    return np.random.default_rng(0).uniform(0, 100, (1, SIZE, SIZE, 1)).astype(np.float32)


def predict_request() -> bytes:
    """The PredictRequest for that square."""
    request = wire.PredictRequest()
    request.model_spec.name = NAME
    request.inputs["L"].CopyFrom(wire.tensor_from_array(lightness()))
    return bytes(request.SerializeToString())


class ProcessFigures:
    """What a process uses, read from /proc; Linux."""

    def __init__(self, pid: int):
        self.pid = pid

    def processor_seconds(self) -> float:
        """User and system time of all its threads so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND

    def resident_megabytes(self) -> float:
        """The memory it holds now."""
        (line,) = [
            line for line in Path(f"/proc/{self.pid}/status").read_text().splitlines() if line.startswith("VmRSS")
        ]
        return int(line.split()[1]) / 1024

    def open_files(self) -> int:
        """Files, sockets and the like that it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))


class Process(ProcessFigures):
    """A Python process that says in a line of its output when it is ready; Linux."""

    def __init__(self, *arguments: str, ready: str):
        self._process = subprocess.Popen(
            [sys.executable, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        super().__init__(self._process.pid)
        self.lines: list[str] = []
        self._more = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()
        self.ready = self.wait_for_line(ready)

    def __enter__(self) -> Self:
        """Return the process itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it as an operator does."""
        self.stop()

    def wait_for_line(self, pattern: str, *, after: int = 0, timeout: float = _START_SECONDS) -> re.Match[str]:
        """Return the match of the first line, from the one of number `after` on, that fits."""
        deadline = time.monotonic() + timeout
        with self._more:
            while time.monotonic() < deadline:
                for line in self.lines[after:]:
                    if found := re.search(pattern, line):
                        return found
                if self._process.poll() is not None:
                    break
                self._more.wait(0.5)
        tail = "".join(self.lines[-10:])
        raise RuntimeError(f"no line like {pattern!r} from the process {self._process.args!r}; it ended with\n{tail}")

    def ask(self, line: str) -> str:
        """Write a line to its standard input; the next line of its output is the answer."""
        assert self._process.stdin is not None
        before = len(self.lines)
        self._process.stdin.write(f"{line}\n")
        return self.wait_for_line(".*", after=before)[0]

    def stop(self) -> int:
        """End it with SIGTERM, as an operator does, and return its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._more:
                self.lines.append(line)
                self._more.notify_all()


class MeasuredServer(ProcessFigures):
    """A model server that is ready.

    Attributes:
        address: HOST:PORT of its gRPC port.
        stop: ends it, and returns its exit code.
    """

    def __init__(self, server: ServerProcess):
        super().__init__(server.pid)
        self.address = f"127.0.0.1:{server.wait_until_ready(_START_SECONDS)}"
        self.stop = partial(server.stop, _STOP_SECONDS)


@contextmanager
def model_server(base_path: Path, **options: Any) -> Iterator[MeasuredServer]:
    """Serve what lies under `base_path`; `options` are further ones of `ServerOptions`."""
    with server_process(
        ServerOptions(NAME, base_path, **options), patience=_STOP_SECONDS, silent=True, on_port=True
    ) as server:
        yield MeasuredServer(server)
