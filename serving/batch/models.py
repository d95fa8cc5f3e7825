"""The network of a batch job, as Beam's RunInference drives it: a SavedModel in each worker, or a server for all."""

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from apache_beam.io.filesystems import FileSystems
from apache_beam.ml.inference.base import ModelHandler, PredictionResult
from numpy.typing import NDArray

from photo.errors import ServerRefused, ServerUnavailable, TintypeError
from serving.batch.elements import PreparedPhoto
from serving.batch.file_systems import is_local
from serving.batch.outputs import BatchStopped
from serving.client.colorizer import Colorizer
from serving.client.flows import DEFAULT_MODEL_NAME
from serving.client.options import Retry, Tls
from serving.model.quiet_tensorflow import startup_noise_set_aside
from serving.model.version_folders import SAVED_MODEL_FILE, numbered

DEFAULT_BATCH_SIZE = 8

# A batch is closed before its photographs hold more pixels than this; one photograph may hold more, and is alone then.
MAX_BATCH_PIXELS = 64_000_000

TOKEN_VARIABLE = "TINTYPE_TOKEN"

# A server that restarts, or scales up, has this long to answer.
DEFAULT_SERVER_TIMEOUT = 300.0
_PATIENT_RETRY = Retry(first_pause=0.2, longest_pause=15.0)

# Refusals that every further photograph would meet, too: the version is gone, or nobody may ask.
_REFUSES_ALL = frozenset({"NOT_FOUND", "UNAUTHENTICATED", "PERMISSION_DENIED", "FAILED_PRECONDITION", "UNIMPLEMENTED"})


@dataclass(frozen=True)
class ModelIdentity:
    """What a job has to know of its model.

    Attributes:
        size: side in pixels of the squares it sees.
        fingerprint: changes when the trained weights do.
        version: its number as it was pushed; "" when it lies in a folder without one.
    """

    size: int
    fingerprint: str
    version: str


class PredictedAb(NamedTuple):
    """The answer for one square.

    Attributes:
        ab: a*b*, float32 [S, S, 2], CIE units.
        seconds: the square's share of the time its batch took.
    """

    ab: NDArray[np.float32]
    seconds: float


class AbModel(Protocol):
    """What a worker asks: the model itself, or a server that has it."""

    def predict_ab(self, squares: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a*b*, [N, S, S, 2], of L* [N, S, S, 1]."""


class ColorHandler(ModelHandler[PreparedPhoto, PredictionResult, AbModel]):
    """What both handlers share: batches of photographs, squares in, a*b* or a refusal out.

    Each prediction's `inference` is `PredictedAb`, or the TintypeError that refused the square.
    """

    def __init__(self, batch_size: int):
        if batch_size < 1:
            raise ValueError(f"expected a batch size of at least 1, received {batch_size}")
        self.batch_size = batch_size
        # One size alone: with a choice Beam would experiment with several.
        super().__init__(min_batch_size=batch_size, max_batch_size=batch_size, element_size_fn=self.weight)

    def weight(self, element: PreparedPhoto) -> int:
        """Return the share of a batch that a photograph takes, so that large ones do not gather."""
        pixels: int = element.prepared.lightness.size
        return max(1, round(pixels * self.batch_size / MAX_BATCH_PIXELS))

    def get_num_bytes(self, batch: Sequence[PreparedPhoto]) -> int:
        """Return the bytes of the squares; RunInference would pickle whole photographs to count them."""
        return sum(element.prepared.square.nbytes for element in batch)

    def get_metrics_namespace(self) -> str:
        """Return the name that Beam's own figures of the inference go by."""
        return "tintype"

    def identity(self) -> ModelIdentity:
        """Say what the model is; loads it or asks for it when it must."""
        raise NotImplementedError

    def run_inference(
        self, batch: Sequence[PreparedPhoto], model: AbModel, inference_args: dict[str, Any] | None = None
    ) -> Iterator[PredictionResult]:
        """Colour the squares of a batch in one go."""
        del inference_args
        if not batch:  # Beam sends the batch so far, be it empty, when the first photograph is a large one
            return
        started = time.perf_counter()
        answers = model.predict_ab(np.stack([element.prepared.square for element in batch]))
        seconds = (time.perf_counter() - started) / len(batch)
        for element, ab in zip(batch, answers, strict=True):
            yield PredictionResult(element, PredictedAb(ab, seconds))


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

    def load_model(self) -> "LoadedModel":
        """Return the process's one copy of the model."""
        return _loaded(self.folder, self.threads)

    def identity(self) -> ModelIdentity:
        """Ask the model itself, which is loaded for it."""
        description = self.load_model().description
        return ModelIdentity(description.size, description.fingerprint, self.version)


class ServerHandler(ColorHandler):
    """Asks TensorFlow Serving, or the embedded server, for one version of a model; made by `server_handler`.

    Args:
        server: HOST:PORT, or several servers as `Colorizer` takes them.
        identity: of the version that is asked.
        settings: further arguments of `Colorizer`. A token is none of them: workers take it from their environment,
            TINTYPE_TOKEN, because a job's graph can be read by everybody who may look at the job.
        batch_size: squares in one request.
        concurrency: requests of one worker process that may run at once.
    """

    def __init__(
        self,
        server: str,
        identity: ModelIdentity,
        settings: Mapping[str, Any],
        *,
        batch_size: int = DEFAULT_BATCH_SIZE,
        concurrency: int = 2,
    ):
        super().__init__(batch_size)
        if concurrency < 1:
            raise ValueError(f"expected a concurrency of at least 1, received {concurrency}")
        self.server = server
        self.settings = dict(settings)
        self.concurrency = concurrency
        self._identity = identity

    def load_model(self) -> "_ServedModel":
        """Return a client, whose connection is made when it first asks."""
        colorizer = Colorizer(
            self.server, model_version=int(self._identity.version), **self.settings, **_token_of_environment()
        )
        return _ServedModel(colorizer, self.concurrency)

    def identity(self) -> ModelIdentity:
        """Return what the server said when the job was made: all workers ask the same version."""
        return self._identity

    def run_inference(
        self, batch: Sequence[PreparedPhoto], model: AbModel, inference_args: dict[str, Any] | None = None
    ) -> Iterator[PredictionResult]:
        """Colour the squares of a batch with one request; when it is refused, with one for each of them.

        Raises:
            BatchStopped: no server answers, or it would refuse every photograph.
        """
        del inference_args
        try:
            yield from super().run_inference(batch, model)
        except ServerUnavailable as unavailable:
            raise BatchStopped(str(unavailable)) from unavailable
        except ServerRefused as refused:
            if refused.code in _REFUSES_ALL:
                raise BatchStopped(str(refused)) from refused
            if len(batch) == 1:
                yield PredictionResult(batch[0], refused)
                return
            for element in batch:
                yield from self.run_inference([element], model)


def server_handler(
    server: str,
    *,
    model_name: str = DEFAULT_MODEL_NAME,
    version_label: str | None = None,
    timeout: float = DEFAULT_SERVER_TIMEOUT,
    tls: Tls | None = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
    concurrency: int = 2,
) -> ServerHandler:
    """Ask a server which version it answers with, and return the handler that keeps asking that one.

    Args:
        server: HOST:PORT, or several servers as `Colorizer` takes them.
        model_name: the name the model is served under.
        version_label: the version with this label; None the newest.
        timeout: seconds for one request; UNAVAILABLE is tried again until then, with exponential backoff and jitter.
        tls: encrypts; its files must be on every worker.
        batch_size: squares in one request.
        concurrency: requests of one worker process that may run at once.

    Raises:
        ServerUnavailable: nobody answers within `timeout`.
        ServerRefused: there is no such model.
    """
    settings: dict[str, Any] = {"model_name": model_name, "timeout": timeout, "retry": _PATIENT_RETRY, "tls": tls}
    with _Asking(server, version_label=version_label, **settings, **_token_of_environment()) as asking:
        identity = asking.identity()
    return ServerHandler(server, identity, settings, batch_size=batch_size, concurrency=concurrency)


class _Asking(Colorizer):
    """A client that also says which version described itself."""

    def identity(self) -> ModelIdentity:
        description = self.describe()
        return ModelIdentity(description.size, description.fingerprint, str(self._described[self.version_label]))


class _ServedModel:
    """A server as a model: at most so many requests at once from all threads of the process."""

    def __init__(self, colorizer: Colorizer, concurrency: int):
        self._colorizer = colorizer
        self._free_requests = threading.BoundedSemaphore(concurrency)

    def predict_ab(self, squares: NDArray[np.float32]) -> NDArray[np.float32]:
        with self._free_requests:
            return self._colorizer.predict_ab(squares)


class LoadedModel:
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

    def predict_ab(self, squares: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return finite a*b*, [N, S, S, 2], of L* [N, S, S, 1]."""
        ab = self._colorizer.predict_ab(squares)
        if not np.isfinite(ab).all():
            raise BatchStopped("the model gives colours that are not numbers")
        return ab


_LOADED: dict[str, LoadedModel] = {}
_LOADING = threading.Lock()


def _loaded(folder: str, threads: int) -> LoadedModel:
    """Return the model of this process; another one takes its place, so that a worker never holds two."""
    with _LOADING:
        if folder not in _LOADED:
            _LOADED.clear()
            _LOADED[folder] = LoadedModel(folder, threads)
        return _LOADED[folder]


def _token_of_environment() -> dict[str, str]:
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    return {"token": token} if token else {}


def _newest_version(model: str) -> tuple[str, str]:
    """Return the folder of saved_model.pb, and the version that its name is."""
    model = model.rstrip("/") or "/"
    if is_local(model):
        model = os.path.abspath(model)
    patterns = [f"{model}/{SAVED_MODEL_FILE}", f"{model}/*/{SAVED_MODEL_FILE}"]
    try:
        own, below = (result.metadata_list for result in FileSystems.match(patterns))
    except (OSError, ValueError) as error:
        raise TintypeError(f"cannot look for a model in {model}: {error}") from error
    if own:
        version = model.rpartition("/")[2]
        return model, version if version.isdigit() else ""
    versions = numbered(file.path.split("/")[-2] for file in below)
    if not versions:
        raise TintypeError(f"no saved_model.pb in {model}, nor in a folder of a version below it")
    newest = max(versions)
    return f"{model}/{versions[newest]}", str(newest)
