"""Training alone on this machine: photographs in, SavedModel out, no TFX between them."""

import dataclasses
import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from components.trainer.config import TrainerConfig
from components.trainer.decoded_photos import example_files
from components.trainer.strategy import ChosenStrategy, choose_strategy, is_chief, meet
from components.trainer.summary import TrainingSummary
from components.trainer.training import train
from photo.whole_file import whole_folder
from pipeline.config import RunConfig
from pipeline.output_folder import output_folder, without_wildcards

if TYPE_CHECKING:
    from components.image_example_gen.summary import IngestionSummary


@dataclasses.dataclass(frozen=True)
class StandaloneTraining:
    """What a training came to, and where things lie."""

    photographs: "IngestionSummary"
    training: TrainingSummary
    examples_folder: Path
    run_folder: Path
    model_folder: Path


def train_standalone(config: RunConfig, *, data: str, out: Path, workers: int = 1) -> StandaloneTraining:
    """Take photographs in and train a recipe on them.

    Several workers (TF_CONFIG) share `out`: the chief takes in and writes, the others wait for it at both ends and come
    to the same end.

    Args:
        config: the run; its data, network and train sections count.
        data: a folder, .zip or .tar of photographs; several, a line each.
        out: gets `examples`, used again while the photographs stay the same, `run` with TensorBoard's events, curves
            and pictures, `checkpoints` until the training is done, from which the same command goes on, and `model`,
            which appears, or takes the place of a former one, when it is whole.
        workers: processes that may read photographs; 1 stays in this process, 0 takes one for every core.

    Raises:
        DataError: the photographs cannot be used.
        WorkerGoneError: another worker ended.
        TintypeError: the training diverged at once, `out` cannot be written, or another run is at work in it.
    """
    # Here, for Beam takes seconds to import: a process that only trains does without.
    from components.image_example_gen.ingestion import ingest
    from components.image_example_gen.locations import describe_locations
    from components.image_example_gen.summary import check_trainable, read_summary

    trainer_config = config.trainer_config()
    strategy, why = choose_strategy(trainer_config.train.strategy)
    # Of several workers the chief holds the folder that they share.
    with output_folder(out) if is_chief(strategy) else nullcontext(without_wildcards(out)) as folder:
        examples = folder / "examples"
        if is_chief(strategy):
            photographs = ingest(data, examples, config.data, workers=workers)
            check_trainable(photographs, describe_locations(data))
            meet(strategy)
        else:
            Console(stderr=True).print("waiting for the chief, which takes the photographs in")
            meet(strategy)
            photographs = read_summary(str(examples))
        training = train_to_saved_model(
            trainer_config,
            examples,
            run_folder=folder / "run",
            model_folder=folder / "model",
            chosen_strategy=(strategy, why),
        )
    return StandaloneTraining(photographs, training, out / "examples", out / "run", out / "model")


def train_to_saved_model(
    config: TrainerConfig,
    examples: Path,
    *,
    run_folder: Path,
    model_folder: Path,
    chosen_strategy: ChosenStrategy | None = None,
) -> TrainingSummary:
    """Train on the splits train and eval of `examples`; the SavedModel appears whole or not at all.

    A training that was ended goes on from the `checkpoints` beside the model; they are gone when it is there. Of
    several workers the chief alone touches the model, and all end together.

    Raises:
        WorkerGoneError: another worker ended.
        TintypeError: a split has no files, or the training diverged at once; a former model stays.
    """
    checkpoints = model_folder.with_name("checkpoints")
    chosen_strategy = chosen_strategy or choose_strategy(config.train.strategy)
    strategy, _ = chosen_strategy
    chief = is_chief(strategy)
    with whole_folder(model_folder) if chief else nullcontext(model_folder) as folder:
        summary = train(
            config,
            example_files(str(examples), "train"),
            example_files(str(examples), "eval"),
            model_folder=str(folder),
            run_folder=str(run_folder),
            checkpoint_folder=str(checkpoints),
            chosen_strategy=chosen_strategy,
        )
    # A worker that ended before the model was there could not go on with a chief that has to.
    meet(strategy)
    if chief:
        shutil.rmtree(checkpoints, ignore_errors=True)
    return summary
