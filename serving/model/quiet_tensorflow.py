"""Starts TensorFlow: with its native start-up lines kept off the terminal, sooner, and with so many threads."""

import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

# Keras imports them where they are installed, for wrappers and data of theirs that nothing here uses. With them
# `import tensorflow` takes 16 s of a processor, without them 9.
_FOR_KERAS_ALONE = ("IPython", "matplotlib", "pandas", "sklearn")


@contextmanager
def keras_without_extras() -> Iterator[None]:
    """Let Keras, where it is imported in this block, take the packages of others that it can do without for missing."""
    hidden = [name for name in _FOR_KERAS_ALONE if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment] # an import of it is a ModuleNotFoundError
    try:
        yield
    finally:
        for name in hidden:
            if sys.modules.get(name) is None:
                sys.modules.pop(name, None)


@contextmanager
def startup_noise_set_aside(expected: tuple[type[BaseException], ...] = ()) -> Iterator[None]:
    """Hold back what is written to standard error, and show it only if an unexpected error ends the block.

    TensorFlow's native code logs to the file descriptor before it looks at any setting of its log level. Where the
    block imports it, that happens without what Keras can do without.

    Args:
        expected: errors that explain themselves, after which the noise stays hidden.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    with keras_without_extras(), tempfile.TemporaryFile() as noise:
        stderr = os.dup(2)
        os.dup2(noise.fileno(), 2)
        explained = False
        try:
            yield
            explained = True
        except expected:
            explained = True
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            if not explained:
                noise.seek(0)
                sys.stderr.write(noise.read().decode(errors="replace"))


def import_tensorflow_quietly() -> None:
    """Import TensorFlow and let it look for GPUs, with what it says about that set aside.

    Its native code stays silent afterwards, too: what it logs as an error while a training runs is an optimisation of
    the graph that it gave up (`remapper failed`); what fails is raised.

    oneDNN's kernels are switched on: by itself TensorFlow takes them only on CPUs with AVX-512's units for networks.
    With AVX2 alone batches are trained 1.4 times as fast with them. (A photo by itself is not coloured faster, which is
    why `tintype serve` leaves that to TensorFlow.)
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if platform.machine() == "x86_64":
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    with startup_noise_set_aside():
        import tensorflow as tf

        tf.config.list_physical_devices()


def set_parallelism(intra_op: int, inter_op: int) -> None:
    """Set TensorFlow's threads inside one operation, and its operations at once; 0 lets it choose.

    Raises:
        RuntimeError: it runs already in this process, with other numbers.
    """
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(intra_op)
    tf.config.threading.set_inter_op_parallelism_threads(inter_op)
