"""What a model server may be told: the flags of tensorflow_model_server, under the same names."""

import os
from dataclasses import dataclass, field
from typing import Any

from serving.server.errors import ServeError

StrPath = str | os.PathLike[str]


def _flag(name: str, help: str, **more: Any) -> dict[str, Any]:
    """Return what `tintype.command_options` has to know: `--name` is spelled as tensorflow_model_server spells it."""
    return {"flag": f"--{name}", "help": help, **more}


# Flags of tensorflow_model_server that are taken and change nothing: what they tune is not here.
FLAGS_WITHOUT_EFFECT = frozenset(
    f"--{name}"
    for name in (
        "enable_per_model_batching_parameters",
        "enable_profiler",
        "enable_signature_method_name_check",
        "flush_filesystem_caches",
        "num_load_threads",
        "num_tflite_interpreters_per_pool",
        "num_tflite_pools",
        "num_unload_threads",
        "per_process_gpu_memory_fraction",
        "prefer_tflite_model",
        "remove_unused_fields_from_bundle_metagraph",
        "skip_initialize_tpu",
        "tensorflow_session_config_file",
        "thread_pool_factory_config_file",
        "xla_cpu_compilation_enabled",
        "xla_gpu_compilation_enabled",
    )
)

# Others of its flags, with the values that are as good as leaving them out: passed over, they would let clients be
# answered less safely, or by another graph, than the operator thinks.
FLAGS_THAT_MUST_BE_OFF = {
    "--platform_config_file": ("",),
    "--saved_model_tags": ("", "serve"),
    "--use_alts_credentials": ("false", "0"),
}


@dataclass(frozen=True)
class ServerOptions:
    """What a model server serves, where it answers, and how.

    Attributes:
        model_name: the name requests ask for.
        model_base_path: the folder that holds `<integer>/saved_model.pb`; it may be empty, or come
            later; also an address that TensorFlow's file systems know (`file://`, `gs://`).
        port: where gRPC answers; 0 takes a free one.
        rest_api_port: where REST answers; 0 takes a free one; None is off.
        host: the address to bind; the default is this machine alone, `0.0.0.0` is every network.
        socket_alone: gRPC answers on the Unix socket and on no port.
        grpc_socket_path: a Unix socket on which gRPC answers too.
        rest_api_timeout_in_ms: milliseconds REST waits for an answer.
        rest_api_num_threads: REST requests worked on at once; 0 is four times the processors.
        rest_api_enable_cors_support: let the pages of other sites ask REST.
        model_config_file: a ModelServerConfig in text format, in place of `model_name` and `model_base_path`.
        model_config_file_poll_wait_seconds: time between two readings of that file; 0 reads it once.
        keep_last_version: never unload the last version that can be asked, even when all folders vanish.
        file_system_poll_wait_seconds: time between two looks at the base paths; 0 looks once.
        max_num_load_retries: attempts to load a version after a first one that failed.
        load_retry_interval_micros: microseconds between two attempts; negative: none.
        enable_batching: run requests that arrive together in one go.
        batching_parameters_file: BatchingParameters in text format; needs `enable_batching`.
        enable_model_warmup: replay a version's `assets.extra/tf_serving_warmup_requests` before it is available.
        num_request_iterations_for_warmup: how often each of those requests is replayed; 0 is once.
        ssl_config_file: an SSLConfig in text format; without it gRPC answers in the clear.
        monitoring_config_file: a MonitoringConfig in text format, which can turn on metrics for Prometheus on REST.
        enable_grpc_healthcheck_service: answer grpc.health.v1 on the gRPC port.
        grpc_channel_arguments: further arguments of the gRPC server, as `name=value,name=value`.
        grpc_max_threads: requests worked on at once; 0 is four times the processors. Sixteen times as many may wait,
            the others are refused with RESOURCE_EXHAUSTED. With batching they wait in the queue of batches, which
            refuses with UNAVAILABLE what is beyond its `max_enqueued_batches`.
        allow_version_labels_for_unavailable_models: let a label that is new name a version that is not available.
        tensorflow_session_parallelism: both of the following in one.
        tensorflow_intra_op_parallelism: threads inside one operation, of the whole process; 0 lets TensorFlow choose.
        tensorflow_inter_op_parallelism: operations at once, of the whole process; 0 lets TensorFlow choose.
        enable_serialization_as_tensor_content: Predict answers numbers as raw bytes in place of typed fields.
        mixed_precision: "bfloat16" lets TensorFlow compute in 16 bits where the numbers allow it, in the whole process.

    Raises:
        ServeError: options that exclude each other.
    """

    model_name: str = field(
        default="",
        metadata=_flag(
            "model_name", "The name requests ask for; tensorflow_model_server's default would be 'default'."
        ),
    )
    model_base_path: StrPath | None = field(
        default=None,
        metadata=_flag(
            "model_base_path",
            "Folder with one folder per version: <integer>/saved_model.pb. "
            "[default: the generator that comes with Tintype]",
            type=str | None,
            show_default=False,
        ),
    )
    port: int = field(default=0, metadata=_flag("port", "gRPC port; 0 takes a free one.", min=0, max=65535))
    rest_api_port: int | None = field(
        default=None,
        metadata=_flag(
            "rest_api_port",
            "HTTP/REST port; 0: no REST. [default: 0]",
            type=int,
            convert=lambda port: port or None,
            show_default=False,
            min=0,
            max=65535,
            unset=True,
        ),
    )
    host: str = field(default="127.0.0.1", metadata=_flag("host", "Address to bind; 127.0.0.1 for this machine alone."))
    socket_alone: bool = False
    grpc_socket_path: StrPath | None = field(
        default=None, metadata=_flag("grpc_socket_path", "Unix socket on which gRPC answers too.", type=str | None)
    )
    rest_api_timeout_in_ms: int = field(
        default=30_000, metadata=_flag("rest_api_timeout_in_ms", "Milliseconds REST waits for an answer.", min=0)
    )
    rest_api_num_threads: int = field(
        default=0,
        metadata=_flag("rest_api_num_threads", "REST requests at once; 0: four times the processors.", min=0),
    )
    rest_api_enable_cors_support: bool = field(
        default=False,
        metadata=_flag(
            "rest_api_enable_cors_support", "Let the pages of other sites ask REST (CORS).", takes_value=True
        ),
    )
    model_config_file: StrPath | None = field(
        default=None,
        metadata=_flag(
            "model_config_file",
            "ModelServerConfig in text format: several models, version policies, labels. "
            "--model_name and --model_base_path are then ignored.",
            type=str | None,
        ),
    )
    model_config_file_poll_wait_seconds: float = field(
        default=0.0,
        metadata=_flag(
            "model_config_file_poll_wait_seconds", "Between two readings of that file; 0 reads it once.", min=0
        ),
    )
    keep_last_version: bool = field(
        default=False,
        metadata=_flag(
            "keep_last_version",
            "Keep the last version that answers, also when the folders of all versions vanish; ours.",
            takes_value=True,
        ),
    )
    file_system_poll_wait_seconds: float = field(
        default=1.0,
        metadata=_flag("file_system_poll_wait_seconds", "Between two looks for versions; 0 looks once.", min=0),
    )
    max_num_load_retries: int = field(
        default=5, metadata=_flag("max_num_load_retries", "Attempts to load a version after a failed first.", min=0)
    )
    load_retry_interval_micros: int = field(
        default=60_000_000,
        metadata=_flag("load_retry_interval_micros", "Between two attempts, in microseconds; negative: no wait."),
    )
    enable_batching: bool = field(
        default=False,
        metadata=_flag("enable_batching", "Run requests that arrive together in one go.", takes_value=True),
    )
    batching_parameters_file: StrPath | None = field(
        default=None,
        metadata=_flag(
            "batching_parameters_file", "BatchingParameters in text format; needs --enable_batching.", type=str | None
        ),
    )
    enable_model_warmup: bool = field(
        default=True,
        metadata=_flag(
            "enable_model_warmup",
            "Replay assets.extra/tf_serving_warmup_requests before a version is available.",
            takes_value=True,
        ),
    )
    num_request_iterations_for_warmup: int = field(
        default=0,
        metadata=_flag("num_request_iterations_for_warmup", "How often each of them is replayed; 0: once.", min=0),
    )
    ssl_config_file: StrPath | None = field(
        default=None,
        metadata=_flag("ssl_config_file", "SSLConfig in text format: gRPC answers over TLS alone.", type=str | None),
    )
    monitoring_config_file: StrPath | None = field(
        default=None,
        metadata=_flag(
            "monitoring_config_file", "MonitoringConfig in text format: Prometheus on the REST port.", type=str | None
        ),
    )
    enable_grpc_healthcheck_service: bool = field(
        default=False,
        metadata=_flag(
            "enable_grpc_healthcheck_service", "Answer the health protocol of gRPC, grpc.health.v1.", takes_value=True
        ),
    )
    grpc_channel_arguments: str = field(
        default="",
        metadata=_flag(
            "grpc_channel_arguments", "Arguments of the gRPC server, e.g. grpc.max_connection_age_ms=2000,..."
        ),
    )
    grpc_max_threads: int = field(
        default=0, metadata=_flag("grpc_max_threads", "Requests at once; 0: four times the processors.", min=0)
    )
    allow_version_labels_for_unavailable_models: bool = field(
        default=False,
        metadata=_flag(
            "allow_version_labels_for_unavailable_models",
            "Let a new label name a version that is not available yet; needed for labels in the config file at start.",
            takes_value=True,
        ),
    )
    tensorflow_session_parallelism: int = field(
        default=0, metadata=_flag("tensorflow_session_parallelism", "Both of the next in one; 0: automatic.", min=0)
    )
    tensorflow_intra_op_parallelism: int = field(
        default=0, metadata=_flag("tensorflow_intra_op_parallelism", "Threads in one operation; 0: automatic.", min=0)
    )
    tensorflow_inter_op_parallelism: int = field(
        default=0, metadata=_flag("tensorflow_inter_op_parallelism", "Operations at once; 0: automatic.", min=0)
    )
    enable_serialization_as_tensor_content: bool = field(
        default=False,
        metadata=_flag(
            "enable_serialization_as_tensor_content",
            "Predict answers numbers as raw bytes (tensor_content) in place of typed fields (float_val...): quicker.",
            takes_value=True,
        ),
    )
    mixed_precision: str = field(
        default="",
        metadata=_flag(
            "mixed_precision",
            "bfloat16: compute in 16 bits where the numbers allow it; quick in batches on CPUs with AMX.",
        ),
    )

    def __post_init__(self) -> None:
        if self.batching_parameters_file is not None and not self.enable_batching:
            raise ServeError("batching_parameters_file is set without setting enable_batching to true")
        if self.tensorflow_session_parallelism and (
            self.tensorflow_intra_op_parallelism or self.tensorflow_inter_op_parallelism
        ):
            raise ServeError(
                "Either configure tensorflow_session_parallelism or (tensorflow_intra_op_parallelism, "
                "tensorflow_inter_op_parallelism) separately. You cannot configure all."
            )
        if self.mixed_precision not in ("", "bfloat16"):
            raise ServeError(f"mixed_precision must be bfloat16 or nothing, got {self.mixed_precision!r}")

    @property
    def intra_op_parallelism(self) -> int:
        """Threads inside one operation; 0 lets TensorFlow choose."""
        return self.tensorflow_intra_op_parallelism or self.tensorflow_session_parallelism

    @property
    def inter_op_parallelism(self) -> int:
        """Operations at once; 0 lets TensorFlow choose."""
        return self.tensorflow_inter_op_parallelism or self.tensorflow_session_parallelism

    @property
    def request_threads(self) -> int:
        """Requests worked on at once."""
        return self.grpc_max_threads or 4 * (os.cpu_count() or 1)  # TensorFlow Serving's default
