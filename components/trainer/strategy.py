"""Which tf.distribute strategy a run uses, chosen from what the machine has, and why."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

from photo.errors import TintypeError

ChosenStrategy = tuple[tf.distribute.Strategy, str]


class WorkerGoneError(TintypeError):
    """Another worker of the job ended before this one was done with it."""


@contextmanager
def others_needed() -> Iterator[None]:
    """Turn what TensorFlow says when a worker is gone into a WorkerGoneError."""
    try:
        yield
    except tf.errors.UnavailableError as error:
        raise WorkerGoneError(
            f"another worker is gone ({error.message.splitlines()[0]}); its own output says why, and the same command "
            "on all workers goes on from the last checkpoint"
        ) from error


def require_gpu() -> None:
    """Refuse to go on where TensorFlow sees no GPU. May come before `choose_strategy`: it asks for no device.

    Raises:
        TintypeError: there is none.
    """
    if not tf.config.list_physical_devices("GPU"):
        raise TintypeError(
            "a GPU is required, and TensorFlow sees none: look at `nvidia-smi`, and whether this is the build with CUDA"
        )


@others_needed()
def choose_strategy(requested: str = "auto") -> ChosenStrategy:
    """The strategy and a sentence that explains it.

    With several workers this has to come before any operation of TensorFlow in the process, and ends when all of them
    have come to it.

    Args:
        requested: `auto`, `one_device`, `mirrored` or `multi_worker_mirrored`. `auto` follows TF_CONFIG when it names
            more than one worker, else it mirrors over the GPUs when there are several, else it takes one device.

    Raises:
        WorkerGoneError: another worker did not come.
        TintypeError: `multi_worker_mirrored` without a TF_CONFIG that names the workers.
    """
    workers = _workers()
    if requested == "multi_worker_mirrored" or (requested == "auto" and workers > 1):
        if workers == 0:
            raise TintypeError("train.strategy multi_worker_mirrored needs TF_CONFIG to name the workers")
        # Before anything asks for the devices: TensorFlow sets up the workers' connections at its very start.
        return tf.distribute.MultiWorkerMirroredStrategy(), f"TF_CONFIG names {workers} workers"
    gpus = tf.config.list_logical_devices("GPU")
    if requested == "mirrored" or (requested == "auto" and len(gpus) > 1):
        devices = gpus or tf.config.list_logical_devices("CPU")
        strategy = tf.distribute.MirroredStrategy([device.name for device in devices])
        return strategy, f"mirrored over {len(devices)} {devices[0].device_type}s"
    if gpus:
        return tf.distribute.OneDeviceStrategy("/GPU:0"), "one GPU"
    return tf.distribute.OneDeviceStrategy("/CPU:0"), "no GPU: the CPU"


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes what all workers share; the only one does."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type:
        return True
    has_chief = "chief" in resolver.cluster_spec().jobs
    return resolver.task_type == "chief" or (not has_chief and resolver.task_id == 0)


def worker_name(strategy: tf.distribute.Strategy) -> str:
    """What tells this worker from the others, fit for a file's name; "" for the only one."""
    resolver = strategy.cluster_resolver
    return f"{resolver.task_type}_{resolver.task_id}" if resolver is not None and resolver.task_type else ""


@others_needed()
def meet(strategy: tf.distribute.Strategy) -> None:
    """Wait until every worker has come here; all have to.

    Raises:
        WorkerGoneError: one ended instead.
    """
    any_worker(strategy, False)


def any_worker(strategy: tf.distribute.Strategy, *flags: bool) -> list[bool]:
    """For each flag whether it is raised in any worker, the same answer in all of them; all have to ask."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return list(flags)
    raised = tf.constant([float(flag) for flag in flags])
    total = strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(lambda: raised), axis=None)
    return [bool(value > 0) for value in total.numpy()]


def mean_over_workers(strategy: tf.distribute.Strategy, value: float) -> float:
    """The mean of what each worker has, the same in all of them; all have to ask."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return value
    mine = tf.constant(value)
    return float(strategy.reduce(tf.distribute.ReduceOp.MEAN, strategy.run(lambda: mine), axis=None))


def _workers() -> int:
    cluster = json.loads(os.environ.get("TF_CONFIG") or "{}").get("cluster", {})
    return len(cluster.get("worker", [])) + len(cluster.get("chief", []))
