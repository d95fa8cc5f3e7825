"""Pictures of a generator's results on photographs it never saw: some drawn by a seed, and the worst of all.

    python -m benchmarks.gallery --data scenes_val.zip --out docs/images [--model SAVED_MODEL] [--seed 0]

Writes drawn.jpg and worst.jpg, rows of photographs: gray, coloured, true. The worst are those whose colour is furthest
from the true one, by the mean distance in the a*b* plane. Without --model it is the generator that comes with Tintype.
"""

import argparse
import io
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track

from photo.color import rgb_to_lab
from serving.client import Colorizer
from serving.client.options import ConnectionOptions
from serving.server.options import ServerOptions
from serving.server.process import server_process

_SHOWN_SIDE = 160
_FORMATS = (".jpg", ".jpeg", ".png")
_SMALLEST_COLOR = 4.0  # mean distance from gray, in CIE units, under which a photograph is gray itself


def main() -> None:
    """Colour all, and write both pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a .zip of photographs in colour")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=8, help="photographs in each picture")
    arguments = parser.parse_args()
    photos = _read(arguments.data)
    triples = []
    with (
        server_process(ServerOptions("colorizer", arguments.model), silent=True, patience=10) as server,
        Colorizer(server.address, ConnectionOptions(timeout=120)) as client,
    ):
        for photo in track(photos, "coloring"):
            gray = np.asarray(Image.fromarray(photo).convert("L").convert("RGB"))
            triples.append((gray, client.colorize(photo), photo))
    errors = [_color_error(colored, photo) for _, colored, photo in triples]
    drawn = np.random.default_rng(arguments.seed).choice(len(triples), arguments.count, replace=False)
    worst = np.argsort(errors)[::-1][: arguments.count]
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, chosen in (("drawn", drawn), ("worst", worst)):
        rows = [np.concatenate([_square(triples[index][row]) for index in chosen], axis=1) for row in range(3)]
        Image.fromarray(np.concatenate(rows)).save(arguments.out / f"{name}.jpg", quality=88)
    mean_of_drawn = np.mean([errors[index] for index in drawn])
    print(f"mean distance in a*b*, {len(errors)} photographs: {np.mean(errors):.1f}; those drawn: {mean_of_drawn:.1f}")


def _read(archive: Path) -> list[NDArray[np.uint8]]:
    photos = []
    with zipfile.ZipFile(archive) as members:
        for name in sorted(members.namelist()):
            if name.lower().endswith(_FORMATS):
                photo = np.asarray(Image.open(io.BytesIO(members.read(name))).convert("RGB"))
                if np.linalg.norm(rgb_to_lab(photo)[..., 1:], axis=-1).mean() > _SMALLEST_COLOR:
                    photos.append(photo)
    return photos


def _color_error(colored: NDArray[np.uint8], photo: NDArray[np.uint8]) -> float:
    difference = rgb_to_lab(colored)[..., 1:] - rgb_to_lab(photo)[..., 1:]
    return float(np.linalg.norm(difference, axis=-1).mean())


def _square(photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(photo).resize((_SHOWN_SIDE, _SHOWN_SIDE), Image.Resampling.BICUBIC))


if __name__ == "__main__":
    main()
