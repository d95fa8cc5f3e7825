"""What each effect of old age does to the gray of one photograph, and what it costs.

    python -m benchmarks.aging [--picture docs/images/aging.jpg] [--side 128]

Prints the processor time of one core for each effect, and for a batch of 32 as training ages it. The picture shows
each effect once, by the first seed at which it shows well, and below whole photographs as training would see them.
"""

import argparse
import functools
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from rich.console import Console
from rich.table import Table
from skimage.data import astronaut

from components.trainer.config import AgingConfig
from photo.aging import EFFECTS, age

_CALLS = 100
_BATCH = 32
_COLUMNS, _GAP, _HEADING = 5, 6, 16
# At which effects that may be weak are seen.
_SEEDS = {
    "halation": 1,
    "blur": 4,
    "contrast": 1,
    "grain": 4,
    "toning": 4,
    "stains": 2,
    "scratches": 2,
    "dust": 1,
    "torn_corners": 4,
}

Gray = NDArray[np.uint8]


def main() -> None:
    """Measure, and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--side", type=int, default=128, help="of the photograph, in pixels")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    portrait = np.ascontiguousarray(astronaut()[0:320, 72:392])
    photo = np.asarray(cv2.resize(portrait, (arguments.side, arguments.side), interpolation=cv2.INTER_AREA), np.uint8)
    table = Table("effect", "ms", title=f"{arguments.side} pixels, one core", title_justify="left")
    for effect in EFFECTS:
        table.add_row(effect, f"{_milliseconds(functools.partial(_aged, photo, {effect: 1.0})):.2f}")
    aging = AgingConfig()
    batch = _BATCH * _milliseconds(lambda seed: _aged(photo, aging.chances() if seed % 2 else {}, seed))
    table.add_row(f"a batch of {_BATCH}, half of it aged", f"{batch:.1f}")
    Console().print(table)
    if arguments.picture:
        arguments.picture.parent.mkdir(parents=True, exist_ok=True)
        _sheet(photo, aging).save(arguments.picture, quality=88)


def _aged(photo: NDArray[np.uint8], chances: dict[str, float], seed: int) -> Gray:
    return age(photo, chances, np.random.default_rng(seed)).gray


def _milliseconds(call: Callable[[int], object]) -> float:
    began = time.process_time()
    for seed in range(_CALLS):
        call(seed)
    return 1000 * (time.process_time() - began) / _CALLS


def _sheet(photo: NDArray[np.uint8], aging: AgingConfig) -> Image.Image:
    cells = [("as it is", _aged(photo, {}, 0))]
    cells += [(effect, _aged(photo, {effect: 1.0}, _SEEDS.get(effect, 0))) for effect in EFFECTS]
    cells += [(f"all by their shares, {seed}", _aged(photo, aging.chances(), seed)) for seed in range(_COLUMNS)]
    side = photo.shape[0]
    rows = -(-len(cells) // _COLUMNS)
    size = (_COLUMNS * (side + _GAP) + _GAP, rows * (side + _HEADING + _GAP) + _GAP)
    sheet = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=11)
    for place, (name, gray) in enumerate(cells):
        left, top = _GAP + place % _COLUMNS * (side + _GAP), _GAP + place // _COLUMNS * (side + _HEADING + _GAP)
        draw.text((left, top), name.replace("_", " "), "black", font)
        sheet.paste(Image.fromarray(gray), (left, top + _HEADING))
    return sheet


if __name__ == "__main__":
    main()
