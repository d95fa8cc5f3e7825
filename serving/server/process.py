"""Runs `tintype serve` as a process of a command's own, on a socket that only this user may use."""

import importlib.util
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_WATCH_SECONDS = 0.2


class ModelServer:
    """The process while it runs.

    Attributes:
        address: for `Colorizer`; it answers once the process has started and its model is loaded.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", address: str, errors: Path | None):
        self.address = address
        self._process = process
        self._errors = errors
        self._is_ending = threading.Event()
        self._has_ended = threading.Event()

    @property
    def has_ended(self) -> bool:
        """Whether it has ended by itself."""
        return self._has_ended.is_set()

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

    def last_words(self) -> str:
        """Return the last line of its standard error, where that is kept, without the mark of an error."""
        lines = self._errors.read_text(errors="replace").split("\n") if self._errors is not None else []
        last = next((line for line in reversed(lines) if line.strip()), "")
        return last.removeprefix("error: ") or f"its exit code is {self._process.poll()}"

    def stop(self, patience: float) -> None:
        """End the process; kill it when it has not ended in `patience` seconds."""
        self._is_ending.set()
        self._process.terminate()
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def running_model_server(
    model: Path | None, model_name: str, *flags: str, silent: bool = False, patience: float
) -> Iterator[ModelServer]:
    """Start `tintype serve`, and end it with the block. It also ends when this process is killed.

    Args:
        model: a folder of versions, or a SavedModel; None serves the generator that comes with the package.
        model_name: the name to serve it under.
        flags: further flags of `tintype serve`.
        silent: keep its log, and what it says on standard error, off the terminal; `last_words` has the end of it.
        patience: seconds it has to finish its requests when the block ends.

    Raises:
        TintypeError: there is no generator, or the extra `server` is not installed.
    """
    from photo.errors import TintypeError

    if model is None:
        from serving.model.shipped_generator import shipped_generator

        shipped_generator()
    if importlib.util.find_spec("tensorflow") is None:
        raise TintypeError(
            "colouring on this machine needs TensorFlow: pip install '.[server]' in a clone of Tintype; or name a "
            "server that runs elsewhere: --server HOST:PORT"
        )
    with tempfile.TemporaryDirectory(prefix="tintype-") as folder:
        errors = Path(folder) / "stderr" if silent else None
        socket = f"{folder}/server.sock"
        command = [
            # -P: a folder named as one of the packages may lie where the user is.
            sys.executable, "-P", "-m", "tintype.cli", "serve", f"--model_name={model_name}",
            f"--grpc_socket_path={socket}", "--host=127.0.0.1", "--port=0", "--stop_when_input_ends", *flags,
        ]  # fmt: skip
        if model is not None:
            command.append(f"--model_base_path={_base_path(model, Path(folder))}")
        with open(errors or os.devnull, "wb") as kept_errors:
            process = subprocess.Popen(
                command,
                # Its end is this process's end, however that comes.
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL if silent else None,
                stderr=kept_errors if silent else None,
                # What it leaves behind when it is killed goes with the folder.
                env={**os.environ, "TMPDIR": folder},
                # A Ctrl-C on the terminal is for the command, which ends this one when its own requests are done.
                start_new_session=os.name == "posix",
            )
        server = ModelServer(process, f"unix:{socket}", errors)
        try:
            yield server
        finally:
            server.stop(patience)
            assert process.stdin is not None
            process.stdin.close()


def _base_path(model: Path, folder: Path) -> Path:
    """Return a folder of versions for a model that may be a single one."""
    base_path = model.resolve()
    if not (base_path / "saved_model.pb").exists():
        return base_path
    (folder / "model").mkdir()
    (folder / "model" / "1").symlink_to(base_path)
    return folder / "model"
