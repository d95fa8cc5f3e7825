"""`tintype serve`: the embedded server, with the flags of tensorflow_model_server."""

import logging
import os
import signal
import sys
import threading
from typing import Annotated

import typer

from tintype.startup_noise import startup_noise_set_aside

_STOP_GRACE_SECONDS = 30.0  # what Kubernetes gives a pod between SIGTERM and SIGKILL


def _boolean(value: str) -> bool:
    if value.lower() not in ("true", "1", "false", "0"):
        raise typer.BadParameter(f"expected true or false, received {value!r}")
    return value.lower() in ("true", "1")


def _rest_is_off(port: int) -> int:
    if port:
        raise typer.BadParameter("this server speaks gRPC only; leave the flag out or give 0")
    return port


def serve(
    model_base_path: Annotated[
        str,
        typer.Option("--model_base_path", help="Folder with one folder per version: <integer>/saved_model.pb."),
    ],
    model_name: Annotated[str, typer.Option("--model_name", help="The name requests ask for.")] = "colorizer",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="gRPC port; 0 takes a free one.")] = 8500,
    rest_api_port: Annotated[
        int,
        typer.Option("--rest_api_port", min=0, max=65535, callback=_rest_is_off, help="REST is not served: 0 only."),
    ] = 0,
    host: Annotated[str, typer.Option("--host", help="Address to bind; 127.0.0.1 for this machine alone.")] = "0.0.0.0",
    file_system_poll_wait_seconds: Annotated[
        float,
        typer.Option("--file_system_poll_wait_seconds", min=0, help="Between two looks for versions; 0 looks once."),
    ] = 1.0,
    max_num_load_retries: Annotated[
        int, typer.Option("--max_num_load_retries", min=0, help="Attempts to load a version after a failed first.")
    ] = 5,
    load_retry_interval_micros: Annotated[
        int, typer.Option("--load_retry_interval_micros", min=0, help="Between two attempts, in microseconds.")
    ] = 60_000_000,
    enable_model_warmup: Annotated[
        str,
        typer.Option(
            "--enable_model_warmup",
            callback=_boolean,
            metavar="BOOLEAN",
            help="Replay assets.extra/tf_serving_warmup_requests before a version is available.",
        ),
    ] = "true",
    grpc_max_threads: Annotated[
        int, typer.Option("--grpc_max_threads", min=0, help="Requests at once; 0: four times the processors.")
    ] = 0,
    tensorflow_intra_op_parallelism: Annotated[
        int, typer.Option("--tensorflow_intra_op_parallelism", min=0, help="Threads in one operation; 0: automatic.")
    ] = 0,
    tensorflow_inter_op_parallelism: Annotated[
        int, typer.Option("--tensorflow_inter_op_parallelism", min=0, help="Operations at once; 0: automatic.")
    ] = 0,
) -> None:
    """Serve the newest version of a model over gRPC, as TensorFlow Serving does; new versions are taken up live."""
    from serving.server import EmbeddedServer, ServeError

    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger = logging.getLogger("serving.server")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    server = EmbeddedServer(
        model_name,
        model_base_path,
        port,
        host=host,
        file_system_poll_wait_seconds=file_system_poll_wait_seconds,
        max_num_load_retries=max_num_load_retries,
        load_retry_interval_micros=load_retry_interval_micros,
        enable_model_warmup=bool(enable_model_warmup),
        grpc_max_threads=grpc_max_threads or None,
        tensorflow_intra_op_parallelism=tensorflow_intra_op_parallelism,
        tensorflow_inter_op_parallelism=tensorflow_inter_op_parallelism,
    )
    with startup_noise_set_aside(expected=(ServeError,)):
        server.start()
        import tensorflow as tf

        tf.config.list_physical_devices()  # says what it misses when no GPU is there
    logger.info("serving %s from %s, gRPC on %s:%d", model_name, model_base_path, host, server.port)
    while not stop.wait(0.1):
        if server.is_available():
            logger.info("ready: %s answers on port %d", model_name, server.port)
            stop.wait()
    logger.info("stopping: running requests have %g s to finish", _STOP_GRACE_SECONDS)
    if not server.stop(_STOP_GRACE_SECONDS):
        logger.warning("stopped, but something still ran after %g s", _STOP_GRACE_SECONDS)
        sys.stdout.flush()
        # The interpreter would wait for the thread that would not end.
        os._exit(1)
    logger.info("stopped")
