"""A model server in this process that speaks TensorFlow Serving's gRPC contract; TensorFlow is imported by start()."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Self

import grpc

from serving.server.errors import ServeError
from serving.server.version_manager import State, VersionManager, VersionStatus

if TYPE_CHECKING:
    from serving.server.saved_model import ServedModel

_CHANNEL_OPTIONS = [
    # TensorFlow Serving bounds no message; a batch of large photographs is far above gRPC's 4 MiB.
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # Without this a second server on the same port starts happily and takes half of the requests.
    ("grpc.so_reuseport", 0),
]


class EmbeddedServer:
    """Serves the newest version under a base path; see `VersionManager` for which version that is and when.

    PredictionService (Predict, GetModelMetadata) and ModelService (GetModelStatus) answer on one port, without TLS.
    The port is open from start() on; until a version is available Predict answers NOT_FOUND.

        with EmbeddedServer("colorizer", "models/colorizer") as server:
            server.wait_until_available(timeout=60)
            channel = grpc.insecure_channel(f"localhost:{server.port}")

    Args:
        model_name: the name requests ask for.
        model_base_path: the folder that holds `<integer>/saved_model.pb`; it must exist, it may be empty.
        port: where gRPC answers; 0 takes a free one, which `port` tells after start().
        rest_api_port: must be None, this server speaks gRPC only.
        host: the address to bind; the default is this machine alone, `0.0.0.0` is every network.
        file_system_poll_wait_seconds: time between two looks at the base path; 0 looks once.
        max_num_load_retries: attempts to load a version after a first one that failed.
        load_retry_interval_micros: microseconds between two attempts.
        enable_model_warmup: replay a version's `assets.extra/tf_serving_warmup_requests` before it is available.
        grpc_max_threads: requests worked on at once, others wait; four times the processors if None.
        tensorflow_intra_op_parallelism: threads inside one operation, of the whole process; 0 lets TensorFlow choose.
        tensorflow_inter_op_parallelism: operations at once, of the whole process; 0 lets TensorFlow choose.
    """

    def __init__(
        self,
        model_name: str,
        model_base_path: str | os.PathLike[str],
        port: int = 0,
        rest_api_port: int | None = None,
        *,
        host: str = "127.0.0.1",
        file_system_poll_wait_seconds: float = 1.0,
        max_num_load_retries: int = 5,
        load_retry_interval_micros: int = 60_000_000,
        enable_model_warmup: bool = True,
        grpc_max_threads: int | None = None,
        tensorflow_intra_op_parallelism: int = 0,
        tensorflow_inter_op_parallelism: int = 0,
    ):
        if rest_api_port is not None:
            raise ServeError(f"rest_api_port={rest_api_port}: the embedded server speaks gRPC only, leave it out")
        self.model_name = model_name
        self.model_base_path = Path(model_base_path)
        self._address = f"{host}:{port}" if ":" not in host else f"[{host.strip('[]')}]:{port}"
        self._port = port
        self._enable_model_warmup = enable_model_warmup
        self._grpc_max_threads = grpc_max_threads or 4 * (os.cpu_count() or 1)
        self._intra_op_parallelism = tensorflow_intra_op_parallelism
        self._inter_op_parallelism = tensorflow_inter_op_parallelism
        self._grpc_server: grpc.Server | None = None
        self._versions: VersionManager[ServedModel] = VersionManager(
            model_name,
            self.model_base_path,
            self._load,
            poll_wait_seconds=file_system_poll_wait_seconds,
            max_num_load_retries=max_num_load_retries,
            load_retry_interval=load_retry_interval_micros / 1e6,
        )

    @property
    def port(self) -> int:
        """The port gRPC answers on; the one asked for until start()."""
        return self._port

    def start(self) -> Self:
        """Bind the port, import TensorFlow, begin to look for versions and to answer. Starts once.

        Raises:
            ServeError: the base path is no folder, the port cannot be had, or TensorFlow runs with other parallelism.
        """
        if self._grpc_server is not None:
            raise ServeError("this server was started before; make a new one")
        if not self.model_base_path.is_dir():
            raise ServeError(f"the model base path {self.model_base_path} is not a folder")
        server = grpc.server(
            ThreadPoolExecutor(self._grpc_max_threads, thread_name_prefix="grpc-request"), options=_CHANNEL_OPTIONS
        )
        # Before the import of TensorFlow, which takes seconds: a taken port is told at once.
        try:
            self._port = server.add_insecure_port(self._address)
        except RuntimeError as error:
            raise ServeError(f"cannot listen on {self._address}: the port is in use or not allowed") from error
        self._set_parallelism()
        from tensorflow_serving.apis.model_service_pb2_grpc import add_ModelServiceServicer_to_server
        from tensorflow_serving.apis.prediction_service_pb2_grpc import add_PredictionServiceServicer_to_server

        from serving.server.services import ModelService, PredictionService

        add_PredictionServiceServicer_to_server(PredictionService(self.model_name, self._versions), server)
        add_ModelServiceServicer_to_server(ModelService(self.model_name, self._versions), server)
        server.start()
        self._versions.start()
        self._grpc_server = server
        return self

    def wait_until_available(self, timeout: float = 60.0, version: int | None = None) -> int:
        """Wait until a version, or the given one, can be asked; returns its number.

        Raises:
            ServeError: not within `timeout` seconds, or a version failed to load for good and none is left to hope for.
        """

        def is_wanted(status: VersionStatus) -> bool:
            return version is None or status.version == version

        def is_decided(statuses: list[VersionStatus]) -> bool:
            wanted = [status for status in statuses if is_wanted(status)]
            return any(status.state is State.AVAILABLE for status in wanted) or (
                any(status.error_message for status in wanted) and all(status.state is State.END for status in wanted)
            )

        self._versions.wait_for(is_decided, timeout)
        wanted = [status for status in self._versions.statuses() if is_wanted(status)]
        available = [status.version for status in wanted if status.state is State.AVAILABLE]
        if available:
            return max(available)
        name = self.model_name if version is None else f"version {version} of {self.model_name}"
        reports = [f"version {s.version} is {s.state.name} {s.error_message}".rstrip() for s in wanted]
        raise ServeError(f"{name} is not available: {'; '.join(reports) or f'nothing under {self.model_base_path}'}")

    def statuses(self) -> list[VersionStatus]:
        """Every version seen so far, in the order of their numbers."""
        return self._versions.statuses()

    def is_available(self) -> bool:
        """Whether some version can be asked now."""
        return any(status.state is State.AVAILABLE for status in self.statuses())

    def stop(self, grace: float = 10.0) -> bool:
        """Refuse new requests, let the running ones finish, then drop the model.

        Args:
            grace: seconds for requests, and a load that runs, to come to their end; then requests are cancelled. It
                all takes one second more at the most.

        Returns:
            Whether all of them did. What did not may still run in its thread.
        """
        if self._grpc_server is None:
            return True
        deadline = time.monotonic() + grace
        # grpc waits for the answers to be sent; a handler cut off at the deadline leaves its thread behind.
        self._grpc_server.stop(grace).wait()
        in_time = time.monotonic() < deadline
        return self._versions.stop(max(1.0, deadline - time.monotonic())) and in_time

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()

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

    def _load(self, folder: Path) -> "ServedModel":
        from serving.server.saved_model import ServedModel

        return ServedModel(folder, warmup=self._enable_model_warmup)
