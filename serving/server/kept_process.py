"""Finds the model server that an earlier command of this user left for a while, or starts one that stays."""

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from photo.errors import TintypeError
from photo.locks import locked
from photo.version import __version__
from serving.model.shipped_generator import GENERATOR_VARIABLE, cache_folder, shipped_generator
from serving.server.door import Visit, enter, knock, open_door
from serving.server.options import ServerOptions
from serving.server.process import check_can_start, server_command, server_environment
from serving.server.server_log import ServerLog

_WATCH_SECONDS = 0.2
_ANSWER_SECONDS = 120.0  # a busy machine may take that long to start Python
_ATTEMPTS = 3
_LONGEST_SOCKET_PATH = 100  # bytes; the system allows a few more, on Linux 107
_LOCK, _DOOR = ".lock", ".door"

# What else decides how a server computes.
_SETTINGS = ("TF_", "OMP_", "KMP_", "CUDA_")


class KeptServer:
    """A model server that stays when the command ends; made by `kept_server`.

    Attributes:
        address: for `Colorizer`, a Unix socket; it answers once its model is loaded.
        pid: of its process.
        was_there: an earlier command had started it.
    """

    def __init__(self, visit: Visit, *, was_there: bool):
        self.address: str = visit.greeting["address"]
        self.pid: int = visit.greeting["pid"]
        self.was_there = was_there
        self._visit = visit
        self._log = ServerLog(Path(visit.greeting["folder"]))
        self._is_leaving = threading.Event()
        self._has_ended = threading.Event()

    @property
    def has_ended(self) -> bool:
        """Whether it has ended, as far as `watch` has seen it."""
        return self._has_ended.is_set()

    def watch(self, when_it_ends: Callable[[], None]) -> None:
        """Call a function, from a thread, when the server ends; again and again, until the block ends."""

        def wait() -> None:
            self._visit.wait_for_end()
            while not self._is_leaving.wait(_WATCH_SECONDS):
                self._has_ended.set()
                when_it_ends()

        threading.Thread(target=wait, name="model server", daemon=True).start()

    def last_words(self) -> str:
        """Return the last line of its standard error, without the mark of an error."""
        return self._log.last_error() or "it was stopped"

    def leave(self) -> None:
        """Let it go on without this process."""
        self._is_leaving.set()
        self._visit.close()


@contextmanager
def kept_server(options: ServerOptions, *, keep_for: float) -> Iterator[KeptServer | None]:
    """Use the server that serves just this, or start one; None where none can be kept.

    There is one for each user, version of Tintype, generator and set of options. It answers this user alone, on a
    socket in `$XDG_RUNTIME_DIR/tintype` or else in the cache. It ends by itself when nobody has used it for a while,
    and on SIGTERM.

    Args:
        options: what the server is told; it serves the generator that comes with the package.
        keep_for: seconds that it stays after the block.

    Raises:
        TintypeError: there is no generator, or the extra `server` is not installed.
    """
    check_can_start(options)
    server = _found_or_started(options, keep_for)
    try:
        yield server
    finally:
        if server is not None:
            server.leave()


def _found_or_started(options: ServerOptions, keep_for: float) -> KeptServer | None:
    folder, name = _own_folder(), _name(options)
    if folder is None or len(os.fsencode(folder)) + 2 * len(name) + len("/./server.sock") > _LONGEST_SOCKET_PATH:
        return None
    door = folder / f"{name}{_DOOR}"
    try:
        for _ in range(_ATTEMPTS):  # the one that is found may be about to end
            with locked(folder / _LOCK):
                connection = knock(door)
                was_there = connection is not None
                if connection is None:
                    _clear(folder)
                    _start(options, folder, name, door)
                    connection = knock(door)
            visit = connection and enter(connection, keep_for=keep_for, patience=_ANSWER_SECONDS)
            if visit:
                return KeptServer(visit, was_there=was_there)
    except OSError:  # the disk is full, no sockets can be had there, or the server hangs
        pass
    return None


def _start(options: ServerOptions, folder: Path, name: str, door: Path) -> None:
    """Start a server whose door is open at once; the caller holds the lock."""
    home = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=folder))
    options = replace(
        options,
        grpc_socket_path=home / "server.sock",
        socket_alone=True,
        # Who asks it is the client, which takes both, and these are quicker.
        enable_serialization_as_tensor_content=True,
    )
    greeting = {"address": f"unix:{options.grpc_socket_path}", "folder": str(home)}
    with open_door(door) as listener, open(home / "stdout", "wb") as stdout, open(home / "stderr", "wb") as stderr:
        descriptor = listener.fileno()
        process = subprocess.Popen(
            server_command(options, door={"descriptor": descriptor, "greeting": greeting}, folder=home),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            cwd="/",  # the folder that the user is in may have to go
            env={**server_environment(home), GENERATOR_VARIABLE: os.path.abspath(shipped_generator())},
            umask=0o077,
            pass_fds=(descriptor,),
            start_new_session=True,
        )
    # It is nobody's child: Python would warn of one that is left.
    process.returncode = 0


def _clear(folder: Path) -> None:
    """Remove what servers that did not end as they should have left; the caller holds the lock."""
    for door in folder.glob(f"*{_DOOR}"):
        connection = knock(door)
        if connection is not None:
            connection.close()
            continue
        for home in folder.glob(f"{door.stem}.*"):
            if home.is_dir():
                shutil.rmtree(home, ignore_errors=True)
        door.unlink(missing_ok=True)


def _own_folder() -> Path | None:
    """This user's folder of servers, into which nobody else can look; None where there is none."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    for root in (Path(runtime) / "tintype" if os.path.isabs(runtime) else None, _in_cache()):
        if root is None:
            continue
        try:
            root.mkdir(mode=0o700, exist_ok=True)
            status = root.lstat()
        except OSError:
            continue
        if stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077:
            return root
    return None


def _in_cache() -> Path | None:
    try:
        cache = cache_folder()
    except TintypeError:  # the disk is full
        return None
    return None if cache is None else cache / "servers"


def _code() -> list[tuple[str, int]]:
    """The files that a server is made of, and when they were written: a clone changes under one version."""
    packages = Path(__file__).resolve().parents[2]
    files = [file for part in ("photo", "serving/model", "serving/server") for file in (packages / part).glob("*.py")]
    return sorted((str(file), file.stat().st_mtime_ns) for file in files)


def _name(options: ServerOptions) -> str:
    """A few digits that differ between servers that would answer differently."""
    decides = [
        __version__,
        sys.executable,
        _code(),
        hashlib.sha256(shipped_generator().read_bytes()).hexdigest(),
        asdict(options),
        sorted(item for item in os.environ.items() if item[0].startswith(_SETTINGS)),
    ]
    return hashlib.sha256(json.dumps(decides, default=os.fspath).encode()).hexdigest()[:12]
