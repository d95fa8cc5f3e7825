"""A model server in this process that speaks TensorFlow Serving's contract; TensorFlow is imported by start()."""

import logging
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Self

import grpc

from serving.server.errors import RequestError, ServeError
from serving.server.version_manager import State, VersionStatus

if TYPE_CHECKING:
    from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

    from serving.server.config_files import BatchingParameters, SslConfig
    from serving.server.grpc_services import Health
    from serving.server.model_server import ServerCore
    from serving.server.rest_server import RestServer

log = logging.getLogger(__name__)

_CHANNEL_OPTIONS = {
    # TensorFlow Serving bounds no message; a batch of large photographs is far above gRPC's 4 MiB.
    "grpc.max_send_message_length": -1,
    "grpc.max_receive_message_length": -1,
    # Without this a second server on the same port starts happily and takes half of the requests.
    "grpc.so_reuseport": 0,
}
_THREADS_PER_PROCESSOR = 4  # TensorFlow Serving's grpc_max_threads
_WAITING_PER_THREAD = 16
# Threads beyond those that run and wait: for clients that are slow to send, and to refuse what is too much.
_SPARE_THREADS = 64
_MAX_BATCHED_AT_ONCE = 256


class EmbeddedServer:
    """Serves models over gRPC and, if asked, REST, as tensorflow_model_server does with the flags of the same names.

    Which versions are served, and when they change, `VersionManager` tells. PredictionService, ModelService and
    grpc.health.v1 answer on one port. The port is open from start() on; until a version is available Predict answers
    NOT_FOUND, and health is NOT_SERVING until every model has a version.

        with EmbeddedServer("colorizer", "models/colorizer") as server:
            server.wait_until_available(timeout=60)
            channel = grpc.insecure_channel(f"localhost:{server.port}")

    Args:
        model_name: the name requests ask for.
        model_base_path: the folder that holds `<integer>/saved_model.pb`; it must exist, it may be empty.
        port: where gRPC answers; 0 takes a free one, which `port` tells after start().
        rest_api_port: where REST answers; 0 takes a free one, which `rest_api_port` tells after start(); None is off.
        host: the address to bind; the default is this machine alone, `0.0.0.0` is every network.
        model_config_file: a ModelServerConfig in text format, in place of `model_name` and `model_base_path`.
        model_config_file_poll_wait_seconds: time between two readings of that file; 0 reads it once.
        grpc_socket_path: a Unix socket on which gRPC answers too.
        rest_api_timeout_in_ms: milliseconds REST waits for an answer.
        file_system_poll_wait_seconds: time between two looks at the base paths; 0 looks once.
        max_num_load_retries: attempts to load a version after a first one that failed.
        load_retry_interval_micros: microseconds between two attempts.
        enable_batching: run requests that arrive together in one go.
        batching_parameters_file: BatchingParameters in text format; needs `enable_batching`.
        enable_model_warmup: replay a version's `assets.extra/tf_serving_warmup_requests` before it is available.
        ssl_config_file: an SSLConfig in text format; without it gRPC answers in the clear.
        monitoring_config_file: a MonitoringConfig in text format, which can turn on metrics for Prometheus on REST.
        grpc_channel_arguments: further arguments of the gRPC server, as `name=value,name=value`.
        grpc_max_threads: requests worked on at once; four times the processors if None. Sixteen times as many may
            wait, the others are refused with RESOURCE_EXHAUSTED. With batching they wait in the queue of batches, which
            refuses with UNAVAILABLE what is beyond its `max_enqueued_batches`.
        allow_version_labels_for_unavailable_models: let a label that is new name a version that is not available.
        tensorflow_session_parallelism: both of the following in one.
        tensorflow_intra_op_parallelism: threads inside one operation, of the whole process; 0 lets TensorFlow choose.
        tensorflow_inter_op_parallelism: operations at once, of the whole process; 0 lets TensorFlow choose.
        mixed_precision: "bfloat16" lets TensorFlow compute in 16 bits where the numbers allow it, in the whole process.

    Raises:
        ServeError: arguments that exclude each other.
    """

    def __init__(
        self,
        model_name: str = "",
        model_base_path: str | os.PathLike[str] | None = None,
        port: int = 0,
        rest_api_port: int | None = None,
        *,
        host: str = "127.0.0.1",
        model_config_file: str | os.PathLike[str] | None = None,
        model_config_file_poll_wait_seconds: float = 0.0,
        grpc_socket_path: str | os.PathLike[str] | None = None,
        rest_api_timeout_in_ms: int = 30_000,
        file_system_poll_wait_seconds: float = 1.0,
        max_num_load_retries: int = 5,
        load_retry_interval_micros: int = 60_000_000,
        enable_batching: bool = False,
        batching_parameters_file: str | os.PathLike[str] | None = None,
        enable_model_warmup: bool = True,
        ssl_config_file: str | os.PathLike[str] | None = None,
        monitoring_config_file: str | os.PathLike[str] | None = None,
        grpc_channel_arguments: str = "",
        grpc_max_threads: int | None = None,
        allow_version_labels_for_unavailable_models: bool = False,
        tensorflow_session_parallelism: int = 0,
        tensorflow_intra_op_parallelism: int = 0,
        tensorflow_inter_op_parallelism: int = 0,
        mixed_precision: str = "",
    ):
        if model_config_file is None and model_base_path is None:
            raise ServeError("neither a model base path nor a model config file is given")
        if batching_parameters_file is not None and not enable_batching:
            raise ServeError("batching_parameters_file is set without setting enable_batching to true")
        if rest_api_port and rest_api_port == port:
            raise ServeError(f"rest_api_port and port are both {port}; they must differ")
        if tensorflow_session_parallelism and (tensorflow_intra_op_parallelism or tensorflow_inter_op_parallelism):
            raise ServeError(
                "Either configure tensorflow_session_parallelism or (tensorflow_intra_op_parallelism, "
                "tensorflow_inter_op_parallelism) separately. You cannot configure all."
            )
        if mixed_precision not in ("", "bfloat16"):
            raise ServeError(f"mixed_precision must be bfloat16 or nothing, got {mixed_precision!r}")
        self.model_name = model_name
        self._model_base_path = None if model_base_path is None else Path(model_base_path).absolute()
        self._host = host
        self._port = port
        self._rest_api_port = rest_api_port
        self._model_config_file = model_config_file
        self._config_poll_wait_seconds = model_config_file_poll_wait_seconds
        self._grpc_socket_path = grpc_socket_path
        self._rest_api_timeout_in_ms = rest_api_timeout_in_ms
        self._poll_wait_seconds = file_system_poll_wait_seconds
        self._max_num_load_retries = max_num_load_retries
        self._load_retry_interval = max(0, load_retry_interval_micros) / 1e6
        self._enable_batching = enable_batching
        self._batching_parameters_file = batching_parameters_file
        self._enable_model_warmup = enable_model_warmup
        self._ssl_config_file = ssl_config_file
        self._monitoring_config_file = monitoring_config_file
        self._channel_options = list({**_CHANNEL_OPTIONS, **_channel_arguments(grpc_channel_arguments)}.items())
        self._grpc_max_threads = grpc_max_threads or _THREADS_PER_PROCESSOR * (os.cpu_count() or 1)
        self._allow_labels_for_unavailable = allow_version_labels_for_unavailable_models
        self._intra_op_parallelism = tensorflow_intra_op_parallelism or tensorflow_session_parallelism
        self._inter_op_parallelism = tensorflow_inter_op_parallelism or tensorflow_session_parallelism
        self._mixed_precision = mixed_precision
        self._grpc_server: grpc.Server | None = None
        self._rest_server: RestServer | None = None
        self._core: ServerCore | None = None
        self._health: Health | None = None
        self._changed = threading.Event()  # some version's state
        self._stopping = threading.Event()

    @property
    def port(self) -> int:
        """The port gRPC answers on; the one asked for until start()."""
        return self._port

    @property
    def rest_api_port(self) -> int | None:
        """The port REST answers on, None if it does not; the one asked for until start()."""
        return self._rest_api_port

    def start(self) -> Self:
        """Bind the ports, import TensorFlow, begin to look for versions and to answer. Starts once.

        Raises:
            ServeError: the base path is no folder, a file or the config in it is wrong, a port cannot be had, or
                TensorFlow runs with other parallelism.
        """
        if self._grpc_server is not None:
            raise ServeError("this server was started before; make a new one")
        # Before the import of TensorFlow, which takes seconds: a wrong file or a taken port is told at once.
        from serving.server import config_files

        config = self._read_config()
        batching = None
        if self._enable_batching:
            given = self._batching_parameters_file
            batching = (
                config_files.BatchingParameters() if given is None else config_files.read_batching_parameters(given)
            )
        ssl = None if self._ssl_config_file is None else config_files.read_ssl_config(self._ssl_config_file)
        metrics_path = None
        if self._monitoring_config_file is not None:
            metrics_path = config_files.read_metrics_path(self._monitoring_config_file)
        running, waiting = self._turns(batching)
        threads = running + waiting + _SPARE_THREADS
        server = grpc.server(
            ThreadPoolExecutor(threads, thread_name_prefix="grpc-request"),
            options=self._channel_options,
            maximum_concurrent_rpcs=threads + _SPARE_THREADS,
        )
        self._port = self._bind(server, ssl)
        try:
            self._start_services(server, config, batching, metrics_path, (running, waiting))
        except BaseException:
            server.stop(None)  # lets go of the port
            raise
        self._grpc_server = server
        threading.Thread(target=self._follow_health, name="health", daemon=True).start()
        if self._model_config_file is not None and self._config_poll_wait_seconds > 0:
            threading.Thread(target=self._follow_config_file, name="config-file", daemon=True).start()
        return self

    def wait_until_available(
        self, timeout: float = 60.0, version: int | None = None, *, model_name: str | None = None
    ) -> int:
        """Wait until a version of every model, or of the one given, can be asked.

        Args:
            timeout: seconds to wait at the most.
            version: wait for this one.
            model_name: wait for this model alone; a `version` needs it if there are several.

        Returns:
            The greatest available version, or the given one, of the first model.

        Raises:
            ServeError: not in time, or a version failed to load for good and none is left to hope for.
        """
        core = self._started()
        deadline = time.monotonic() + timeout
        names = core.model_names() if model_name is None else [model_name]
        if not names:
            raise ServeError(f"{self._model_config_file} lists no models")
        answers = [self._wait_for(core, name, version, deadline - time.monotonic()) for name in names]
        return answers[0]

    def statuses(self, model_name: str | None = None) -> list[VersionStatus]:
        """Every version seen so far of a model, the first one if none is given, in the order of their numbers."""
        if self._core is None:
            return []
        names = self._core.model_names() if model_name is None else [model_name]
        return self._core.statuses(names[0]) if names else []

    def is_available(self) -> bool:
        """Whether every model has a version that can be asked now."""
        return self._core is not None and self._core.is_available()

    def stop(self, grace: float = 10.0) -> bool:
        """Be unhealthy, refuse new requests, let the running ones finish, then drop the models.

        Args:
            grace: seconds for requests, and a load that runs, to come to their end; then requests are cancelled. It
                all takes one second more at the most.

        Returns:
            Whether all of them did. What did not may still run in its thread.
        """
        if self._grpc_server is None:
            return True
        assert self._core is not None
        assert self._health is not None
        deadline = time.monotonic() + grace
        self._stopping.set()
        self._changed.set()
        self._health.shut_down()
        # grpc waits for the answers to be sent; a handler cut off at the deadline leaves its thread behind.
        stopped = self._grpc_server.stop(grace)
        if self._rest_server is not None:
            self._rest_server.stop(grace)
        stopped.wait()
        in_time = time.monotonic() < deadline
        return self._core.stop(max(1.0, deadline - time.monotonic())) and in_time

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()

    def _started(self) -> "ServerCore":
        if self._core is None:
            raise ServeError("this server was not started")
        return self._core

    def _read_config(self) -> "ModelServerConfig":
        from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

        from serving.server.config_files import read_model_server_config

        if self._model_config_file is not None:
            return read_model_server_config(self._model_config_file)
        assert self._model_base_path is not None
        if not self._model_base_path.is_dir():
            raise ServeError(f"the model base path {self._model_base_path} is not a folder")
        config = ModelServerConfig()
        config.model_config_list.config.add(
            name=self.model_name, base_path=str(self._model_base_path), model_platform="tensorflow"
        )
        return config

    def _turns(self, batching: "BatchingParameters | None") -> tuple[int, int]:
        """Requests that may run at once, and that may wait for it."""
        waiting = _WAITING_PER_THREAD * self._grpc_max_threads
        if batching is None:
            return self._grpc_max_threads, waiting
        # Requests wait in the kernel's queue, which knows its own bound; one batch is filled while another one runs.
        return max(self._grpc_max_threads + waiting, min(2 * batching.max_batch_size, _MAX_BATCHED_AT_ONCE)), 0

    def _bind(self, server: grpc.Server, ssl: "SslConfig | None") -> int:
        address = f"{self._host}:{self._port}" if ":" not in self._host else f"[{self._host.strip('[]')}]:{self._port}"
        try:
            port = _add_port(server, address, ssl)
        except (RuntimeError, ValueError) as error:
            raise ServeError(f"cannot listen on {address}: the port is in use or not allowed") from error
        if self._grpc_socket_path is not None:
            try:
                _add_port(server, f"unix:{os.fspath(self._grpc_socket_path)}", ssl)
            except (RuntimeError, ValueError) as error:
                raise ServeError(f"cannot listen on the Unix socket {self._grpc_socket_path}") from error
        return port

    def _start_services(
        self,
        server: grpc.Server,
        config: "ModelServerConfig",
        batching: "BatchingParameters | None",
        metrics_path: str | None,
        turns: tuple[int, int],
    ) -> None:
        self._set_parallelism()
        if self._mixed_precision:
            import tensorflow as tf

            tf.config.optimizer.set_experimental_options({"auto_mixed_precision_onednn_bfloat16": True})
        from serving.server.grpc_services import Turns, add_services
        from serving.server.model_server import ServerCore
        from serving.server.warmup import load_served_model

        core = ServerCore(
            lambda folder: load_served_model(folder, warmup=self._enable_model_warmup, batching=batching),
            poll_wait_seconds=self._poll_wait_seconds,
            max_num_load_retries=self._max_num_load_retries,
            load_retry_interval=self._load_retry_interval,
            allow_version_labels_for_unavailable_models=self._allow_labels_for_unavailable,
            on_change=self._changed.set,
        )
        self._health = add_services(server, core, Turns(*turns))
        if self._rest_api_port is not None:
            from serving.server.rest_server import PROMETHEUS_PATH, RestServer

            self._rest_server = RestServer(
                core,
                host=self._host,
                port=self._rest_api_port,
                timeout_in_ms=self._rest_api_timeout_in_ms,
                metrics=core.metrics,
                prometheus_path=PROMETHEUS_PATH if metrics_path == "" else metrics_path,
            )
            self._rest_api_port = self._rest_server.start()
        try:
            if config.WhichOneof("config") is None:
                log.warning("%s lists no models: nothing is served until it does", self._model_config_file)
            else:
                core.reload_config(config, wait=False)
        except RequestError as error:
            if self._rest_server is not None:
                self._rest_server.stop(0)
            where = "" if self._model_config_file is None else f"{self._model_config_file}: "
            raise ServeError(f"{where}{error.message}") from error
        server.start()
        self._core = core

    def _set_parallelism(self) -> None:
        if not (self._intra_op_parallelism or self._inter_op_parallelism):
            return
        import tensorflow as tf

        try:
            if self._intra_op_parallelism:
                tf.config.threading.set_intra_op_parallelism_threads(self._intra_op_parallelism)
            if self._inter_op_parallelism:
                tf.config.threading.set_inter_op_parallelism_threads(self._inter_op_parallelism)
        except RuntimeError as error:
            raise ServeError(f"TensorFlow's threads were set before this server started: {error}") from error

    def _wait_for(self, core: "ServerCore", name: str, version: int | None, timeout: float) -> int:
        def wanted(statuses: list[VersionStatus]) -> list[VersionStatus]:
            return [status for status in statuses if version is None or status.version == version]

        def is_decided(statuses: list[VersionStatus]) -> bool:
            return any(status.state is State.AVAILABLE for status in wanted(statuses)) or (
                any(status.error_message for status in wanted(statuses))
                and all(status.state is State.END for status in wanted(statuses))
            )

        core.wait_for(name, is_decided, max(0.0, timeout))
        statuses = wanted(core.statuses(name))
        available = [status.version for status in statuses if status.state is State.AVAILABLE]
        if available:
            return max(available)
        what = name if version is None else f"version {version} of {name}"
        reports = [f"version {s.version} is {s.state.name} {s.error_message}".rstrip() for s in statuses]
        raise ServeError(f"{what} is not available: {'; '.join(reports) or 'nothing under its base path'}")

    def _follow_health(self) -> None:
        assert self._core is not None
        assert self._health is not None
        while not self._stopping.is_set():
            self._changed.clear()
            self._health.tell(self._core.is_available())
            self._changed.wait()

    def _follow_config_file(self) -> None:
        core = self._started()
        last_complaint = None
        while not self._stopping.wait(self._config_poll_wait_seconds):
            # Applied again even when it did not change: a label may wait for its version.
            try:
                core.reload_config(self._read_config(), wait=False)
                complaint = None
            except RequestError as error:
                complaint = f"{self._model_config_file}: {error.message}"
            except ServeError as error:
                complaint = str(error)
            if complaint is not None and complaint != last_complaint:
                log.error("the config was not taken: %s", complaint)
            last_complaint = complaint


def _add_port(server: grpc.Server, address: str, ssl: "SslConfig | None") -> int:
    if ssl is None:
        return server.add_insecure_port(address)
    credentials = grpc.ssl_server_credentials(
        [(ssl.server_key, ssl.server_cert)],
        root_certificates=ssl.custom_ca or None,
        require_client_auth=ssl.client_verify,
    )
    return server.add_secure_port(address, credentials)


def _channel_arguments(arguments: str) -> dict[str, str | int]:
    """Parse `name=value,name=value`; a value that reads as an integer is one, as in TensorFlow Serving."""
    parsed: dict[str, str | int] = {}
    for argument in filter(None, arguments.split(",")):
        name, equals, value = argument.partition("=")
        if not (name and equals):
            raise ServeError(f"grpc_channel_arguments: expected name=value, received {argument!r}")
        try:
            parsed[name] = int(value)
        except ValueError:
            parsed[name] = value
    return parsed
