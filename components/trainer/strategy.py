"""Which tf.distribute strategy a run uses, chosen from what the machine has, and why."""

import json
import os

import tensorflow as tf

from serving.client.errors import TintypeError


def choose_strategy(requested: str = "auto") -> tuple[tf.distribute.Strategy, str]:
    """The strategy and a sentence that explains it.

    Args:
        requested: `auto`, `one_device`, `mirrored` or `multi_worker_mirrored`. `auto` follows TF_CONFIG when it names
            more than one worker, else it mirrors over the GPUs when there are several, else it takes one device.

    Raises:
        TintypeError: `multi_worker_mirrored` without a TF_CONFIG that names the workers.
    """
    gpus = tf.config.list_logical_devices("GPU")
    workers = _workers()
    if requested == "multi_worker_mirrored" or (requested == "auto" and workers > 1):
        if workers == 0:
            raise TintypeError("train.strategy multi_worker_mirrored needs TF_CONFIG to name the workers")
        return tf.distribute.MultiWorkerMirroredStrategy(), f"TF_CONFIG names {workers} workers"
    if requested == "mirrored" or (requested == "auto" and len(gpus) > 1):
        devices = gpus or tf.config.list_logical_devices("CPU")
        strategy = tf.distribute.MirroredStrategy([device.name for device in devices])
        return strategy, f"mirrored over {len(devices)} {devices[0].device_type}s"
    if gpus:
        return tf.distribute.OneDeviceStrategy("/GPU:0"), "one GPU"
    return tf.distribute.OneDeviceStrategy("/CPU:0"), "no GPU: the CPU"


def _workers() -> int:
    cluster = json.loads(os.environ.get("TF_CONFIG") or "{}").get("cluster", {})
    return len(cluster.get("worker", [])) + len(cluster.get("chief", []))
