import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def handlers_go_with_the_command() -> Iterator[None]:
    """A command that ran in this process has its log on a stream that pytest closes; later tests would log there."""
    loggers = [logging.getLogger(name) for name in ("serving.web", "serving.server")]
    before = [list(logger.handlers) for logger in loggers]
    yield
    for logger, handlers in zip(loggers, before, strict=True):
        logger.handlers[:] = handlers
