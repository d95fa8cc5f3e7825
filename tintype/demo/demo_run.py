"""The whole demo on data that Tintype makes itself: collect, train, evaluate, push, serve, colour, show."""

import dataclasses
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from skimage import data

from components.evaluator.picture_grid import HEADINGS, draw_grid
from photo.color import lab_to_rgb, rgb_to_lab
from photo.decoding import decode_photo
from photo.encoding import encode_photo
from photo.errors import TintypeError
from photo.geometry import centered_square
from photo.whole_file import write_whole
from pipeline.config import load_config
from pipeline.run_report import RunReport, report_table
from pipeline.runners.local import run_local
from serving.client.colorizer import Colorizer
from serving.model.shipped_generator import shipped_generator, unpack
from tintype.demo.scenes import render_scenes, write_collection

SCENES = 400
HELD_OUT = 8
# Far from the seeds of the collection: these scenes are never trained on.
HELD_OUT_SEED = 1_000_000
REAL_PHOTOGRAPHS = ("rocket", "coffee", "chelsea", "astronaut")
REAL_HEADINGS = ("gray", "by the demo's model", "by the one that ships", "true")
CELL = 224


class Row(NamedTuple):
    """A photograph in three forms, sRGB uint8 [H, W, 3] of one size."""

    gray: NDArray[np.uint8]
    colored: NDArray[np.uint8]
    true: NDArray[np.uint8]


class RealRow(NamedTuple):
    """As `Row`, coloured by the demo's model and by the generator that comes with Tintype."""

    gray: NDArray[np.uint8]
    colored: NDArray[np.uint8]
    by_shipped: NDArray[np.uint8]
    true: NDArray[np.uint8]


def run_demo(out: Path, settings: list[str], verbose: bool) -> dict[str, Any]:
    """Run the demo and write `result.png` and `summary.json` into `out`.

    Raises:
        TintypeError: the model was not blessed, so there is nothing to serve.
    """
    console = Console()
    photographs = out / "photographs"
    console.print(f"[bold]1[/bold] rendering {SCENES} scenes into {photographs}")
    write_collection(photographs, SCENES)

    console.print("[bold]2[/bold] running the pipeline on them")
    report = run_local(load_config("demo", settings), data=str(photographs), out=out / "run", verbose=verbose)
    console.print(report_table(report))
    destination = Path(report.pushed).parent if report.pushed else None
    if destination is None:
        raise TintypeError("the demo's model was not pushed; the table above says why")

    console.print("[bold]3[/bold] serving it and colouring photographs it never saw")
    scenes = [scene for _, scene in render_scenes(HELD_OUT, HELD_OUT_SEED)]
    photos = [getattr(data, name)() for name in REAL_PHOTOGRAPHS]
    colored = _color_through_server(destination, [*scenes, *photos])
    console.print("[bold]4[/bold] colouring the real ones with the generator that comes with Tintype, too")
    by_shipped = _color_through_server(unpack(shipped_generator()), photos)
    of_scenes = [Row(_gray(true), color, true) for true, color in zip(scenes, colored, strict=False)]
    of_photos = [
        RealRow(_gray(true), color, shipped, true)
        for true, color, shipped in zip(photos, colored[len(scenes) :], by_shipped, strict=True)
    ]
    _draw(of_scenes[: len(photos)], of_photos, out / "result.png")
    summary = _summary(report, of_scenes, of_photos)
    write_whole(out / "summary.json", json.dumps(summary, indent=2))

    held_out = summary["held_out_scenes"]
    console.print(
        f"held-out scenes: ab error {held_out['ab_mae']:.2f} against {held_out['ab_mae_gray']:.2f} when left gray "
        f"({1 - held_out['ab_mae_ratio']:.0%} lower)"
    )
    real = summary["real_photographs"]
    console.print(
        f"real photographs: {real['ab_mae']:.2f} by the demo's model, which has seen none, "
        f"{real['ab_mae_shipped']:.2f} by the generator that ships, {real['ab_mae_gray']:.2f} when left gray",
        soft_wrap=True,
    )
    console.print(
        f"[green]done[/green]: look at {out / 'result.png'}; figures in {out / 'summary.json'}", soft_wrap=True
    )
    command = "tintype" if shutil.which("tintype") else os.path.relpath(sys.argv[0])
    console.print(
        f"serve it:  {command} serve --model_base_path={os.path.relpath(destination)}\n"
        f"colour:    {command} colorize PHOTO -o coloured/ --server localhost:8500",
        highlight=False,
        soft_wrap=True,
    )
    return summary


def _color_through_server(model_base_path: Path, photos: list[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    """Take the colour away, send what is left as PNGs, and read the coloured photographs that come back."""
    from serving.server import EmbeddedServer, ServerOptions

    with EmbeddedServer(ServerOptions("colorizer", model_base_path)) as server:
        server.wait_until_available(60)
        with Colorizer(f"localhost:{server.port}") as colorizer:
            answers = [colorizer.colorize(encode_photo(_gray(photo), "PNG")) for photo in photos]
    return [np.asarray(decode_photo(answer).rgb, np.uint8) for answer in answers]


def _gray(true: NDArray[np.uint8]) -> NDArray[np.uint8]:
    lightness = rgb_to_lab(true)
    lightness[..., 1:] = 0
    return lab_to_rgb(lightness)


def _draw(left: list[Row], right: list[RealRow], path: Path) -> None:
    """Two grids side by side, every photo cropped to its largest centred square."""
    halves = [
        np.asarray(draw_grid([[_cell(photo) for photo in row] for row in rows], headings))
        for rows, headings in ((left, HEADINGS), (right, REAL_HEADINGS))
    ]
    write_whole(path, encode_photo(np.concatenate(halves, axis=1), "PNG"))


def _cell(photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    square = centered_square(photo)
    interpolation = cv2.INTER_AREA if len(square) > CELL else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(square, (CELL, CELL), interpolation=interpolation), np.uint8)


def _summary(report: RunReport, scenes: list[Row], photos: list[RealRow]) -> dict[str, Any]:
    error, error_gray = _ab_error(scenes, "colored"), _ab_error(scenes, "gray")
    return {
        "run": dataclasses.asdict(report),
        "held_out_scenes": {
            "n_images": len(scenes),
            "ab_mae": error,
            "ab_mae_gray": error_gray,
            "ab_mae_ratio": error / error_gray,
        },
        "real_photographs": {
            "n_images": len(photos),
            "ab_mae": _ab_error(photos, "colored"),
            "ab_mae_shipped": _ab_error(photos, "by_shipped"),
            "ab_mae_gray": _ab_error(photos, "gray"),
        },
    }


def _ab_error(rows: Sequence[Row | RealRow], form: str) -> float:
    """Mean absolute difference of a* and b* between a form of the photographs and the true one."""
    errors = [np.abs(rgb_to_lab(getattr(row, form))[..., 1:] - rgb_to_lab(row.true)[..., 1:]).mean() for row in rows]
    return float(np.mean(errors))
