"""The server's metrics under TensorFlow Serving's names, written as its Prometheus exporter writes them.

prometheus-client counts; its own text is not used, because it ends the names of counters in `_total`, sorts the labels
and adds series of its own, which dashboards and alerts made for TensorFlow Serving do not know.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

# The limits that TensorFlow Serving gives its histograms: of latencies in microseconds (up to about 20 minutes), and of
# the number of examples in a request.
_LATENCY_LIMITS = [10 * 1.8**exponent for exponent in range(33)]
_EXAMPLE_COUNT_LIMITS = [2**exponent for exponent in range(15)]

# Clients choose the name they ask for, and every name is a few dozen series that stay: the rest share one name.
_MAX_MODEL_NAMES = 1000
_OTHER_MODELS = "(others)"


class ServerMetrics:
    """What one server counts; two servers in a process have one each. Every method may be called from any thread.

    Durations are given in seconds and, as in TensorFlow Serving, exposed in microseconds.

        metrics = ServerMetrics()
        metrics.observe_request("colorizer", "Predict", "GRPC", "OK", 0.012)
        metrics.exposition()
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._model_names: set[str] = set()
        self._lock = threading.Lock()
        # In the order of TensorFlow Serving's page: that of the names.
        self._load_attempt_count = self._counter(
            ":tensorflow:cc:saved_model:load_attempt_count", "model_path", "status"
        )
        self._load_latency = self._counter(":tensorflow:cc:saved_model:load_latency", "model_path")
        self._warmup_latency = self._histogram(":tensorflow:serving:model_warmup_latency", "model_path", "status")
        self._request_count = self._counter(":tensorflow:serving:request_count", "model_name", "status")
        self._example_count_total = self._counter(":tensorflow:serving:request_example_count_total", "model")
        self._example_counts = self._histogram(
            ":tensorflow:serving:request_example_counts", "model", limits=_EXAMPLE_COUNT_LIMITS
        )
        self._request_latency = self._histogram(
            ":tensorflow:serving:request_latency", "model_name", "API", "entrypoint"
        )
        self._runtime_latency = self._histogram(":tensorflow:serving:runtime_latency", "model_name", "API", "runtime")
        # Ours: TensorFlow Serving's series do not say which version answered.
        self._version_request_count = self._counter(
            ":tintype:serving:request_count", "model_name", "model_version", "status"
        )
        self._version_latency = self._histogram(":tintype:serving:runtime_latency", "model_name", "model_version")

    def observe_request(self, model_name: str, api: str, entrypoint: str, status: str, seconds: float) -> None:
        """Count a request that was answered; the latency of those that failed is not kept, as in TensorFlow Serving.

        Args:
            model_name: as the request gave it.
            api: `Predict`, `Classify`, `Regress` or `MultiInference`; over REST the verb as in the address
                (`predict`...), empty for a model's status and metadata.
            entrypoint: `GRPC` or `REST`.
            status: the name of the gRPC status code, `OK` and so on.
            seconds: from the request's arrival to its answer.
        """
        model_name = self._bounded(model_name)
        self._request_count.labels(model_name, status).inc()
        if status == "OK":
            self._request_latency.labels(model_name, api, entrypoint).observe(_microseconds(seconds))

    def observe_runtime(self, model_name: str, api: str, seconds: float) -> None:
        """Note the time TensorFlow itself took for a request; `api` as for gRPC, whatever the entrypoint."""
        # TensorFlow Serving names the runtime of SavedModels TF1 whichever version made them.
        self._runtime_latency.labels(self._bounded(model_name), api, "TF1").observe(_microseconds(seconds))

    def observe_version(self, model_name: str, version: int, status: str, seconds: float) -> None:
        """Count a request that a version worked on, and note the time it took where the status is `OK`."""
        self._version_request_count.labels(model_name, str(version), status).inc()
        if status == "OK":
            self._version_latency.labels(model_name, str(version)).observe(_microseconds(seconds))

    def increases(self, names: Iterable[str], since: Mapping[str, int]) -> dict[str, int]:
        """Return how much each counter, over all its labels, is above its value in `since` (0 where it has none).

        Args:
            names: of counters, as Prometheus sees them or as TensorFlow Serving itself calls them
                (`/tensorflow/serving/request_count`); those that there are not stand at 0.
            since: what an earlier call returned.
        """
        totals: dict[str, int] = {}
        for metric in self._registry.collect():
            if metric.type == "counter":
                values = (sample.value for sample in metric.samples if sample.name.endswith("_total"))
                totals[metric.name] = int(sum(values))
        return {name: totals.get(name.replace("/", ":"), 0) - since.get(name, 0) for name in names}

    def observe_examples(self, model_name: str, count: int) -> None:
        """Note the number of tf.train.Examples in a request to classify or regress."""
        model_name = self._bounded(model_name)
        self._example_counts.labels(model_name).observe(count)
        self._example_count_total.labels(model_name).inc(count)

    def observe_load(self, model_path: str, seconds: float, status: str) -> None:
        """Note an attempt to load a version; `status` is `success` or `fail`, and only successes count as latency."""
        self._load_attempt_count.labels(model_path, status).inc()
        if status == "success":
            self._load_latency.labels(model_path).inc(_microseconds(seconds))

    def observe_warmup(self, model_path: str, seconds: float, status: str) -> None:
        """Note a warm-up; `status` is the name of the gRPC status code it ended with."""
        self._warmup_latency.labels(model_path, status).observe(_microseconds(seconds))

    def exposition(self) -> bytes:
        """The page that Prometheus scrapes, in its text format 0.0.4; serve it as `CONTENT_TYPE`."""
        lines: list[str] = []
        for metric in self._registry.collect():
            lines.append(f"# TYPE {metric.name} {metric.type}")
            lines.extend(_sample_line(metric, sample) for sample in _served_samples(metric))
        return ("\n".join(lines) + "\n").encode(errors="backslashreplace")

    def _bounded(self, model_name: str) -> str:
        if model_name in self._model_names:
            return model_name
        with self._lock:
            if len(self._model_names) >= _MAX_MODEL_NAMES:
                return _OTHER_MODELS
            self._model_names.add(model_name)
        return model_name

    def _counter(self, name: str, *labels: str) -> Counter:
        # prometheus-client takes one _total off a counter's name and puts it back: so the rest stays as it is here.
        return Counter(f"{name}_total", name, labels, registry=self._registry)

    def _histogram(self, name: str, *labels: str, limits: list[float] | list[int] = _LATENCY_LIMITS) -> Histogram:
        return Histogram(name, name, labels, registry=self._registry, buckets=limits)


def _served_samples(metric: Metric) -> Iterator[Sample]:
    return (sample for sample in metric.samples if not sample.name.endswith("_created"))


def _sample_line(metric: Metric, sample: Sample) -> str:
    name = sample.name.removesuffix("_total") if metric.type == "counter" else sample.name
    labels = ",".join(f'{label}="{_label_value(label, value)}"' for label, value in sample.labels.items())
    value = int(sample.value) if sample.value.is_integer() else sample.value
    return f"{name}{{{labels}}} {value}"


def _label_value(label: str, value: str) -> str:
    if label == "le" and value != "+Inf":
        return f"{float(value):g}"
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _microseconds(seconds: float) -> int:
    return max(0, round(seconds * 1e6))
