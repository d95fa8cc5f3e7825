"""Training alone on this machine: photographs in, SavedModel out, no TFX between them."""

import dataclasses
import os
import shutil
from pathlib import Path

from components.image_example_gen.summary import Summary, check_trainable
from components.image_example_gen.take_in import take_in
from components.trainer.config import TrainerConfig
from components.trainer.decoded_photos import example_files
from components.trainer.training import TrainingSummary, train
from pipeline.config import RunConfig
from serving.client.errors import TintypeError


@dataclasses.dataclass(frozen=True)
class PlainTraining:
    """What a training came to, and where things lie."""

    photographs: Summary
    training: TrainingSummary
    examples_folder: Path
    run_folder: Path
    model_folder: Path


def train_plainly(config: RunConfig, *, data: str, out: Path, workers: int = 1) -> PlainTraining:
    """Take photographs in and train a recipe on them.

    Args:
        config: the run; its data, network and train sections count.
        data: a folder, .zip or .tar of photographs.
        out: gets `examples`, used again while the photographs stay the same, `run` with TensorBoard's events, curves
            and pictures, `checkpoints` until the training is done, from which the same command goes on, and `model`,
            which appears, or takes the place of a former one, when it is whole.
        workers: processes that may read photographs; 1 stays in this process, 0 takes one for every core.

    Raises:
        DataError: the photographs cannot be used.
        TintypeError: the training diverged at once, or `out` cannot be written.
    """
    examples, run, model = out / "examples", out / "run", out / "model"
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TintypeError(f"the output folder {out} cannot be written: {error.strerror}") from None
    photographs = take_in(data, examples, config.data, workers=workers)
    check_trainable(photographs, data)
    training = train_whole(config.trainer_config(), examples, run_folder=run, model_folder=model)
    return PlainTraining(photographs, training, examples, run, model)


def train_whole(config: TrainerConfig, examples: Path, *, run_folder: Path, model_folder: Path) -> TrainingSummary:
    """Train on the splits train and eval of `examples`; the SavedModel appears whole or not at all.

    A training that was ended goes on from the `checkpoints` beside the model; they are gone when it is there.

    Raises:
        TintypeError: a split has no files, or the training diverged at once; a former model stays.
    """
    checkpoints = model_folder.with_name("checkpoints")
    temporary = model_folder.with_name(f".{model_folder.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        summary = train(
            config,
            example_files(str(examples), "train"),
            example_files(str(examples), "eval"),
            model_folder=str(temporary),
            run_folder=str(run_folder),
            checkpoint_folder=str(checkpoints),
        )
        shutil.rmtree(model_folder, ignore_errors=True)
        os.rename(temporary, model_folder)
        shutil.rmtree(checkpoints, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return summary
