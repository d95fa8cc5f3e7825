"""Runs a model server until it is told to stop: what `tintype serve` does, and each server that is a child process."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import NoReturn

from photo.errors import TintypeError
from serving.malloc_settings import share_heaps
from serving.model.quiet_tensorflow import set_parallelism, startup_noise_set_aside
from serving.server.door import Door
from serving.server.errors import ServeError
from serving.server.options import ServerOptions

READY = "ready: every model answers on"

_STOP_GRACE_SECONDS = 30.0  # what Kubernetes gives a pod between SIGTERM and SIGKILL

# Not by the name of this module, which may be run as a script: the loggers of the whole server are below it.
log = logging.getLogger("serving.server")


def run_server(options: ServerOptions, *, stop_when_input_ends: bool = False, door: Door | None = None) -> None:
    """Serve until SIGTERM or SIGINT, with a log on standard output; for the main thread of a process of its own.

    Where the options name no model, it is the generator that comes with Tintype.

    Args:
        options: what to serve, and how.
        stop_when_input_ends: stop when standard input ends, too: with whoever holds its other end.
        door: stop when nobody has used the server for a while, too.

    Raises:
        TintypeError: it cannot start, or a model that it starts with cannot be loaded.
    """
    # Before there are threads: versions come and go, and their memory with them.
    share_heaps(max(2, os.cpu_count() or 1))
    _log_to_standard_output()
    is_loaded = threading.Event()
    stop = _stop_signals(is_loaded, stop_when_input_ends, door)
    if options.model_base_path is None and options.model_config_file is None:
        options = replace(options, model_base_path=_unpack_shipped_generator(options))

    from serving.server.embedded_server import EmbeddedServer

    server = EmbeddedServer(options)
    with startup_noise_set_aside(expected=(ServeError,)):
        server.start()
        import tensorflow as tf

        tf.config.list_physical_devices()  # says what it misses when no GPU is there
    is_loaded.set()
    log.info("serving %s, gRPC on %s", _what(options), _where(options, server.port, server.rest_api_port))
    try:
        while not _waited_for(stop, 0.1):
            if server.is_open():
                log.info("%s %s", READY, f"port {server.port}" if server.port else "the socket")
                # Not one endless wait: Python tells of a signal between two steps of this thread, and one that
                # arrives just before such a wait begins, or at another thread, would not end it.
                while not _waited_for(stop, 0.5):
                    pass
                break
    except ServeError:
        server.stop(_STOP_GRACE_SECONDS)
        raise
    if door is None and not server.is_open():
        _end_at_once()
    if door is not None:
        door.close()
    log.info("stopping: running requests have %g s to finish", _STOP_GRACE_SECONDS)
    if not server.stop(_STOP_GRACE_SECONDS):
        log.warning("stopped, but something still ran after %g s", _STOP_GRACE_SECONDS)
        sys.stdout.flush()
        # The interpreter would wait for the thread that would not end.
        os._exit(1)
    log.info("stopped")


def _stop_signals(is_loaded: threading.Event, stop_when_input_ends: bool, door: Door | None) -> "SimpleQueue[None]":
    """Return what tells of SIGTERM, SIGINT and the end of the input; before TensorFlow is loaded they end the process.

    Not an Event: a signal that arrives while the main thread holds the lock of one would wait for itself.
    """
    stop: SimpleQueue[None] = SimpleQueue()

    def end(*_: object) -> None:
        if not is_loaded.is_set() and door is None:  # a door has something to tidy up
            _end_at_once()
        stop.put(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    if stop_when_input_ends:
        threading.Thread(target=_wait_for_end_of_input, args=(end,), name="input", daemon=True).start()
    if door is not None:
        door.watch(lambda: stop.put(None))
    return stop


def _log_to_standard_output() -> None:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)


def _what(options: ServerOptions) -> str:
    if options.model_config_file is None:
        return f"{options.model_name} from {options.model_base_path}"
    return f"the models of {options.model_config_file}"


def _where(options: ServerOptions, port: int, rest_api_port: int | None) -> str:
    socket = "" if options.grpc_socket_path is None else f" and on unix:{Path(options.grpc_socket_path).absolute()}"
    rest = "" if rest_api_port is None else f", REST on {options.host}:{rest_api_port}"
    if options.socket_alone:
        return f"{socket.removeprefix(' and on ')}{rest}"
    return f"{options.host}:{port}{socket}{rest}"


def _waited_for(stop: "SimpleQueue[None]", seconds: float) -> bool:
    try:
        stop.get(timeout=seconds)
    except Empty:
        return False
    return True


def _end_at_once() -> NoReturn:
    """End while models are loaded: no request runs, and TensorFlow would go on for as long as it takes."""
    os.write(sys.stdout.fileno(), b"stopped before a model was there\n")
    os._exit(0)


def _wait_for_end_of_input(end: Callable[[], None]) -> None:
    # Not through sys.stdin: its lock, held by a waiting thread, would keep the interpreter from ending.
    while os.read(0, 1 << 16):
        pass
    end()


def _unpack_shipped_generator(options: ServerOptions) -> Path:
    from serving.model.shipped_generator import shipped_generator, unpack

    file = shipped_generator()
    with startup_noise_set_aside(expected=(TintypeError, ModuleNotFoundError)):
        if options.intra_op_parallelism or options.inter_op_parallelism:
            # Unpacking may be the first that TensorFlow runs; its threads cannot be changed later.
            set_parallelism(options.intra_op_parallelism, options.inter_op_parallelism)
        return unpack(file)
