"""A model server in this process that speaks TensorFlow Serving's contract; TensorFlow is imported by start()."""

import logging
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self

import grpc

from photo.errors import TintypeError
from serving.listening_socket import bound_socket
from serving.model.quiet_tensorflow import set_parallelism
from serving.server.errors import RequestError, ServeError
from serving.server.options import ServerOptions, StrPath
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

    Which versions are served, and when they change, `VersionManager` tells. PredictionService, ModelService and, where
    `enable_grpc_healthcheck_service` is set, grpc.health.v1 answer on one port; health is SERVING while every model has
    a version. The ports are taken by start(), and they open, in a thread, when every model has a version for the first
    time: until then clients are refused.

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
        self._base_path = None if options.model_base_path is None else _absolute(options.model_base_path)
        self._channel_options = {**_CHANNEL_OPTIONS, **_channel_arguments(options.grpc_channel_arguments)}
        self._port = options.port
        self._rest_api_port = options.rest_api_port
        self._reserved: list[socket.socket] = []
        self._grpc_server: grpc.Server | None = None
        self._rest_server: RestServer | None = None
        self._models: ModelServer | None = None
        self._health: Health | None = None
        self._changed = threading.Event()  # some version's state
        self._opened = threading.Event()  # the ports, or they could not be
        self._failure: ServeError | None = None
        self._opening = threading.Lock()  # held while the ports are opened; after `_stopping` they are not
        self._stopping = threading.Event()

    @property
    def port(self) -> int:
        """The port gRPC answers on, 0 where it has none; the one asked for until start()."""
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
        """Take the ports, import TensorFlow and begin to look for versions. Starts once.

        Raises:
            ServeError: a file or the config in it is wrong, a port cannot be had, or TensorFlow runs with other
                parallelism.
        """
        if self._models is not None or self._stopping.is_set():
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
        rest_socket = self._reserve_ports()
        log.info("starting: TensorFlow is loaded, then the models")
        try:
            self._set_up_tensorflow()
            self._models = self._loading_models(config, batching)
        except BaseException:
            self._release_ports()
            raise
        threading.Thread(
            target=self._follow_models, args=(batching, ssl, metrics_path, rest_socket), name="models", daemon=True
        ).start()
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
        if not self._opened.wait(max(0.0, deadline - time.monotonic())):
            raise ServeError("the ports are closed until every model has a version")
        if self._failure is not None:
            raise self._failure
        return answers[0]

    def statuses(self, model_name: str | None = None) -> list[VersionStatus]:
        """Every version seen so far of a model, the first one if none is given, in the order of their numbers."""
        if self._models is None:
            return []
        names = self._models.model_names() if model_name is None else [model_name]
        return self._models.statuses(names[0]) if names else []

    def is_open(self) -> bool:
        """Whether the ports are open: every model has had a version that could be asked.

        Raises:
            ServeError: they never will be: a model has failed to load for good, or a port was taken meanwhile.
        """
        if self._failure is not None:
            raise self._failure
        if self._opened.is_set():
            return True
        for name in self.models.model_names():
            if _has_failed(self.models.statuses(name)):
                self._wait_for(name, None, 0)  # raises what failed
        return False

    def stop(self, grace: float = 10.0) -> bool:
        """Be unhealthy, refuse new requests, let the running ones finish, then drop the models.

        Args:
            grace: seconds for requests, and a load that runs, to come to their end; then requests are cancelled. It
                all takes one second more at the most.

        Returns:
            Whether all of them did. What did not may still run in its thread.
        """
        if self._models is None:
            return True
        deadline = time.monotonic() + grace
        self._stopping.set()
        self._changed.set()
        with self._opening:
            self._release_ports()
        stopped = None
        if self._health is not None:
            self._health.shut_down()
        if self._grpc_server is not None:
            # grpc waits for the answers to be sent; a handler cut off at the deadline leaves its thread behind.
            stopped = self._grpc_server.stop(grace)
        if self._rest_server is not None:
            self._rest_server.stop(grace)
        if stopped is not None:
            stopped.wait()
        in_time = time.monotonic() < deadline
        return self._models.stop(max(1.0, deadline - time.monotonic())) and in_time

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
        config = ModelServerConfig()
        config.model_config_list.config.add(
            name=self.options.model_name, base_path=self._base_path, model_platform="tensorflow"
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

    def _reserve_ports(self) -> socket.socket | None:
        """Take the ports, so that nobody else does while models load; returns the socket for REST."""
        host = self.options.host
        try:
            if not self.options.socket_alone:
                reserved = bound_socket(host, self._port, "gRPC", both_families=True)
                self._reserved.append(reserved)
                self._port = reserved.getsockname()[1]
            if self._rest_api_port is None:
                return None
            if self._rest_api_port == self._port:
                log.error(
                    "rest_api_port cannot be the same as port. Please use a different port for HTTP/REST API. "
                    "Skipped exporting HTTP/REST API."
                )
                self._rest_api_port = None
                return None
            rest_socket = bound_socket(host, self._rest_api_port, "REST", both_families=True)
        except TintypeError as error:
            self._release_ports()
            raise ServeError(str(error)) from error
        self._reserved.append(rest_socket)
        self._rest_api_port = rest_socket.getsockname()[1]
        return rest_socket

    def _release_ports(self) -> None:
        while self._reserved:
            self._reserved.pop().close()

    def _loading_models(self, config: "ModelServerConfig", batching: "BatchingParameters | None") -> "ModelServer":
        from serving.server.model_server import ModelServer
        from serving.server.warmup import load_served_model

        options = self.options
        models = ModelServer(
            lambda folder: load_served_model(
                folder,
                warmup=options.enable_model_warmup,
                iterations=options.num_request_iterations_for_warmup or 1,
                batching=batching,
            ),
            options,
            self._changed.set,
        )
        try:
            if config.WhichOneof("config") is None:
                log.warning("%s lists no models: nothing is served until it does", options.model_config_file)
            else:
                models.reload_config(config, wait=False)
        except RequestError as error:
            where = "" if options.model_config_file is None else f"{options.model_config_file}: "
            raise ServeError(f"{where}{error.message}") from error
        return models

    def _open_ports(
        self,
        batching: "BatchingParameters | None",
        ssl: "SslConfig | None",
        metrics_path: str | None,
        rest_socket: socket.socket | None,
    ) -> None:
        from serving.server.grpc_services import add_services
        from serving.server.health import Health
        from serving.server.request_scheduling import RequestTurns

        running, waiting = self._turns(batching)
        threads = running + waiting + _SPARE_THREADS
        server = grpc.server(
            ThreadPoolExecutor(threads, thread_name_prefix="grpc-request"),
            options=list(self._channel_options.items()),
            maximum_concurrent_rpcs=threads + _SPARE_THREADS,
        )
        self._bind(server, ssl)
        if self.options.enable_grpc_healthcheck_service:
            self._health = Health()
            self._health.tell(True)
        add_services(server, self.models, RequestTurns(running, waiting), self._health)
        if rest_socket is not None:
            from serving.server.rest_server import PROMETHEUS_PATH, RestServer

            self._rest_server = RestServer(
                self.models,
                bound=rest_socket,
                timeout_in_ms=self.options.rest_api_timeout_in_ms,
                threads=self.options.rest_api_num_threads or None,
                answers_other_sites=self.options.rest_api_enable_cors_support,
                prometheus_path=PROMETHEUS_PATH if metrics_path == "" else metrics_path,
            )
            self._rest_server.start()
            self._reserved.remove(rest_socket)
        server.start()
        self._grpc_server = server

    def _bind(self, server: grpc.Server, ssl: "SslConfig | None") -> None:
        host = self.options.host
        address = f"{host}:{self._port}" if ":" not in host else f"[{host.strip('[]')}]:{self._port}"
        if not self.options.socket_alone:
            try:
                _add_port(server, address, ssl)
            except (RuntimeError, ValueError) as error:
                raise ServeError(f"cannot serve gRPC on {address}: the port is in use or not allowed") from error
        if self.options.grpc_socket_path is not None:
            try:
                _add_port(server, f"unix:{os.fspath(self.options.grpc_socket_path)}", ssl)
            except (RuntimeError, ValueError) as error:
                raise ServeError(f"cannot listen on the Unix socket {self.options.grpc_socket_path}") from error

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

    def _follow_models(self, *opening: Any) -> None:
        """Open the ports when every model has a version, then tell the health of them."""
        while not self._stopping.is_set():
            self._changed.clear()
            if self._failure is None and not self._opened.is_set() and self._may_open():
                self._open(opening)
            if self._health is not None:
                self._health.tell(self.models.is_available())
            self._changed.wait()

    def _may_open(self) -> bool:
        return self.models.is_available() or not self.models.model_names()

    def _open(self, opening: tuple[Any, ...]) -> None:
        with self._opening:
            if self._stopping.is_set():
                return
            try:
                self._open_ports(*opening)
            except ServeError as error:
                self._failure = error
            self._release_ports()
        self._opened.set()
        if self.options.model_config_file is not None and self.options.model_config_file_poll_wait_seconds > 0:
            threading.Thread(target=self._follow_config_file, name="config-file", daemon=True).start()

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


def _absolute(base_path: StrPath) -> str:
    base_path = os.fspath(base_path)
    # Of now: a process may change its folder.
    return base_path if "://" in base_path else os.path.abspath(base_path)


def _add_port(server: grpc.Server, address: str, ssl: "SslConfig | None") -> None:
    if ssl is None:
        server.add_insecure_port(address)
        return
    credentials = grpc.ssl_server_credentials(
        [(ssl.server_key, ssl.server_cert)],
        root_certificates=ssl.custom_ca or None,
        require_client_auth=ssl.client_verify,
    )
    server.add_secure_port(address, credentials)


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
