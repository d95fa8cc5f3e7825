"""Serves one candidate in a process of its own, so that a model that crashes its server takes nothing else down.

`CandidateServer` starts and stops the process; run as a module, this file is the process.
"""

import argparse
import json
import os
import select
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO, Self

from photo.errors import TintypeError
from serving.server import EmbeddedServer, ServeError

MODEL_NAME = "canary"

_LOG_LINES = 12
_STOP_SECONDS = 5.0


class CandidateServer:
    """The embedded server in a subprocess, on a free port of this machine, with one model under one base path.

    It runs on the processor alone: after a training in this process, TensorFlow still holds the accelerator's memory.

        with CandidateServer(base_path) as server:
            server.wait_until_available(timeout=60)
            Colorizer(server.address, model_name=MODEL_NAME)

    Args:
        base_path: a local folder that holds `<integer>/saved_model.pb`.
    """

    def __init__(self, base_path: str):
        self._base_path = base_path
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self.address = ""

    def __enter__(self) -> Self:
        """Start the process."""
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, "-m", __spec__.name, f"--model_base_path={self._base_path}"],
            # The pipe is the leash: the server stops when this end of it is closed, even by this process's death.
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "CUDA_VISIBLE_DEVICES": "-1"},
        )
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the process, by force if it does not stop by itself."""
        assert self._process is not None
        assert self._log is not None
        self._process.stdin.close()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._log.close()

    def wait_until_available(self, timeout: float) -> None:
        """Wait until the model can be asked; `address` is HOST:PORT then.

        Raises:
            TintypeError: the server ended, or was not ready within `timeout` seconds; with the end of its log.
        """
        assert self._process is not None
        ready, _, _ = select.select([self._process.stdout], [], [], timeout)
        line = self._process.stdout.readline() if ready else b""
        if not line:
            what = f"was not ready within {timeout:g} s" if not ready else "ended before it could be asked"
            raise TintypeError(f"the server with the candidate {what}: {self.log_tail()}")
        self.address = f"localhost:{json.loads(line)['port']}"

    def has_ended(self) -> bool:
        """Return whether the process is gone."""
        assert self._process is not None
        try:
            # A server that just crashed has closed its connections a moment before it can be waited for.
            self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            return False
        return True

    def log_tail(self) -> str:
        """Return the last lines the server has logged."""
        assert self._log is not None
        # By position, because the file's offset is shared with the process that writes.
        text = os.pread(self._log.fileno(), 1 << 20, max(0, os.fstat(self._log.fileno()).st_size - (1 << 14)))
        return "\n".join(text.decode(errors="replace").strip().splitlines()[-_LOG_LINES:]) or "it has logged nothing"


def _serve() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model_base_path", type=Path, required=True)
    arguments = parser.parse_args()
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    try:
        with EmbeddedServer(
            MODEL_NAME, arguments.model_base_path, file_system_poll_wait_seconds=0, max_num_load_retries=0
        ) as server:
            server.wait_until_available(timeout=threading.TIMEOUT_MAX)  # how long is enough is for the starter to say
            print(json.dumps({"port": server.port}), flush=True)
            threading.Event().wait()
    except ServeError as error:
        sys.exit(f"error: {error}")


def _end_with_stdin() -> None:
    sys.stdin.read()
    os._exit(0)  # at once, even in the middle of a load: there is nobody left to answer


if __name__ == "__main__":
    _serve()
