"""Keeps a sample of the requests with their answers, as a model's `logging_config` asks.

Imports TensorFlow.
"""

import logging
import os
import random
import threading
import time
from typing import Any

import grpc
import tensorflow as tf
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog
from tensorflow_serving.config.logging_config_pb2 import LoggingConfig

from serving.server.errors import RequestError, invalid, words_of

log = logging.getLogger(__name__)

# TensorFlow Serving as it is published has no collector at all; this is the name of ours.
_COLLECTOR = "tfrecord"


class RequestLog:
    """The log of one model, written from any number of threads.

    The first request that is sampled makes a file, `<filename_prefix>-<UTC time>-<process>.tfrecord`; each record is
    flushed. A log that cannot be written fails no request: it says so once, and ends.

    Args:
        config: `log_collector_config` with the type `tfrecord` (or none) and a `filename_prefix` that is an absolute
            path or an address; `sampling_config` with the share of the requests to keep, 0 where it says none.

    Raises:
        RequestError: NOT_FOUND for another type, INVALID_ARGUMENT for a prefix or a share that cannot be.
    """

    def __init__(self, config: LoggingConfig):
        collector = config.log_collector_config
        prefix, rate = collector.filename_prefix, config.sampling_config.sampling_rate
        if collector.type not in ("", _COLLECTOR):
            words = f"Cannot find LogCollector::Factory for type: {collector.type}"
            raise RequestError(grpc.StatusCode.NOT_FOUND, words)
        if not (prefix.startswith("/") or "://" in prefix):
            raise invalid(
                f"logging_config: filename_prefix must be an absolute path or an address, received {prefix!r}"
            )
        if not 0.0 <= rate <= 1.0:
            raise invalid(f"logging_config: sampling_rate must be from 0 to 1, received {rate:g}")
        self.config = config
        self._lock = threading.Lock()
        self._writer: tf.io.TFRecordWriter | None = None
        self._is_closed = False

    def keep(self, kind: str, spec: ModelSpec, request: Any, response: Any) -> None:
        """Write a request and its answer, if they are of the sample.

        Args:
            kind: the field of PredictionLog: `predict_log`, `classify_log`, `regress_log` or `multi_inference_log`.
            spec: names what answered.
            request: of that kind.
            response: the answer to it.
        """
        if random.random() >= self.config.sampling_config.sampling_rate:
            return
        record = PredictionLog()
        record.log_metadata.model_spec.CopyFrom(spec)
        record.log_metadata.sampling_config.CopyFrom(self.config.sampling_config)
        record.log_metadata.saved_model_tags.append("serve")
        getattr(record, kind).request.CopyFrom(request)
        getattr(record, kind).response.CopyFrom(response)
        content = record.SerializeToString()
        with self._lock:
            if self._is_closed:
                return
            try:
                if self._writer is None:
                    self._writer = tf.io.TFRecordWriter(self._new_path())
                self._writer.write(content)
                self._writer.flush()
            except tf.errors.OpError as error:
                self._is_closed = True
                log.error("requests are logged no more: %s", words_of(error))

    def close(self) -> None:
        """End the file; what is kept later is dropped."""
        with self._lock:
            self._is_closed = True
            if self._writer is not None:
                self._writer.close()

    def _new_path(self) -> str:
        began = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        return f"{self.config.log_collector_config.filename_prefix}-{began}-{os.getpid()}.tfrecord"
