import logging
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from tintype.cli import main


@pytest.fixture(autouse=True)
def handlers_go_with_the_command() -> Iterator[None]:
    """A command that ran in this process has its log on a stream that pytest closes; later tests would log there."""
    loggers = [logging.getLogger(name) for name in ("serving.web", "serving.server")]
    before = [list(logger.handlers) for logger in loggers]
    yield
    for logger, handlers in zip(loggers, before, strict=True):
        logger.handlers[:] = handlers


@pytest.fixture
def run_here(monkeypatch, capsys) -> Callable[..., subprocess.CompletedProcess]:
    """Run `tintype` in this process, which spares it TensorFlow's and TFX's start; whatever it raises shows."""

    def run_here(*arguments: object) -> subprocess.CompletedProcess:
        command = ["tintype", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return subprocess.CompletedProcess(command, ended.value.code, said.out, said.err)

    return run_here
