"""A SavedModel in each worker process of a batch job."""

import contextlib
import os
import threading

import numpy as np
from apache_beam.io.filesystems import FileSystems
from numpy.typing import NDArray

from photo.errors import TintypeError
from serving.batch.errors import BatchStopped
from serving.batch.file_systems import is_local, literal
from serving.batch.job_options import DEFAULT_BATCH_SIZE
from serving.batch.model_handler import ColorHandler, ModelIdentity
from serving.model.quiet_tensorflow import startup_noise_set_aside
from serving.model.version_folders import SAVED_MODEL_FILE, numbered


class SavedModelHandler(ColorHandler):
    """Loads a SavedModel once in each worker process.

    Args:
        model: the folder of saved_model.pb, or a base path whose newest version is taken; of this machine, or of a
            filesystem that both Beam and TensorFlow know.
        batch_size: squares that the network sees at once.
        threads: of TensorFlow; 1, because a job has a worker process for every core.

    Raises:
        TintypeError: there is no SavedModel.
    """

    def __init__(self, model: str, *, batch_size: int = DEFAULT_BATCH_SIZE, threads: int = 1):
        super().__init__(batch_size)
        self.folder, self.version = _newest_version(model)
        self.threads = threads

    def load_model(self) -> "WorkerModel":
        """Return the process's one copy of the model."""
        return _loaded(self.folder, self.threads)

    def identity(self) -> ModelIdentity:
        """Ask the model itself, which is loaded for it."""
        return ModelIdentity(self.load_model().description, self.version)


class WorkerModel:
    """A SavedModel in this process.

    Attributes:
        description: what it says of itself.

    Raises:
        BatchStopped: the folder holds no model that colours photographs.
    """

    def __init__(self, folder: str, threads: int):
        with startup_noise_set_aside(expected=(TintypeError,)):
            import tensorflow as tf

            from serving.model.saved_colorizer import SavedColorizer

            with contextlib.suppress(RuntimeError):  # TensorFlow runs already, with the threads it was given
                tf.config.threading.set_intra_op_parallelism_threads(threads)
                tf.config.threading.set_inter_op_parallelism_threads(threads)
            try:
                self._colorizer = SavedColorizer(folder)
            except TintypeError as error:
                raise BatchStopped(str(error)) from error
        self.description = self._colorizer.description

    def predict_ab(self, squares: NDArray[np.float32], hints: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Return finite a*b*, [N, S, S, 2], of L* [N, S, S, 1]; raises TintypeError where the model gives others."""
        ab = self._colorizer.predict_ab(squares, hints)
        if not np.isfinite(ab).all():
            raise TintypeError("the model gives colours that are not numbers")
        return ab


_LOADED: dict[str, WorkerModel] = {}
_LOADING = threading.Lock()


def _loaded(folder: str, threads: int) -> WorkerModel:
    """Return the model of this process; another one takes its place, so that a worker never holds two."""
    with _LOADING:
        if folder not in _LOADED:
            _LOADED.clear()
            _LOADED[folder] = WorkerModel(folder, threads)
        return _LOADED[folder]


def _newest_version(model: str) -> tuple[str, str]:
    """Return the folder of saved_model.pb, and the version that its name is."""
    model = model.rstrip("/") or "/"
    if is_local(model):
        model = os.path.abspath(model)
    try:
        own, below = _saved_models(model)
    except (OSError, ValueError) as error:
        raise TintypeError(f"cannot look for a model in {model}: {error}") from error
    if own:
        version = model.rpartition("/")[2]
        return model, version if version.isdigit() else ""
    versions = numbered(below)
    if not versions:
        raise TintypeError(f"no saved_model.pb in {model}, nor in a folder of a version below it")
    newest = max(versions)
    return f"{model}/{versions[newest]}", str(newest)


def _saved_models(model: str) -> tuple[bool, list[str]]:
    """Return whether a folder is a SavedModel, and the names of the folders in it that are."""
    if is_local(model):  # not by a pattern: of a path of this machine "[" is a letter
        below = os.listdir(model) if os.path.isdir(model) else []
        is_model = os.path.exists(f"{model}/{SAVED_MODEL_FILE}")
        return is_model, [name for name in below if os.path.exists(f"{model}/{name}/{SAVED_MODEL_FILE}")]
    patterns = [f"{literal(model)}/{SAVED_MODEL_FILE}", f"{literal(model)}/*/{SAVED_MODEL_FILE}"]
    own, found = (result.metadata_list for result in FileSystems.match(patterns))
    return bool(own), [file.path.split("/")[-2] for file in found]
