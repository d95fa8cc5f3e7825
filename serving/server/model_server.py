"""What the server does whatever the transport: models come and go by a config, requests find their version and run."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from tensorflow_serving.apis.classification_pb2 import ClassificationRequest, ClassificationResponse
from tensorflow_serving.apis.get_model_metadata_pb2 import (
    GetModelMetadataRequest,
    GetModelMetadataResponse,
    SignatureDefMap,
)
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest, GetModelStatusResponse
from tensorflow_serving.apis.inference_pb2 import MultiInferenceRequest, MultiInferenceResponse
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.apis.predict_pb2 import PredictRequest, PredictResponse
from tensorflow_serving.apis.regression_pb2 import RegressionRequest, RegressionResponse
from tensorflow_serving.config.model_server_config_pb2 import ModelConfig, ModelServerConfig

from serving.model.version_folders import without_file_scheme
from serving.server import classification
from serving.server.errors import RequestError, invalid
from serving.server.model_config import models_of, policy_of
from serving.server.monitoring import ServerMetrics
from serving.server.options import ServerOptions
from serving.server.request_logging import RequestLog
from serving.server.served_model import ServedModel
from serving.server.version_manager import VersionManager, VersionUnavailableError
from serving.server.version_of_request import model_spec_of, version_asked_for
from serving.server.version_status import ServableState, VersionStatus, is_any_available

log = logging.getLogger(__name__)

_SIGNATURE_DEF = "signature_def"


class ModelServer:
    """The models of the present config and the calls on them, safe to use from any number of threads.

    A request names its model and, if it likes, a version or a label; without either the greatest available version
    answers. The answer's `model_spec` tells the name, the version and the signature that answered. Every call raises
    `RequestError` with TensorFlow Serving's status code and words.

    Attributes:
        metrics: what the transports and this server count.

    Args:
        load: makes a servable model from a version's folder; any exception is a failed load. It is never called twice
            at a time.
        options: how often base paths are looked at, how often a load is tried again, what labels may name.
        on_change: called at every change of a version's state; it must return at once and must not call this server.
    """

    def __init__(
        self, load: Callable[[str], ServedModel], options: ServerOptions, on_change: Callable[[], None] = lambda: None
    ):
        self.metrics = ServerMetrics()
        self._load = load
        self._options = options
        self._on_change = on_change
        self._reloading = threading.Lock()  # one config at a time
        self._loading = threading.Lock()  # TensorFlow's loader keeps state of its own between its steps
        # Replaced as wholes, never changed in place: a request reads them without a lock.
        self._models: dict[str, VersionManager[ServedModel]] = {}
        self._labels: dict[str, dict[str, int]] = {}
        self._logs: dict[str, RequestLog] = {}
        self._retired: dict[str, VersionManager[ServedModel]] = {}

    def predict(self, request: PredictRequest, *, as_content: bool | None = None) -> PredictResponse:
        """Run the signature that the request names, `serving_default` if it names none.

        Args:
            request: its inputs by name.
            as_content: numeric outputs as raw bytes in `tensor_content`, or in typed fields; None: as the server's
                `enable_serialization_as_tensor_content` says.

        Raises:
            RequestError: INVALID_ARGUMENT for inputs or an output filter that do not fit, FAILED_PRECONDITION for an
                unknown signature, NOT_FOUND for an unknown model or version, else the code of the TensorFlow error.
        """
        with self._lend(request) as (name, version, model), self._timed(name, version, "Predict"):
            response = model.predict(
                request,
                as_content=self._options.enable_serialization_as_tensor_content if as_content is None else as_content,
            )
        _write_spec(response.model_spec, name, version)
        self._keep("predict_log", response.model_spec, request, response)
        return response

    def classify(self, request: ClassificationRequest) -> ClassificationResponse:
        """Run a classification signature on the request's examples.

        Raises:
            RequestError: as `predict()`.
        """
        with self._lend(request) as (name, version, model):
            with self._timed(name, version, "Classify"):
                response = classification.classify(model, request)
            self.metrics.observe_examples(name, classification.example_count(request.input))
        _write_spec(response.model_spec, name, version)
        self._keep("classify_log", response.model_spec, request, response)
        return response

    def regress(self, request: RegressionRequest) -> RegressionResponse:
        """Run a regression signature on the request's examples.

        Raises:
            RequestError: as `predict()`.
        """
        with self._lend(request) as (name, version, model):
            with self._timed(name, version, "Regress"):
                response = classification.regress(model, request)
            self.metrics.observe_examples(name, classification.example_count(request.input))
        _write_spec(response.model_spec, name, version)
        self._keep("regress_log", response.model_spec, request, response)
        return response

    def multi_inference(self, request: MultiInferenceRequest) -> MultiInferenceResponse:
        """Run several classification and regression signatures of one model on the same examples.

        The model and its version are those of the first task.

        Raises:
            RequestError: as `predict()`.
        """
        spec = request.tasks[0].model_spec if request.tasks else ModelSpec()
        with self._lend_for(spec) as (name, version, model):
            with self._timed(name, version, "MultiInference"):
                response = classification.multi_inference(model, request)
            self.metrics.observe_examples(name, classification.example_count(request.input))
        for result in response.results:
            _write_spec(result.model_spec, name, version)
        if response.results:
            self._keep("multi_inference_log", response.results[0].model_spec, request, response)
        return response

    def get_model_metadata(self, request: GetModelMetadataRequest) -> GetModelMetadataResponse:
        """Return the signatures of a version; the one `metadata_field` there is is `signature_def`.

        Raises:
            RequestError: INVALID_ARGUMENT for no or another field, NOT_FOUND for an unknown model or version.
        """
        model_spec_of(request)
        if not request.metadata_field:
            raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != _SIGNATURE_DEF:
                raise invalid(f"Metadata field {field} is not supported")
        with self._lend(request) as (name, version, model):
            signatures = SignatureDefMap(signature_def=model.signature_defs)
        response = GetModelMetadataResponse()
        _write_spec(response.model_spec, name, version)
        response.metadata[_SIGNATURE_DEF].Pack(signatures)
        return response

    def get_model_status(self, request: GetModelStatusRequest) -> GetModelStatusResponse:
        """Return the state of every version known of a model, of one version, or of the version that has a label.

        Versions of a model that a new config left out are still told; the newest comes first.

        Raises:
            RequestError: NOT_FOUND for a model or version never seen, INVALID_ARGUMENT for an unknown label.
        """
        spec = model_spec_of(request)
        name, version = spec.name, self._version_asked_for(spec)
        known = self.statuses(name)
        if version is not None:
            known = [status for status in known if status.version == version]
            if not known:
                raise RequestError(grpc.StatusCode.NOT_FOUND, f"Could not find version {version} of model {name}")
        if not known:
            raise RequestError(grpc.StatusCode.NOT_FOUND, f"Could not find any versions of model {name}")
        response = GetModelStatusResponse()
        for status in reversed(known):
            entry = response.model_version_status.add(version=status.version, state=int(status.state))
            entry.status.error_code = status.error_code
            entry.status.error_message = status.error_message
        return response

    def reload_config(self, config: ModelServerConfig, *, timeout: float | None = None, wait: bool = True) -> None:
        """Serve the models of `config` and no others, and wait until those that are new can be asked.

        A model that was there before keeps its versions as far as its policy still asks for them; one that is left
        out is unloaded after its last request. A config that is refused changes nothing. When a new model does not
        become available the config holds all the same, as TensorFlow Serving does it.

        Args:
            config: its `model_config_list` with absolute base paths.
            timeout: seconds to wait for the new models; None waits until it is clear what becomes of them.
            wait: whether to wait for the new models at all.

        Raises:
            RequestError: INVALID_ARGUMENT for a config that cannot be, FAILED_PRECONDITION for a label of a version
                that is not available, UNKNOWN when a new model did not become available, DEADLINE_EXCEEDED when it
                was not clear in time.
        """
        with self._reloading:
            new = self._apply(config)
        if not wait:
            return
        deadline = None if timeout is None else time.monotonic() + timeout
        for name, manager in new.items():
            remaining = threading.TIMEOUT_MAX if deadline is None else max(0.0, deadline - time.monotonic())
            if not manager.wait_for(_is_decided, remaining):
                raise RequestError(
                    grpc.StatusCode.DEADLINE_EXCEEDED, f"model {name} was not available within {timeout:g} s"
                )
        failed = [name for name, manager in new.items() if not is_any_available(manager.statuses())]
        if failed:
            raise RequestError(
                grpc.StatusCode.UNKNOWN,
                f"{len(failed)} model(s) did not become available: {{{', '.join(map(self._failure, failed))}}}",
            )

    def model_names(self) -> list[str]:
        """The models of the present config, in its order."""
        return list(self._models)

    def statuses(self, name: str) -> list[VersionStatus]:
        """Every version seen so far of a model, in the order of their numbers; none for an unknown model."""
        manager = self._models.get(name) or self._retired.get(name)
        return manager.statuses() if manager is not None else []

    def is_available(self) -> bool:
        """Whether there are models, and each of them has a version that can be asked."""
        models = self._models
        return bool(models) and all(is_any_available(manager.statuses()) for manager in models.values())

    def wait_for(self, name: str, condition: Callable[[list[VersionStatus]], bool], timeout: float) -> bool:
        """Wait until `condition` holds for a model's statuses; returns whether it did within `timeout` seconds."""
        manager = self._models.get(name)
        return manager.wait_for(condition, timeout) if manager is not None else condition([])

    def stop(self, timeout: float = 10.0) -> bool:
        """Drop every model and end its log; returns whether all loads that ran ended within `timeout` seconds."""
        for kept in self._logs.values():
            kept.close()
        deadline = time.monotonic() + timeout
        in_time = True
        for manager in [*self._models.values(), *self._retired.values()]:
            in_time &= manager.stop(max(0.1, deadline - time.monotonic()))
        return in_time

    def _apply(self, config: ModelServerConfig) -> dict[str, VersionManager[ServedModel]]:
        """Change the models to those of `config`; returns the ones that are new."""
        wanted = models_of(config)
        policies = {name: policy_of(model) for name, model in wanted.items()}
        labels = {name: self._checked_labels(model) for name, model in wanted.items()}
        logs = {name: self._log_of(model) for name, model in wanted.items() if model.HasField("logging_config")}

        managers: dict[str, VersionManager[ServedModel]] = {}
        new: dict[str, VersionManager[ServedModel]] = {}
        for name, model in wanted.items():
            known = self._models.get(name)
            if known is not None:
                managers[name] = known
            else:
                log.info("adding model %s under %s", name, model.base_path)
                managers[name] = new[name] = VersionManager(
                    name,
                    without_file_scheme(model.base_path),
                    self._load_one,
                    policy=policies[name],
                    poll_wait_seconds=self._options.file_system_poll_wait_seconds,
                    max_num_load_retries=self._options.max_num_load_retries,
                    load_retry_interval=max(0, self._options.load_retry_interval_micros) / 1e6,
                    keep_last=self._options.keep_last_version,
                    on_change=self._on_change,
                )
        removed = {name: manager for name, manager in self._models.items() if name not in wanted}
        self._labels = labels
        self._models = managers
        replaced = [kept for name, kept in self._logs.items() if logs.get(name) is not kept]
        self._logs = logs
        for old in replaced:
            old.close()
        self._retired = {**{k: v for k, v in self._retired.items() if k not in wanted}, **removed}
        for name, manager in removed.items():
            log.info("removing model %s", name)
            manager.retire()
        for name, manager in managers.items():
            if name in new:
                manager.start()
            else:
                manager.reconfigure(without_file_scheme(wanted[name].base_path), policies[name])
        self._on_change()
        return new

    def _log_of(self, model: ModelConfig) -> RequestLog:
        present = self._logs.get(model.name)
        if present is not None and present.config == model.logging_config:
            return present
        return RequestLog(model.logging_config)

    def _checked_labels(self, model: ModelConfig) -> dict[str, int]:
        available = {status.version for status in self.statuses(model.name) if status.state is ServableState.AVAILABLE}
        present = self._labels.get(model.name, {})
        for label, version in model.version_labels.items():
            # A label in use may move to an available version only, whatever the flag says: its users must not fail.
            may_be_unavailable = (
                self._options.allow_version_labels_for_unavailable_models and present.get(label, version) == version
            )
            if version not in available and not may_be_unavailable:
                raise RequestError(
                    grpc.StatusCode.FAILED_PRECONDITION,
                    f"Request to assign label to version {version} of model {model.name}, "
                    "which is not currently available for inference",
                )
        return dict(model.version_labels)

    def _load_one(self, folder: str) -> ServedModel:
        with self._loading:
            started = time.monotonic()
            status = "fail"
            try:
                model = self._load(folder)
                status = "success"
                if model.warmup_seconds is not None:
                    self.metrics.observe_warmup(folder, model.warmup_seconds, "OK")
                return model
            finally:
                self.metrics.observe_load(folder, time.monotonic() - started, status)

    @contextmanager
    def _timed(self, name: str, version: int, api: str) -> Iterator[None]:
        started = time.perf_counter()
        status = grpc.StatusCode.INTERNAL
        try:
            yield
            status = grpc.StatusCode.OK
            self.metrics.observe_runtime(name, api, time.perf_counter() - started)
        except RequestError as error:
            status = error.code
            raise
        finally:
            self.metrics.observe_version(name, version, status.name, time.perf_counter() - started)

    def _keep(self, kind: str, spec: ModelSpec, request: Any, response: Any) -> None:
        if (kept := self._logs.get(spec.name)) is not None:
            kept.keep(kind, spec, request, response)

    def _failure(self, name: str) -> str:
        return ", ".join(
            f"{{{{name: {name} version: {status.version}}} due to error: {status.error_message}}}"
            for status in self.statuses(name)
            if status.error_message
        )

    def _version_asked_for(self, spec: ModelSpec) -> int | None:
        return version_asked_for(spec, self._labels.get(spec.name, {}))

    @contextmanager
    def _lend(self, request: Any) -> Iterator[tuple[str, int, ServedModel]]:
        with self._lend_for(model_spec_of(request)) as lent:
            yield lent

    @contextmanager
    def _lend_for(self, spec: ModelSpec) -> Iterator[tuple[str, int, ServedModel]]:
        name, wanted = spec.name, self._version_asked_for(spec)
        manager = self._models.get(name)
        try:
            if manager is None:
                raise VersionUnavailableError
            with manager.serve(wanted) as (version, model):
                yield name, version, model
        except VersionUnavailableError:
            which = f"Latest({name})" if wanted is None else f"Specific({name}, {wanted})"
            raise RequestError(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {which}") from None


def _write_spec(spec: ModelSpec, name: str, version: int) -> None:
    spec.name = name
    spec.version.value = version


def _is_decided(statuses: list[VersionStatus]) -> bool:
    if not statuses:
        return False  # nothing under its base path yet: it is waited for
    return is_any_available(statuses) or all(status.state is ServableState.END for status in statuses)
