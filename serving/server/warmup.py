"""Loads a version of a model and replays its warm-up requests, before anybody else may ask it. Imports TensorFlow."""

import logging
import time

import tensorflow as tf
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from serving.server import classification
from serving.server.config_files import BatchingParameters
from serving.server.errors import RequestError
from serving.server.served_model import ServedModel

log = logging.getLogger(__name__)

WARMUP_REQUESTS = "assets.extra/tf_serving_warmup_requests"

_MAX_WARMUP_REQUESTS = 1000  # TensorFlow Serving's WarmupConsts::kMaxNumRecords


def load_served_model(
    folder: str, *, warmup: bool = True, iterations: int = 1, batching: BatchingParameters | None = None
) -> ServedModel:
    """Load the SavedModel in `folder`.

    Args:
        folder: of the SavedModel, on any file system TensorFlow knows.
        warmup: replay the requests in `assets.extra/tf_serving_warmup_requests`, if there are any, so that tracing,
            kernel selection and memory growth do not fall on the first real request.
        iterations: how often each of them is replayed.
        batching: run requests that arrive together in one go; None runs each by itself.

    Raises:
        ValueError: a warm-up request cannot be answered, or what `ServedModel` raises.
        tf.errors.OpError, OSError: a file cannot be read.
    """
    model = ServedModel(folder, batching=batching)
    requests = f"{folder.rstrip('/')}/{WARMUP_REQUESTS}"
    if warmup and tf.io.gfile.exists(requests):
        _replay(model, requests, iterations)
    return model


def _replay(model: ServedModel, path: str, iterations: int) -> None:
    started = time.monotonic()
    count = 0
    for record in tf.data.TFRecordDataset(path).as_numpy_iterator():
        count += 1
        if count > _MAX_WARMUP_REQUESTS:
            raise ValueError(f"{path}: more than {_MAX_WARMUP_REQUESTS} warm-up requests")
        try:
            prediction = PredictionLog.FromString(record)
        except Exception as error:
            raise ValueError(f"{path}: record {count} is not a PredictionLog: {error}") from error
        try:
            for _ in range(iterations):
                _replay_one(model, prediction)
        except ValueError as error:
            raise ValueError(f"{path}: record {count}: {error}") from error
        except RequestError as error:
            raise ValueError(f"{path}: request {count} failed: {error.code.name}: {error.message}") from error
    model.warmup_seconds = time.monotonic() - started
    log.info("warmed up with %d requests in %.1f s", count, model.warmup_seconds)


def _replay_one(model: ServedModel, prediction: PredictionLog) -> None:
    match prediction.WhichOneof("log_type"):
        case "predict_log":
            model.predict(prediction.predict_log.request)
        case "classify_log":
            classification.classify(model, prediction.classify_log.request)
        case "regress_log":
            classification.regress(model, prediction.regress_log.request)
        case "multi_inference_log":
            classification.multi_inference(model, prediction.multi_inference_log.request)
        case kind:
            raise ValueError(f"it holds {kind or 'nothing'}, which cannot be replayed")
