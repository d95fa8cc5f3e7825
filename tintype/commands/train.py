"""`tintype train`: training alone, without TFX around it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serving.model.quiet_tensorflow import import_tensorflow_quietly
from tintype.commands.config_options import Config, Photographs, Settings

if TYPE_CHECKING:
    from rich.table import Table

    from pipeline.standalone_training import StandaloneTraining


def train(
    data: Photographs,
    config: Config,
    out: Annotated[Path, typer.Option(help="Gets examples, run and model, the SavedModel.")],
    settings: Settings = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes for reading photographs; 0: all cores.")] = 1,
    require_gpu: Annotated[bool, typer.Option("--require-gpu", help="Fail at once where there is no GPU.")] = False,
) -> None:
    """Train a recipe on photographs, without the pipeline around it: nothing is judged and nothing is pushed.

    Photographs that were taken in before are not read again; a training that was stopped goes on when the same command
    is given again. OUT/model appears when it is whole. Example:

        tintype train --config sn_unet_lab_128 --data photographs/ --out build/trained --set train.max_minutes=30
    """
    from rich.console import Console

    from pipeline.config import load_config

    run_config = load_config(config, settings or [])
    import_tensorflow_quietly()
    from components.image_example_gen.locations import join_locations
    from components.trainer import strategy
    from pipeline.standalone_training import train_standalone

    if require_gpu:
        strategy.require_gpu()
    trained = train_standalone(run_config, data=join_locations(data), out=out, workers=workers)
    Console().print(_table(trained, ", ".join(data)))
    Console(stderr=True).print(
        f"\nlosses and pictures:  tintype's own in {out / 'run'}/curves.png and {out / 'run'}/pictures/\n"
        f"in TensorBoard:       tensorboard --logdir {out / 'run'}\n"
        f"measure it:           tintype evaluate --model {out / 'model'} --data PHOTOGRAPHS\n"
        f"serve it:             mkdir -p {out / 'serving'} && ln -sfn ../model {out / 'serving'}/1 && \\\n"
        f"                      tintype serve --model_base_path={out / 'serving'} --port=8500",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def _table(trained: "StandaloneTraining", data: str) -> "Table":
    from rich.table import Table

    from pipeline.report_rows import photograph_rows, training_row

    training = trained.training
    table = Table(title="what happened", show_header=False, title_justify="left", min_width=60)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for row in photograph_rows(trained.photographs.model_dump(), f"{trained.examples_folder}/report.jsonl", data):
        table.add_row(*row)
    table.add_row(*training_row(vars(training)))
    table.add_row(
        "parameters",
        f"generator {training.generator_parameters:,}, discriminator {training.discriminator_parameters:,}",
    )
    # Of several workers the chief alone measures.
    if training.history and "psnr_gain_db" in (last := training.history[-1]):
        table.add_row(
            "held out",
            f"PSNR {last['psnr_gain_db']:+.2f} dB over gray, ab error {last['ab_mae_ratio']:.0%} of gray's",
        )
    table.add_row("SavedModel", str(trained.model_folder))
    return table
