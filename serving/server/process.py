"""Starts a model server as a child process, for whoever needs one beside itself: the one way to do so."""

import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from photo.errors import TintypeError
from serving.model.version_folders import SAVED_MODEL_FILE
from serving.server.options import ServerOptions
from serving.server.run import READY
from serving.server.server_log import ServerLog

_WATCH_SECONDS = 0.2
_POLL_SECONDS = 0.05
_READY = re.compile(rf"{READY} (?:port (\d+)|the socket)")


class ServerProcess:
    """A model server's process while it runs; made by `server_process`.

    Attributes:
        address: for `Colorizer`, a Unix socket; it answers once the process has started and its model is loaded.
        pid: of the process.
        was_there: never; a `KeptServer` may have been.
    """

    was_there = False

    def __init__(self, process: "subprocess.Popen[bytes]", address: str, log: Path | None):
        self.address = address
        self.pid = process.pid
        self._process = process
        self._log = ServerLog(log)
        self._is_ending = threading.Event()
        self._has_ended = threading.Event()

    @property
    def has_ended(self) -> bool:
        """Whether it has ended by itself, as far as `watch` has seen it."""
        return self._has_ended.is_set()

    def ends_within(self, seconds: float) -> bool:
        """Return whether it is gone, or goes in that time: a server that crashed closes its connections first."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def watch(self, when_it_ends: Callable[[], None]) -> None:
        """Call a function, from a thread, when the process ends by itself; again and again, until the block ends.

        So a function that ends what waits for the server also ends what has only begun to.
        """

        def wait() -> None:
            self._process.wait()
            while not self._is_ending.wait(_WATCH_SECONDS):
                self._has_ended.set()
                when_it_ends()

        threading.Thread(target=wait, name="model server", daemon=True).start()

    def wait_until_ready(self, timeout: float) -> int:
        """Wait until every model can be asked; of a silent server.

        Returns:
            The port on 127.0.0.1 at which it answers, too; 0 where it has none.

        Raises:
            TintypeError: it ended, or was not ready within `timeout` seconds; with the end of its log.
        """
        deadline = time.monotonic() + timeout
        while True:
            has_ended = self._process.poll() is not None
            if found := _READY.search(self._log.of("stdout")):
                return int(found[1] or 0)
            if has_ended:
                raise TintypeError(f"the server ended before it could be asked: {self.log_tail()}")
            if time.monotonic() > deadline:
                raise TintypeError(f"the server was not ready within {timeout:g} s: {self.log_tail()}")
            time.sleep(_POLL_SECONDS)

    def log_tail(self) -> str:
        """Return the last lines that a silent server wrote, those on standard error at the end."""
        return self._log.tail()

    def last_words(self) -> str:
        """Return the last line of a silent server's standard error, without the mark of an error."""
        return self._log.last_error() or f"its exit code is {self._process.poll()}"

    def stop(self, patience: float) -> int:
        """End the process, and kill it when it has not ended in `patience` seconds; return its exit code."""
        self._is_ending.set()
        self._process.terminate()
        try:
            return self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


@contextmanager
def server_process(
    options: ServerOptions,
    *,
    patience: float,
    silent: bool = False,
    with_accelerator: bool = True,
    on_port: bool = False,
) -> Iterator[ServerProcess]:
    """Start a model server, and end it with the block. It also ends when this process is killed.

    Args:
        options: what to serve, and how. `model_base_path` may also be a single SavedModel; where it is None, the server
            serves the generator that comes with the package. Whatever they say, it answers on a Unix socket that only
            this user may use, and with raw bytes.
        patience: seconds it has to finish its requests when the block ends.
        silent: keep its log, and what it says on standard error, off the terminal.
        with_accelerator: False hides accelerators from it: this process may hold their memory.
        on_port: it answers on a TCP port, too, which any user of this machine may use.

    Raises:
        TintypeError: there is no generator, or the extra `server` is not installed.
    """
    check_can_start(options)
    with tempfile.TemporaryDirectory(prefix="tintype-") as name:
        folder = Path(name)
        options = replace(
            options,
            grpc_socket_path=f"{folder}/server.sock",
            socket_alone=not on_port,
            model_base_path=_base_path(options.model_base_path, folder),
            # Who asks it is the client, which takes both, and these are quicker.
            enable_serialization_as_tensor_content=True,
        )
        with (
            open(folder / "stdout" if silent else os.devnull, "wb") as stdout,
            open(folder / "stderr" if silent else os.devnull, "wb") as stderr,
        ):
            process = subprocess.Popen(
                server_command(options, stop_when_input_ends=True),
                # Its end is this process's end, however that comes.
                stdin=subprocess.PIPE,
                stdout=stdout if silent else None,
                stderr=stderr if silent else None,
                env=server_environment(folder, with_accelerator=with_accelerator),
                # A Ctrl-C on the terminal is for the command, which ends this one when its own requests are done.
                start_new_session=os.name == "posix",
            )
        server = ServerProcess(process, f"unix:{options.grpc_socket_path}", folder if silent else None)
        try:
            yield server
        finally:
            server.stop(patience)
            assert process.stdin is not None
            process.stdin.close()


def check_can_start(options: ServerOptions) -> None:
    """Raise TintypeError where there is no generator, or the extra `server` is not installed."""
    if options.model_base_path is None and options.model_config_file is None:
        from serving.model.shipped_generator import shipped_generator

        shipped_generator()
    if importlib.util.find_spec("tensorflow") is None:
        raise TintypeError(
            "this needs TensorFlow: pip install '.[server]' in a clone of Tintype; to colour without it, '.[onnx]'; or "
            "name a server that runs elsewhere: --server HOST:PORT"
        )


def server_command(options: ServerOptions, **arguments: object) -> list[str]:
    """Return the command of a server's process; the arguments are those of `serving.server.__main__`."""
    # -P: a folder named as one of the packages may lie where the user is.
    words = json.dumps({"options": asdict(options), **arguments}, default=os.fspath)
    return [sys.executable, "-P", "-m", "serving.server", words]


def server_environment(folder: Path, *, with_accelerator: bool = True) -> dict[str, str]:
    """Return the environment of a server's process, whose temporary files go into `folder`."""
    return {
        **os.environ,
        # It finds the modules that this process finds.
        "PYTHONPATH": os.pathsep.join(os.path.abspath(path) for path in sys.path if path),
        # What it leaves behind when it is killed goes with the folder.
        "TMPDIR": str(folder),
        **({} if with_accelerator else {"CUDA_VISIBLE_DEVICES": "-1"}),
    }


def _base_path(model: str | os.PathLike[str] | None, folder: Path) -> Path | None:
    """Return a folder of versions for a model that may be a single one."""
    if model is None:
        return None
    base_path = Path(model).resolve()
    if not (base_path / SAVED_MODEL_FILE).exists():
        return base_path
    (folder / "model").mkdir()
    (folder / "model" / "1").symlink_to(base_path)
    return folder / "model"
