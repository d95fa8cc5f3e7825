"""Lets the shipped generator go on learning from your own photographs, and measures what that brought.

A few hundred photographs of one subject are enough to see a difference; more are better. The test of this example runs
a few steps at a tiny size, which teach nothing. For real use leave the defaults:

    python examples/fine_tuning.py photographs/ --out build/fine_tuned

`tintype run --config tintype_tuned --data photographs/` does the same inside the whole pipeline, which also judges
the model and pushes it.
"""

import argparse
import sys
from pathlib import Path

from photo.errors import TintypeError
from pipeline.config import load_config
from serving.model.quiet_tensorflow import import_tensorflow_quietly


def main() -> int:
    """Read the command line, train, and print the gain over photographs left gray."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", help="a folder, a .zip or a .tar")
    parser.add_argument("--out", type=Path, default=Path("build/fine_tuned"))
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--size", type=int, default=128, help="side of the squares, a multiple of 32")
    parser.add_argument("--batch-size", type=int, default=32)
    arguments = parser.parse_args()

    config = load_config(
        "tintype_tuned",
        [
            f"train.steps={arguments.steps}",
            f"train.batch_size={arguments.batch_size}",
            f"data.size={arguments.size}",
            # A small collection is measured on more of its photographs than the recipe's 1 in 40.
            "data.splits.train=8",
        ],
    )
    import_tensorflow_quietly()
    from pipeline.standalone_training import train_standalone

    try:
        trained = train_standalone(config, data=arguments.photographs, out=arguments.out)
    except TintypeError as error:
        print(error, file=sys.stderr)
        return 1
    last = trained.training.history[-1]
    print(f"{trained.photographs.kept} photographs, {trained.training.steps} steps")
    print(f"held out: PSNR {last['psnr_gain_db']:+.2f} dB over gray, ab error {last['ab_mae_ratio']:.0%} of gray's")
    print(f"the SavedModel is {trained.model_folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
