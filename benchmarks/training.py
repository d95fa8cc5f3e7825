"""Images per second of a whole training beside the bare step, in one run.

    python -m benchmarks.training --config sn_unet_lab_128 --data photographs.zip --steps 600 --set train.batch_size=16

(a) the bare train step on one resident batch, before and after (b), which is `tintype train` with all that it does:
reading, augmentation, readings, measuring, pictures, TensorBoard's events and checkpoints. (c) is the input pipeline
alone. The resident memory is read while (b) runs.
"""

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from components.trainer.config import TrainerConfig
    from components.trainer.summary import TrainingSummary


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="sn_unet_lab_128")
    parser.add_argument("--data", required=True, help="photographs: a folder, a .zip or a .tar")
    parser.add_argument("--steps", type=int, default=600, help="of the whole training")
    parser.add_argument("--bare-steps", type=int, default=60, help="of each measurement of the bare step")
    parser.add_argument("--examples", type=Path, help="where the photographs that were taken in are kept for next time")
    parser.add_argument("--set", dest="settings", action="append", default=[])
    arguments = parser.parse_args()
    measured = _measure(arguments)
    summary, step = measured.summary, statistics.mean(measured.bare)
    table = Table(title=measured.title)
    for heading in ("", "images/s", "of (a)"):
        table.add_column(heading, justify="left" if not heading else "right")
    table.add_row("(a) bare step, before and after", ", ".join(f"{speed:.1f}" for speed in measured.bare), "1.00")
    table.add_row(
        f"(b) whole training, {summary.steps} steps", f"{summary.images_per_second:.1f}",
        f"{summary.images_per_second / step:.2f}",
    )  # fmt: skip
    table.add_row("(c) input pipeline alone", f"{measured.input_alone:.0f}", f"{measured.input_alone / step:.1f}")
    console = Console()
    console.print(table)
    early, late = measured.memory.early_and_late()
    console.print(f"resident memory: {early:.0f} MB in the second quarter of (b), {late:.0f} MB in the last")


class _Measured(NamedTuple):
    """Images per second of the bare step before and after, the whole training, the input alone; the memory."""

    title: str
    bare: tuple[float, float]
    summary: "TrainingSummary"
    input_alone: float
    memory: "_MemoryWatch"


def _measure(arguments: argparse.Namespace) -> _Measured:
    from components.image_example_gen.ingestion import ingest
    from components.trainer.decoded_photos import content_digest, decode_photos, example_files
    from components.trainer.input_pipeline import training_batches
    from components.trainer.training import train
    from pipeline.config import load_config

    run = load_config(arguments.config, [*arguments.settings, f"train.steps={arguments.steps}"])
    config = run.trainer_config()
    batch_size = config.train.batch_size
    with tempfile.TemporaryDirectory() as folder:
        examples = arguments.examples or Path(folder) / "examples"
        ingest(arguments.data, examples, run.data)
        files = example_files(str(examples), "train")
        photos = decode_photos(
            files,
            side=round(config.size * config.train.augmentation.enlarge),
            memory_share=1.0,
            disk_folder=folder,
            fingerprint=content_digest(files),
        )
        batches = training_batches(
            photos,
            size=config.size,
            batch_size=batch_size,
            augmentation=config.train.augmentation,
            seed=config.seed,
        )
        resident = next(iter(batches))
        before = _bare_images_per_second(config, resident, arguments.bare_steps)
        with _MemoryWatch() as memory:
            summary = train(
                config,
                files,
                example_files(str(examples), "eval"),
                model_folder=f"{folder}/model",
                run_folder=f"{folder}/run",
                checkpoint_folder=f"{folder}/checkpoints",
            )
        after = _bare_images_per_second(config, resident, arguments.bare_steps)
        alone = _input_images_per_second(batches, batch_size)
    title = f"{config.recipe}, {config.size} px, batches of {batch_size}, {summary.strategy}"
    return _Measured(title, (before, after), summary, alone, memory)


def _bare_images_per_second(config: "TrainerConfig", resident: Any, steps: int) -> float:
    """Train on one batch that is there, over and over."""
    import tensorflow as tf

    from components.trainer.gan import ColorGan

    gan = ColorGan(config)
    batch = iter(tf.data.Dataset.from_tensors(resident).repeat())
    gan.train_steps(batch, tf.constant(2))
    started = time.perf_counter()
    float(gan.train_steps(batch, tf.constant(steps))["generator_loss"])
    images: int = steps * config.train.batch_size
    return images / (time.perf_counter() - started)


def _input_images_per_second(batches: Iterable[Any], batch_size: int, seconds: float = 5.0) -> float:
    """Take batches without training on them."""
    iterator, count, started = iter(batches), 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        next(iterator)
        count += batch_size
    return count / (time.perf_counter() - started)


class _MemoryWatch:
    """Reads this process's resident memory once a second."""

    def __init__(self) -> None:
        self._samples: list[float] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "_MemoryWatch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(1.0):
            status = Path("/proc/self/status").read_text()
            self._samples.append(int(status.split("VmRSS:")[1].split()[0]) / 1024)

    def early_and_late(self) -> tuple[float, float]:
        """Mean MB in the second and in the last quarter of the time watched."""
        quarter = max(1, len(self._samples) // 4)
        return statistics.mean(self._samples[quarter : 2 * quarter]), statistics.mean(self._samples[-quarter:])


if __name__ == "__main__":
    main()
