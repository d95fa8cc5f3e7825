"""Keeps what decoders say of odd files off the terminal of a command."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_decoders() -> Iterator[None]:
    """Keep the decoders' warnings about odd files off the terminal: what matters is reported by photograph."""
    import warnings

    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        yield
