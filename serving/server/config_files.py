"""Reads TensorFlow Serving's text-format files: models, batching, TLS and monitoring. Does not import TensorFlow."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pool, message_factory, text_format, wrappers_pb2
from google.protobuf.message import Message
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from serving.proto_messages import Declarations, file_of_messages
from serving.server.errors import ServeError

_FILE, _PACKAGE = "serving/server/config_files.proto", "tensorflow.serving"

# tensorflow-serving-api comes without these messages; only their text form is read, so the numbers are free.
_MESSAGES: Declarations = {
    "BatchingParameters": [
        ("max_batch_size", "google.protobuf.Int64Value", 1),
        ("batch_timeout_micros", "google.protobuf.Int64Value", 2),
        ("max_enqueued_batches", "google.protobuf.Int64Value", 3),
        ("num_batch_threads", "google.protobuf.Int64Value", 4),
        ("thread_pool_name", "google.protobuf.StringValue", 5),
        ("allowed_batch_sizes", "repeated int64", 6),
        ("pad_variable_length_inputs", "bool", 7),
        ("enable_large_batch_splitting", "google.protobuf.BoolValue", 8),
        ("max_execution_batch_size", "google.protobuf.Int64Value", 9),
    ],
    "SSLConfig": [
        ("server_key", "string", 1),
        ("server_cert", "string", 2),
        ("custom_ca", "string", 3),
        ("client_verify", "bool", 4),
    ],
    "PrometheusConfig": [("enable", "bool", 1), ("path", "string", 2)],
    "MonitoringConfig": [("prometheus_config", "PrometheusConfig", 1)],
}


@dataclass(frozen=True)
class BatchingParameters:
    """How requests are put together; the defaults are TensorFlow Serving's.

    Attributes:
        max_batch_size: rows of one batch, and the most that one request may bring unless it may be split.
        batch_timeout_micros: microseconds a batch that is not full waits for more once a thread is free for it.
        max_enqueued_batches: batches that may wait for a thread; a request beyond them is refused with UNAVAILABLE.
        num_batch_threads: batches worked on at once, of all models together.
        allowed_batch_sizes: if any, a batch is filled up with copied rows to the next of these sizes.
        enable_large_batch_splitting: whether a request may be split over several batches.
        max_execution_batch_size: rows of one batch where requests may be split.
    """

    max_batch_size: int = 1000
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 10
    num_batch_threads: int = field(default_factory=lambda: os.cpu_count() or 1)
    allowed_batch_sizes: tuple[int, ...] = ()
    enable_large_batch_splitting: bool = False
    max_execution_batch_size: int | None = None

    def __post_init__(self) -> None:
        for name in ("max_batch_size", "max_enqueued_batches", "num_batch_threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be positive, received {getattr(self, name)}")
        if self.batch_timeout_micros < 0:
            raise ValueError(f"batch_timeout_micros must not be negative, received {self.batch_timeout_micros}")
        if self.max_execution_batch_size is not None and not (
            self.enable_large_batch_splitting and 1 <= self.max_execution_batch_size <= self.max_batch_size
        ):
            raise ValueError(
                "max_execution_batch_size needs enable_large_batch_splitting and must be from 1 to max_batch_size "
                f"({self.max_batch_size}), received {self.max_execution_batch_size}"
            )
        sizes = self.allowed_batch_sizes
        if list(sizes) != sorted(set(sizes)) or min(sizes, default=1) < 1:
            raise ValueError(f"allowed_batch_sizes must be positive and increase, received {list(sizes)}")
        if sizes and sizes[-1] != self.execution_batch_size:
            raise ValueError(
                f"Last entry in allowed_batch_sizes must match max_batch_size; last entry was {sizes[-1]}; "
                f"expected {self.execution_batch_size}"
            )

    @property
    def execution_batch_size(self) -> int:
        """Rows of the largest batch that is run."""
        return self.max_execution_batch_size or self.max_batch_size


@dataclass(frozen=True)
class SslConfig:
    """The server's side of TLS; keys and certificates as PEM.

    Attributes:
        server_key: the private key.
        server_cert: the certificate chain.
        custom_ca: the authority that client certificates are checked against; the system's ones if empty.
        client_verify: refuse clients without a valid certificate.
    """

    server_key: bytes
    server_cert: bytes
    custom_ca: bytes = b""
    client_verify: bool = False


def read_model_server_config(path: str | os.PathLike[str]) -> ModelServerConfig:
    """Read a `--model_config_file`.

    Raises:
        ServeError: the file cannot be read or is no ModelServerConfig in text format.
    """
    return _parse(path, ModelServerConfig())


def read_batching_parameters(path: str | os.PathLike[str]) -> BatchingParameters:
    """Read a `--batching_parameters_file`; `thread_pool_name` is accepted and has no effect.

    Raises:
        ServeError: the file cannot be read, is no BatchingParameters in text format or asks for what cannot be.
    """
    message = _parse(path, _message("BatchingParameters"))
    if message.pad_variable_length_inputs:
        raise ServeError(f"{path}: pad_variable_length_inputs is not supported; send inputs of one shape")
    given: dict[str, Any] = {
        described.name: value.value for described, value in message.ListFields() if described.message_type is not None
    }
    given.pop("thread_pool_name", None)
    try:
        return BatchingParameters(**given, allowed_batch_sizes=tuple(message.allowed_batch_sizes))
    except ValueError as error:
        raise ServeError(f"{path}: {error}") from error


def read_ssl_config(path: str | os.PathLike[str]) -> SslConfig:
    """Read an `--ssl_config_file`.

    Raises:
        ServeError: the file cannot be read, is no SSLConfig in text format, or lacks the key or the certificate.
    """
    message = _parse(path, _message("SSLConfig"))
    if not (message.server_key and message.server_cert):
        raise ServeError(f"{path}: server_key and server_cert must both be given, as PEM")
    return SslConfig(
        message.server_key.encode(), message.server_cert.encode(), message.custom_ca.encode(), message.client_verify
    )


def read_metrics_path(path: str | os.PathLike[str]) -> str | None:
    """Read a `--monitoring_config_file`.

    Returns:
        Where REST shows the metrics for Prometheus: empty for the usual place, None for nowhere.

    Raises:
        ServeError: the file cannot be read, is no MonitoringConfig in text format, or the path has no slash in front.
    """
    prometheus = _parse(path, _message("MonitoringConfig")).prometheus_config
    if not prometheus.enable:
        return None
    if prometheus.path and not prometheus.path.startswith("/"):
        raise ServeError(f"{path}: prometheus_config's path must begin with '/', received {prometheus.path!r}")
    return str(prometheus.path)


def _parse(path: str | os.PathLike[str], message: Any) -> Any:
    try:
        return text_format.Parse(Path(path).read_text(encoding="utf-8"), message)
    except OSError as error:
        raise ServeError(f"cannot read {path}: {error.strerror or error}") from error
    except (text_format.ParseError, UnicodeDecodeError) as error:
        name = message.DESCRIPTOR.full_name
        raise ServeError(f"Invalid protobuf file: '{path}': Error parsing text-format {name}: {error}") from error


def _message(name: str) -> Message:
    # A pool of its own: the process may hold TensorFlow Serving's messages in the default one.
    pool = descriptor_pool.DescriptorPool()
    wrappers = wrappers_pb2.DESCRIPTOR
    pool.AddSerializedFile(wrappers.serialized_pb)
    file = file_of_messages(_FILE, _PACKAGE, _MESSAGES, dependencies=[wrappers.name])
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))()
