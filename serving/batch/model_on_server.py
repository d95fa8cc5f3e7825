"""A server as the model of a batch job: all workers ask it for one version."""

import os
import threading
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from photo.errors import ServerRefused, ServerUnavailable, SignatureMissing
from serving.batch.errors import BatchStopped
from serving.batch.job_options import DEFAULT_BATCH_SIZE, DEFAULT_CONCURRENCY, PATIENT_CONNECTION
from serving.batch.model_handler import AbModel, ColorHandler, ModelIdentity
from serving.client.colorizer import Colorizer
from serving.client.options import ConnectionOptions

TOKEN_VARIABLE = "TINTYPE_TOKEN"

# Refusals that every further photograph would meet, too: the version is gone, or nobody may ask.
_REFUSES_ALL = frozenset({"NOT_FOUND", "UNAUTHENTICATED", "PERMISSION_DENIED", "FAILED_PRECONDITION", "UNIMPLEMENTED"})


class ServerHandler(ColorHandler):
    """Asks TensorFlow Serving, or the embedded server, for one version of a model; made by `server_handler`.

    Args:
        server: HOST:PORT, or several servers as `Colorizer` takes them.
        identity: of the version that is asked.
        connection: how. A token in it is dropped: workers take it from their environment, TINTYPE_TOKEN, because a
            job's graph can be read by everybody who may look at the job.
        batch_size: squares in one request.
        concurrency: requests of one worker process that may run at once.
    """

    def __init__(
        self,
        server: str,
        identity: ModelIdentity,
        connection: ConnectionOptions = PATIENT_CONNECTION,
        *,
        batch_size: int = DEFAULT_BATCH_SIZE,
        concurrency: int = DEFAULT_CONCURRENCY,
    ) -> None:
        super().__init__(batch_size)
        if concurrency < 1:
            raise ValueError(f"expected a concurrency of at least 1, received {concurrency}")
        self.server = server
        self.connection = replace(connection, token=None, version_label=None, model_version=int(identity.version))
        self.concurrency = concurrency
        self._identity = identity

    def load_model(self) -> "_ServedModel":
        """Return a client, whose connection is made when it first asks."""
        return _ServedModel(Colorizer(self.server, _with_token(self.connection)), self.concurrency)

    def identity(self) -> ModelIdentity:
        """Return what the server said when the job was made: all workers ask the same version."""
        return self._identity

    def _predict(
        self, squares: NDArray[np.float32], hints: NDArray[np.float32] | None, model: AbModel
    ) -> NDArray[np.float32]:
        try:
            return model.predict_ab(squares, hints)
        except ServerUnavailable as unavailable:
            raise BatchStopped(str(unavailable)) from unavailable
        except SignatureMissing:  # photographs without hints can do without it
            raise
        except ServerRefused as refused:
            if refused.code in _REFUSES_ALL:
                raise BatchStopped(str(refused)) from refused
            raise


def server_handler(
    server: str,
    connection: ConnectionOptions = PATIENT_CONNECTION,
    *,
    batch_size: int = DEFAULT_BATCH_SIZE,
    concurrency: int = DEFAULT_CONCURRENCY,
) -> ServerHandler:
    """Ask a server which version it answers with, and return the handler that keeps asking that one.

    Args:
        server: HOST:PORT, or several servers as `Colorizer` takes them.
        connection: which model, which label, and how to ask. UNAVAILABLE is tried again until its timeout, with
            exponential backoff and jitter. The files of its TLS must be on every worker; its token is not taken, but
            that of the environment, TINTYPE_TOKEN, here and on every worker.
        batch_size: squares in one request.
        concurrency: requests of one worker process that may run at once.

    Raises:
        ServerUnavailable: nobody answers within the timeout.
        ServerRefused: there is no such model.
    """
    with Colorizer(server, _with_token(connection)) as colorizer:
        description, version = colorizer.describe_version()
    identity = ModelIdentity(description, str(version))
    return ServerHandler(server, identity, connection, batch_size=batch_size, concurrency=concurrency)


def _with_token(connection: ConnectionOptions) -> ConnectionOptions:
    """Return the connection with the token of this process's environment."""
    return replace(connection, token=os.environ.get(TOKEN_VARIABLE, "").strip() or None)


class _ServedModel:
    """A server as a model: at most so many requests at once from all threads of the process."""

    def __init__(self, colorizer: Colorizer, concurrency: int):
        self._colorizer = colorizer
        self._free_requests = threading.BoundedSemaphore(concurrency)

    def predict_ab(self, squares: NDArray[np.float32], hints: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        with self._free_requests:
            return self._colorizer.predict_ab(squares, hints)
