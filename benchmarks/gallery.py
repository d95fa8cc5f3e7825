"""Pictures of a generator's results on photographs it never saw: some drawn by a seed, and the worst of all.

    python -m benchmarks.gallery --data scenes_val.zip --out docs/images [--model SAVED_MODEL] [--seed 0]
    python -m benchmarks.gallery --old negatives.zip --out docs/images

The first writes drawn.jpg and worst.jpg, rows of photographs: gray, coloured, true. The worst are those whose colour is
furthest from the true one, by the mean distance in the a*b* plane. The second writes old.jpg, a sheet of photographs
that have no true colours, drawn by the seed, each gray above coloured and below them its name. Without --model it is
the generator that comes with Tintype.
"""

import argparse
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps
from rich.progress import track

from photo.color import rgb_to_lab
from serving.client import Colorizer
from serving.client.options import ConnectionOptions
from serving.server.options import ServerOptions
from serving.server.process import server_process

_SHOWN_SIDE = 160
_OLD_SIDE, _OLD_COLUMNS, _CAPTION = 240, 4, 18
_FORMATS = (".jpg", ".jpeg", ".png")
_SMALLEST_COLOR = 4.0  # mean distance from gray, in CIE units, under which a photograph is gray itself


def main() -> None:
    """Colour all, and write both pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=Path, help="a .zip of photographs in colour")
    source.add_argument("--old", type=Path, help="a .zip of black-and-white photographs")
    parser.add_argument("--names", nargs="+", help="of --old: these, in place of what the seed draws", default=())
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=8, help="photographs in each picture")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with (
        server_process(ServerOptions("colorizer", arguments.model), silent=True, patience=10) as server,
        Colorizer(server.address, ConnectionOptions(timeout=120)) as client,
    ):
        if arguments.old:
            rng = np.random.default_rng(arguments.seed)
            _draw_sheet(_read_old(arguments.old, arguments.names, arguments.count, rng), client, arguments.out)
        else:
            _draw_rows(_read(arguments.data), client, arguments)


def _draw_rows(photos: list[NDArray[np.uint8]], client: Colorizer, arguments: argparse.Namespace) -> None:
    triples = []
    for photo in track(photos, "coloring"):
        gray = np.asarray(Image.fromarray(photo).convert("L").convert("RGB"))
        triples.append((gray, client.colorize(photo), photo))
    errors = [_color_error(colored, photo) for _, colored, photo in triples]
    drawn = np.random.default_rng(arguments.seed).choice(len(triples), arguments.count, replace=False)
    worst = np.argsort(errors)[::-1][: arguments.count]
    for name, chosen in (("drawn", drawn), ("worst", worst)):
        rows = [np.concatenate([_square(triples[index][row]) for index in chosen], axis=1) for row in range(3)]
        Image.fromarray(np.concatenate(rows)).save(arguments.out / f"{name}.jpg", quality=88)
    mean_of_drawn = np.mean([errors[index] for index in drawn])
    print(f"mean distance in a*b*, {len(errors)} photographs: {np.mean(errors):.1f}; those drawn: {mean_of_drawn:.1f}")


def _read_old(archive: Path, names: Sequence[str], count: int, rng: np.random.Generator) -> dict[str, Image.Image]:
    with zipfile.ZipFile(archive) as members:
        files = {Path(name).stem: name for name in sorted(members.namelist()) if name.lower().endswith(_FORMATS)}
        chosen = names or [str(name) for name in rng.choice(list(files), count, replace=False)]
        return {name: Image.open(io.BytesIO(members.read(files[name]))).convert("RGB") for name in chosen}


def _draw_sheet(photos: dict[str, Image.Image], client: Colorizer, folder: Path) -> None:
    cells = []
    for name, photo in photos.items():
        square = ImageOps.fit(photo, (_OLD_SIDE, _OLD_SIDE), Image.Resampling.LANCZOS)
        colored = ImageOps.fit(
            Image.fromarray(client.colorize(np.asarray(photo))), square.size, Image.Resampling.LANCZOS
        )
        cell = Image.new("RGB", (_OLD_SIDE, 2 * _OLD_SIDE + _CAPTION), "white")
        cell.paste(square.convert("L"), (0, 0))
        cell.paste(colored, (0, _OLD_SIDE))
        ImageDraw.Draw(cell).text((4, 2 * _OLD_SIDE + 3), name, "black")
        cells.append(np.asarray(cell))
    rows = [np.concatenate(cells[first : first + _OLD_COLUMNS], axis=1) for first in range(0, len(cells), _OLD_COLUMNS)]
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    Image.fromarray(np.concatenate(padded)).save(folder / "old.jpg", quality=88)


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
