"""`tintype serve`: the embedded server, with the flags of tensorflow_model_server."""

import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from serving.model.quiet_tensorflow import startup_noise_set_aside

_STOP_GRACE_SECONDS = 30.0  # what Kubernetes gives a pod between SIGTERM and SIGKILL

_BOOLEANS = ("--enable_batching", "--enable_model_warmup", "--allow_version_labels_for_unavailable_models")


class ModelServerCommand(TyperCommand):
    """A command whose boolean flags may stand without a value: `--enable_batching` means `--enable_batching=true`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Give every bare boolean flag its value, then parse as usual."""
        return super().parse_args(ctx, [f"{argument}=true" if argument in _BOOLEANS else argument for argument in args])


def _boolean(value: str) -> bool:
    if value.lower() not in ("true", "1", "false", "0"):
        raise typer.BadParameter(f"expected true or false, received {value!r}")
    return value.lower() in ("true", "1")


def _flag(name: str, description: str) -> Any:
    assert name in _BOOLEANS
    return typer.Option(name, callback=_boolean, metavar="BOOLEAN", help=description)


def serve(
    model_base_path: Annotated[
        str | None,
        typer.Option(
            "--model_base_path",
            help="Folder with one folder per version: <integer>/saved_model.pb. "
            "[default: the generator that comes with Tintype]",
            show_default=False,
        ),
    ] = None,
    model_name: Annotated[
        str,
        typer.Option(
            "--model_name", help="The name requests ask for; tensorflow_model_server's default would be 'default'."
        ),
    ] = "colorizer",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="gRPC port; 0 takes a free one.")] = 8500,
    grpc_socket_path: Annotated[
        str | None, typer.Option("--grpc_socket_path", help="Unix socket on which gRPC answers too.")
    ] = None,
    rest_api_port: Annotated[
        int, typer.Option("--rest_api_port", min=0, max=65535, help="HTTP/REST port; 0: no REST.")
    ] = 0,
    rest_api_timeout_in_ms: Annotated[
        int, typer.Option("--rest_api_timeout_in_ms", min=0, help="Milliseconds REST waits for an answer.")
    ] = 30_000,
    host: Annotated[str, typer.Option("--host", help="Address to bind; 127.0.0.1 for this machine alone.")] = "0.0.0.0",
    model_config_file: Annotated[
        str | None,
        typer.Option(
            "--model_config_file",
            help="ModelServerConfig in text format: several models, version policies, labels. "
            "--model_name and --model_base_path are then ignored.",
        ),
    ] = None,
    model_config_file_poll_wait_seconds: Annotated[
        float,
        typer.Option(
            "--model_config_file_poll_wait_seconds", min=0, help="Between two readings of that file; 0 reads it once."
        ),
    ] = 0.0,
    file_system_poll_wait_seconds: Annotated[
        float,
        typer.Option("--file_system_poll_wait_seconds", min=0, help="Between two looks for versions; 0 looks once."),
    ] = 1.0,
    max_num_load_retries: Annotated[
        int, typer.Option("--max_num_load_retries", min=0, help="Attempts to load a version after a failed first.")
    ] = 5,
    load_retry_interval_micros: Annotated[
        int,
        typer.Option("--load_retry_interval_micros", help="Between two attempts, in microseconds; negative: no wait."),
    ] = 60_000_000,
    enable_batching: Annotated[
        str, _flag("--enable_batching", "Run requests that arrive together in one go.")
    ] = "false",
    batching_parameters_file: Annotated[
        str | None,
        typer.Option("--batching_parameters_file", help="BatchingParameters in text format; needs --enable_batching."),
    ] = None,
    enable_model_warmup: Annotated[
        str,
        _flag("--enable_model_warmup", "Replay assets.extra/tf_serving_warmup_requests before a version is available."),
    ] = "true",
    ssl_config_file: Annotated[
        str | None, typer.Option("--ssl_config_file", help="SSLConfig in text format: gRPC answers over TLS alone.")
    ] = None,
    monitoring_config_file: Annotated[
        str | None,
        typer.Option("--monitoring_config_file", help="MonitoringConfig in text format: Prometheus on the REST port."),
    ] = None,
    grpc_channel_arguments: Annotated[
        str,
        typer.Option(
            "--grpc_channel_arguments", help="Arguments of the gRPC server, e.g. grpc.max_connection_age_ms=2000,..."
        ),
    ] = "",
    grpc_max_threads: Annotated[
        int, typer.Option("--grpc_max_threads", min=0, help="Requests at once; 0: four times the processors.")
    ] = 0,
    allow_version_labels_for_unavailable_models: Annotated[
        str,
        _flag(
            "--allow_version_labels_for_unavailable_models",
            "Let a new label name a version that is not available yet; needed for labels in the config file at start.",
        ),
    ] = "false",
    tensorflow_session_parallelism: Annotated[
        int, typer.Option("--tensorflow_session_parallelism", min=0, help="Both of the next in one; 0: automatic.")
    ] = 0,
    tensorflow_intra_op_parallelism: Annotated[
        int, typer.Option("--tensorflow_intra_op_parallelism", min=0, help="Threads in one operation; 0: automatic.")
    ] = 0,
    tensorflow_inter_op_parallelism: Annotated[
        int, typer.Option("--tensorflow_inter_op_parallelism", min=0, help="Operations at once; 0: automatic.")
    ] = 0,
    mixed_precision: Annotated[
        str,
        typer.Option(
            "--mixed_precision",
            help="bfloat16: compute in 16 bits where the numbers allow it; quick in batches on CPUs with AMX.",
        ),
    ] = "",
    stop_when_input_ends: Annotated[
        bool,
        typer.Option(
            "--stop_when_input_ends", hidden=True, help="End when standard input does: with whoever started it."
        ),
    ] = False,
) -> None:
    """Serve models over gRPC and REST as TensorFlow Serving does; new versions are taken up live.

    The flags are those of tensorflow_model_server, with its defaults but for the model's name, and for the model: where
    none is named, it is the generator that comes with Tintype.
    """
    from serving.freed_memory import share_heaps
    from serving.server import EmbeddedServer, ServeError

    # Before there are threads: versions come and go, and their memory with them.
    share_heaps(max(2, os.cpu_count() or 1))

    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger = logging.getLogger("serving.server")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if stop_when_input_ends:
        threading.Thread(target=_wait_for_end_of_input, args=(stop,), name="input", daemon=True).start()
    if model_base_path is None and model_config_file is None:
        model_base_path = _unpack_shipped_generator(
            tensorflow_intra_op_parallelism or tensorflow_session_parallelism,
            tensorflow_inter_op_parallelism or tensorflow_session_parallelism,
        )

    server = EmbeddedServer(
        model_name,
        model_base_path,
        port,
        rest_api_port or None,
        host=host,
        model_config_file=model_config_file,
        model_config_file_poll_wait_seconds=model_config_file_poll_wait_seconds,
        grpc_socket_path=grpc_socket_path,
        rest_api_timeout_in_ms=rest_api_timeout_in_ms,
        file_system_poll_wait_seconds=file_system_poll_wait_seconds,
        max_num_load_retries=max_num_load_retries,
        load_retry_interval_micros=load_retry_interval_micros,
        enable_batching=bool(enable_batching),
        batching_parameters_file=batching_parameters_file,
        enable_model_warmup=bool(enable_model_warmup),
        ssl_config_file=ssl_config_file,
        monitoring_config_file=monitoring_config_file,
        grpc_channel_arguments=grpc_channel_arguments,
        grpc_max_threads=grpc_max_threads or None,
        allow_version_labels_for_unavailable_models=bool(allow_version_labels_for_unavailable_models),
        tensorflow_session_parallelism=tensorflow_session_parallelism,
        tensorflow_intra_op_parallelism=tensorflow_intra_op_parallelism,
        tensorflow_inter_op_parallelism=tensorflow_inter_op_parallelism,
        mixed_precision=mixed_precision,
    )
    with startup_noise_set_aside(expected=(ServeError,)):
        server.start()
        import tensorflow as tf

        tf.config.list_physical_devices()  # says what it misses when no GPU is there
    what = f"{model_name} from {model_base_path}" if model_config_file is None else f"the models of {model_config_file}"
    rest = "" if server.rest_api_port is None else f", REST on {host}:{server.rest_api_port}"
    socket = "" if grpc_socket_path is None else f" and on unix:{Path(grpc_socket_path).absolute()}"
    logger.info("serving %s, gRPC on %s:%d%s%s", what, host, server.port, socket, rest)
    while not stop.wait(0.1):
        if server.is_available():
            logger.info("ready: every model answers on port %d", server.port)
            stop.wait()
    logger.info("stopping: running requests have %g s to finish", _STOP_GRACE_SECONDS)
    if not server.stop(_STOP_GRACE_SECONDS):
        logger.warning("stopped, but something still ran after %g s", _STOP_GRACE_SECONDS)
        sys.stdout.flush()
        # The interpreter would wait for the thread that would not end.
        os._exit(1)
    logger.info("stopped")


def _wait_for_end_of_input(stop: threading.Event) -> None:
    # Not through sys.stdin: its lock, held by a waiting thread, would keep the interpreter from ending.
    while os.read(0, 1 << 16):
        pass
    stop.set()


def _unpack_shipped_generator(intra_op_parallelism: int, inter_op_parallelism: int) -> str:
    from photo.errors import TintypeError
    from serving.model.shipped_generator import shipped_generator, unpack

    file = shipped_generator()
    with startup_noise_set_aside(expected=(TintypeError, ModuleNotFoundError)):
        if intra_op_parallelism or inter_op_parallelism:
            import tensorflow as tf

            # Unpacking may be the first that TensorFlow runs; its threads cannot be changed later.
            tf.config.threading.set_intra_op_parallelism_threads(intra_op_parallelism)
            tf.config.threading.set_inter_op_parallelism_threads(inter_op_parallelism)
        return str(unpack(file))
