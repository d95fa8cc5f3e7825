"""The pipeline on this machine: TFX's LocalDagRunner, SQLite metadata, a line for every component."""

import logging
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from absl import logging as absl_logging

from pipeline.config import RunConfig
from pipeline.output_folder import output_folder
from serving.model.quiet_tensorflow import import_tensorflow_quietly

if TYPE_CHECKING:
    from pipeline.run_report import RunReport

PACKAGES = Path(__file__).parents[2]
CHECKPOINTS = "checkpoints"
_NOISY = ("apache_beam", "tensorflow", "root", "py.warnings")


def run_local(config: RunConfig, *, data: str, out: str | Path, verbose: bool = False, workers: int = 1) -> "RunReport":
    """Run the pipeline here and say what it did.

    Args:
        config: the run.
        data: a folder, .zip or .tar of photographs; several, a line each.
        out: the run's own folder: artifacts in `pipeline`, `metadata.sqlite`, `checkpoints` while it trains, and,
            unless the config says otherwise, the serving base path `serving/<model name>`. A second run with the same
            folder reuses what has not changed, and goes on with a training that was killed.
        verbose: show every line that TFX and Beam log.
        workers: processes that Beam may use; 1 stays in this process, 0 takes one for every core.

    Returns:
        the RunReport of the run.

    Raises:
        TintypeError: a component refused its input, its message says why; or another run is at work in `out`.
    """
    with output_folder(Path(out)) as folder:
        return _run(config, Path(out).resolve(), folder, data, verbose, workers)


def _run(config: RunConfig, out: Path, folder: Path, data: str, verbose: bool, workers: int) -> "RunReport":
    """Run the pipeline in `out`, which TFX knows as `folder`."""
    import_tensorflow_quietly()
    from tfx.orchestration.local.local_dag_runner import LocalDagRunner

    from components.image_example_gen.locations import join_locations, split_locations
    from pipeline.graph import create_pipeline, default_destination
    from pipeline.run_report import read_run_report
    from serving.batch.local_runner import local_options

    pipeline = create_pipeline(
        config,
        data=join_locations(place if "://" in place else str(Path(place).resolve()) for place in split_locations(data)),
        destination=default_destination(config, str(out)),
        pipeline_root=str(folder / "pipeline"),
        checkpoint_base=str(folder / CHECKPOINTS),
        metadata_path=str(out / "metadata.sqlite"),
        beam_arguments=local_options(workers),
    )
    started = time.time()
    with _ComponentProgress(verbose):
        LocalDagRunner().run(pipeline)
        shutil.rmtree(out / CHECKPOINTS, ignore_errors=True)  # every artifact is published: nothing can be lost now
        return read_run_report(out / "metadata.sqlite", pipeline.pipeline_info.pipeline_name, since=started)


class _ComponentProgress(logging.Handler):
    """Turns TFX's log into a line per component, and lets through what Tintype's own components say."""

    def __init__(self, verbose: bool):
        super().__init__()
        self._verbose = verbose
        self._started = 0.0

    def __enter__(self) -> None:
        self._absl = logging.getLogger("absl")
        self._propagated = self._absl.propagate
        self._verbosity = absl_logging.get_verbosity()
        # Through absl: saving a model sets the level back to what absl remembers, not to what the logger has.
        absl_logging.set_verbosity(absl_logging.INFO)
        self._absl.propagate = self._verbose
        self._absl.addHandler(self)
        self._levels = {logger: logger.level for logger in map(logging.getLogger, () if self._verbose else _NOISY)}
        for logger in self._levels:
            logger.setLevel(logging.ERROR)

    def __exit__(self, *_: object) -> None:
        self._absl.removeHandler(self)
        self._absl.propagate = self._propagated
        absl_logging.set_verbosity(self._verbosity)
        for logger, level in self._levels.items():
            logger.setLevel(level)

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if message.startswith("Component ") and message.endswith(" is running."):
            self._started = time.monotonic()
            self._say(f"{message.split()[1]} ...")
        elif message.startswith("Component ") and message.endswith(" is finished."):
            self._say(f"{message.split()[1]} done in {time.monotonic() - self._started:.1f} s")
        elif not self._verbose and is_from_tintype(record):
            self._say(f"  {message}")

    @staticmethod
    def _say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)


def is_from_tintype(record: logging.LogRecord) -> bool:
    """Whether a part of Tintype logged it; TFX itself tells all that it does."""
    path = Path(record.pathname)
    return path.is_relative_to(PACKAGES / "components") or path.is_relative_to(PACKAGES / "serving")
