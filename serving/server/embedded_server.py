"""A model server in this process that speaks TensorFlow Serving's contract; TensorFlow is imported by start()."""

import logging
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Self

import grpc

from serving.model.quiet_tensorflow import set_parallelism
from serving.server.errors import RequestError, ServeError
from serving.server.options import ServerOptions
from serving.server.version_status import ServableState, VersionStatus, is_any_available

if TYPE_CHECKING:
    from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

    from serving.server.config_files import BatchingParameters, SslConfig
    from serving.server.health import Health
    from serving.server.model_server import ModelServer
    from serving.server.rest_server import RestServer

log = logging.getLogger(__name__)

_CHANNEL_OPTIONS = {
    # TensorFlow Serving bounds no message; a batch of large photographs is far above gRPC's 4 MiB.
    "grpc.max_send_message_length": -1,
    "grpc.max_receive_message_length": -1,
    # Without this a second server on the same port starts happily and takes half of the requests.
    "grpc.so_reuseport": 0,
}
_WAITING_PER_THREAD = 16
# Threads beyond those that run and wait: for clients that are slow to send, and to refuse what is too much.
_SPARE_THREADS = 64
_MAX_BATCHED_AT_ONCE = 256


class EmbeddedServer:
    """Serves models over gRPC and, if asked, REST, as tensorflow_model_server does with the flags of the same names.

    Which versions are served, and when they change, `VersionManager` tells. PredictionService, ModelService and
    grpc.health.v1 answer on one port. The port is open from start() on; until a version is available Predict answers
    NOT_FOUND, and health is NOT_SERVING until every model has a version.

        with EmbeddedServer(ServerOptions("colorizer", "models/colorizer")) as server:
            server.wait_until_available(timeout=60)
            channel = grpc.insecure_channel(f"localhost:{server.port}")

    Args:
        options: what it serves, where it answers, and how.

    Raises:
        ServeError: there is neither a model nor a config file.
    """

    def __init__(self, options: ServerOptions):
        if options.model_config_file is None and options.model_base_path is None:
            raise ServeError("neither a model base path nor a model config file is given")
        self.options = options
        # Of now: a process may change its folder.
        self._base_path = None if options.model_base_path is None else Path(options.model_base_path).absolute()
        self._port = options.port
        self._rest_api_port = options.rest_api_port
        self._channel_options = {**_CHANNEL_OPTIONS, **_channel_arguments(options.grpc_channel_arguments)}
        self._grpc_server: grpc.Server | None = None
        self._rest_server: RestServer | None = None
        self._models: ModelServer | None = None
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

    @property
    def models(self) -> "ModelServer":
        """The models it serves and the calls on them; raises ServeError before start()."""
        if self._models is None:
            raise ServeError("this server was not started")
        return self._models

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
        batching = self._read_batching()
        given = self.options
        ssl = None if given.ssl_config_file is None else config_files.read_ssl_config(given.ssl_config_file)
        metrics_path = None
        if given.monitoring_config_file is not None:
            metrics_path = config_files.read_metrics_path(given.monitoring_config_file)
        running, waiting = self._turns(batching)
        threads = running + waiting + _SPARE_THREADS
        server = grpc.server(
            ThreadPoolExecutor(threads, thread_name_prefix="grpc-request"),
            options=list(self._channel_options.items()),
            maximum_concurrent_rpcs=threads + _SPARE_THREADS,
        )
        self._port = self._bind(server, ssl)
        try:
            self._set_up_tensorflow()
            self._start_services(server, config, batching, metrics_path, (running, waiting))
        except BaseException:
            server.stop(None)  # lets go of the port
            raise
        self._grpc_server = server
        threading.Thread(target=self._follow_health, name="health", daemon=True).start()
        if self.options.model_config_file is not None and self.options.model_config_file_poll_wait_seconds > 0:
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
        deadline = time.monotonic() + timeout
        names = self.models.model_names() if model_name is None else [model_name]
        if not names:
            raise ServeError(f"{self.options.model_config_file} lists no models")
        answers = [self._wait_for(name, version, deadline - time.monotonic()) for name in names]
        return answers[0]

    def statuses(self, model_name: str | None = None) -> list[VersionStatus]:
        """Every version seen so far of a model, the first one if none is given, in the order of their numbers."""
        if self._models is None:
            return []
        names = self._models.model_names() if model_name is None else [model_name]
        return self._models.statuses(names[0]) if names else []

    def is_available(self) -> bool:
        """Whether every model has a version that can be asked now."""
        return self._models is not None and self._models.is_available()

    def has_failed(self) -> bool:
        """Whether a model has no version that can be asked, and none that is still to be loaded after a failure."""
        return self._models is not None and any(
            _has_failed(self._models.statuses(name)) for name in self._models.model_names()
        )

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
        return self.models.stop(max(1.0, deadline - time.monotonic())) and in_time

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()

    def _read_config(self) -> "ModelServerConfig":
        from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

        from serving.server.config_files import read_model_server_config

        if self.options.model_config_file is not None:
            return read_model_server_config(self.options.model_config_file)
        assert self._base_path is not None
        if not self._base_path.is_dir():
            raise ServeError(f"the model base path {self._base_path} is not a folder")
        config = ModelServerConfig()
        config.model_config_list.config.add(
            name=self.options.model_name, base_path=str(self._base_path), model_platform="tensorflow"
        )
        return config

    def _read_batching(self) -> "BatchingParameters | None":
        from serving.server.config_files import BatchingParameters, read_batching_parameters

        if not self.options.enable_batching:
            return None
        given = self.options.batching_parameters_file
        return BatchingParameters() if given is None else read_batching_parameters(given)

    def _turns(self, batching: "BatchingParameters | None") -> tuple[int, int]:
        """Requests that may run at once, and that may wait for it."""
        running = self.options.request_threads
        waiting = _WAITING_PER_THREAD * running
        if batching is None:
            return running, waiting
        # Requests wait in the kernel's queue, which knows its own bound; one batch is filled while another one runs.
        return max(running + waiting, min(2 * batching.max_batch_size, _MAX_BATCHED_AT_ONCE)), 0

    def _bind(self, server: grpc.Server, ssl: "SslConfig | None") -> int:
        host = self.options.host
        address = f"{host}:{self._port}" if ":" not in host else f"[{host.strip('[]')}]:{self._port}"
        try:
            port = _add_port(server, address, ssl)
        except (RuntimeError, ValueError) as error:
            raise ServeError(f"cannot listen on {address}: the port is in use or not allowed") from error
        if self.options.grpc_socket_path is not None:
            try:
                _add_port(server, f"unix:{os.fspath(self.options.grpc_socket_path)}", ssl)
            except (RuntimeError, ValueError) as error:
                raise ServeError(f"cannot listen on the Unix socket {self.options.grpc_socket_path}") from error
        return port

    def _start_services(
        self,
        server: grpc.Server,
        config: "ModelServerConfig",
        batching: "BatchingParameters | None",
        metrics_path: str | None,
        turns: tuple[int, int],
    ) -> None:
        from serving.server.grpc_services import add_services
        from serving.server.model_server import ModelServer
        from serving.server.request_scheduling import RequestTurns
        from serving.server.warmup import load_served_model

        options = self.options
        models = ModelServer(
            lambda folder: load_served_model(folder, warmup=options.enable_model_warmup, batching=batching),
            options,
            self._changed.set,
        )
        self._health = add_services(server, models, RequestTurns(*turns))
        if self._rest_api_port is not None:
            from serving.server.rest_server import PROMETHEUS_PATH, RestServer

            self._rest_server = RestServer(
                models,
                host=options.host,
                port=self._rest_api_port,
                timeout_in_ms=options.rest_api_timeout_in_ms,
                prometheus_path=PROMETHEUS_PATH if metrics_path == "" else metrics_path,
            )
            self._rest_api_port = self._rest_server.start()
        try:
            if config.WhichOneof("config") is None:
                log.warning("%s lists no models: nothing is served until it does", options.model_config_file)
            else:
                models.reload_config(config, wait=False)
        except RequestError as error:
            if self._rest_server is not None:
                self._rest_server.stop(0)
            where = "" if options.model_config_file is None else f"{options.model_config_file}: "
            raise ServeError(f"{where}{error.message}") from error
        server.start()
        self._models = models

    def _set_up_tensorflow(self) -> None:
        options = self.options
        if options.intra_op_parallelism or options.inter_op_parallelism:
            try:
                set_parallelism(options.intra_op_parallelism, options.inter_op_parallelism)
            except RuntimeError as error:
                raise ServeError(f"TensorFlow's threads were set before this server started: {error}") from error
        if options.mixed_precision:
            import tensorflow as tf

            tf.config.optimizer.set_experimental_options({"auto_mixed_precision_onednn_bfloat16": True})

    def _wait_for(self, name: str, version: int | None, timeout: float) -> int:
        def wanted(statuses: list[VersionStatus]) -> list[VersionStatus]:
            return [status for status in statuses if version is None or status.version == version]

        def is_decided(statuses: list[VersionStatus]) -> bool:
            return is_any_available(wanted(statuses)) or _has_failed(wanted(statuses))

        self.models.wait_for(name, is_decided, max(0.0, timeout))
        statuses = wanted(self.models.statuses(name))
        available = [status.version for status in statuses if status.state is ServableState.AVAILABLE]
        if available:
            return max(available)
        what = name if version is None else f"version {version} of {name}"
        reports = [f"version {s.version} is {s.state.name} {s.error_message}".rstrip() for s in statuses]
        raise ServeError(f"{what} is not available: {'; '.join(reports) or 'nothing under its base path'}")

    def _follow_health(self) -> None:
        assert self._health is not None
        while not self._stopping.is_set():
            self._changed.clear()
            self._health.tell(self.models.is_available())
            self._changed.wait()

    def _follow_config_file(self) -> None:
        last_complaint = None
        while not self._stopping.wait(self.options.model_config_file_poll_wait_seconds):
            # Applied again even when it did not change: a label may wait for its version.
            try:
                self.models.reload_config(self._read_config(), wait=False)
                complaint = None
            except RequestError as error:
                complaint = f"{self.options.model_config_file}: {error.message}"
            except ServeError as error:
                complaint = str(error)
            if complaint is not None and complaint != last_complaint:
                log.error("the config was not taken: %s", complaint)
            last_complaint = complaint


def _has_failed(statuses: list[VersionStatus]) -> bool:
    return any(status.error_message for status in statuses) and all(
        status.state is ServableState.END for status in statuses
    )


def _add_port(server: grpc.Server, address: str, ssl: "SslConfig | None") -> int:
    if ssl is None:
        return int(server.add_insecure_port(address))
    credentials = grpc.ssl_server_credentials(
        [(ssl.server_key, ssl.server_cert)],
        root_certificates=ssl.custom_ca or None,
        require_client_auth=ssl.client_verify,
    )
    return int(server.add_secure_port(address, credentials))


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
