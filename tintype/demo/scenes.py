"""Small rendered landscapes whose colours follow from what they show, so that a network can learn them in minutes.

A scene is painted back to front: sky with sun and clouds, mountains, then sea or meadow, then trees and houses. By day
the sky is blue and the meadow green; a low sun on the horizon makes an evening, with an orange sky and dark ground.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from photo.whole_file import write_whole

KINDS = ("sea", "meadow", "forest", "village")
# Scenes are painted larger and reduced, which smooths their edges.
_SUPERSAMPLING = 2


def render_scene(kind: str, seed: int, side: int = 128) -> NDArray[np.uint8]:
    """Paint one scene: sRGB uint8 [side, side, 3], always the same for the same arguments."""
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    canvas = _Canvas(side * _SUPERSAMPLING, rng)
    evening = rng.random() < 0.3
    horizon = rng.uniform(0.38, 0.58)

    _paint_sky(canvas, horizon, evening)
    if kind != "sea" or rng.random() < 0.4:
        _paint_mountains(canvas, horizon, evening)
    if kind == "sea":
        _paint_sea(canvas, horizon, evening)
        if rng.random() < 0.6:
            _paint_meadow(canvas, rng.uniform(0.78, 0.9), evening)
    else:
        _paint_meadow(canvas, horizon, evening)
    fewest, most = {"sea": (0, 0), "meadow": (0, 2), "forest": (6, 11), "village": (2, 2)}[kind]
    for _ in range(rng.integers(fewest, most, endpoint=True)):
        _paint_tree(canvas, horizon, evening)
    if kind == "village":
        for _ in range(rng.integers(1, 4)):
            _paint_house(canvas, horizon, evening)

    grain = rng.normal(0, 1.6, canvas.rgb.shape[:2])[..., None]
    painted = np.clip(canvas.rgb + grain, 0, 255).astype(np.uint8)
    return np.asarray(cv2.resize(painted, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def render_scenes(count: int, first_seed: int, side: int = 128) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """`count` scenes of all kinds in turn, each as its kind and sRGB uint8 [side, side, 3]."""
    for index in range(count):
        kind = KINDS[index % len(KINDS)]
        yield kind, render_scene(kind, first_seed + index, side)


def write_collection(folder: Path, count: int, first_seed: int = 0, side: int = 128) -> None:
    """Write `count` scenes as JPEGs into one folder a kind; files that stand are kept, so a second call is quick."""
    for index, kind in enumerate(KINDS[i % len(KINDS)] for i in range(count)):
        path = folder / kind / f"{kind}_{first_seed + index:04d}.jpg"
        if path.exists():
            continue
        scene = render_scene(kind, first_seed + index, side)
        encoded = cv2.imencode(".jpg", scene[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])[1]
        write_whole(path, encoded.tobytes())


class _Canvas:
    """Float RGB [side, side, 3] in 0..255 with the coordinates 0..1 of its pixels."""

    def __init__(self, side: int, rng: np.random.Generator):
        self.side = side
        self.rng = rng
        self.rgb = np.zeros((side, side, 3), np.float32)
        line = (np.arange(side, dtype=np.float32) + 0.5) / side
        self.x, self.y = np.meshgrid(line, line)

    def paint(self, mask: ArrayLike, color: ArrayLike) -> None:
        """Lay a colour, or an image of colours, over the pixels of a mask in 0..1."""
        mask = np.asarray(mask, np.float32)[..., None]
        self.rgb += mask * (np.asarray(color, np.float32) - self.rgb)

    def noise(self, columns: int, rows: int) -> NDArray[np.float32]:
        """Smooth noise, about 0 with deviation 1, of so many bumps across and down."""
        bumps = self.rng.normal(0, 1, (rows + 1, columns + 1)).astype(np.float32)
        return np.asarray(cv2.resize(bumps, (self.side, self.side), interpolation=cv2.INTER_CUBIC), np.float32)

    def polygon(self, corners: ArrayLike) -> NDArray[np.float32]:
        """The mask of a polygon given in coordinates 0..1."""
        mask = np.zeros((self.side, self.side), np.uint8)
        cv2.fillPoly(mask, [np.round(np.asarray(corners) * self.side).astype(np.int32)], 1, cv2.LINE_8)
        return mask.astype(np.float32)


def _rgb(levels: ArrayLike) -> NDArray[np.float32]:
    return np.array(levels, np.float32)


def _between(top: ArrayLike, bottom: ArrayLike, share: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    share = np.clip(share, 0, 1)[..., None]
    mixed: NDArray[np.float32] = np.asarray(top, np.float32) * (1 - share) + np.asarray(bottom, np.float32) * share
    return mixed


def _paint_sky(canvas: _Canvas, horizon: float, evening: bool) -> None:
    height = canvas.y / horizon
    if evening:
        canvas.rgb[:] = _between((70, 60, 120), (250, 150, 60), height**1.3)
        x, y, radius = canvas.rng.uniform(0.2, 0.8), horizon - 0.06, 0.07
        distance = np.hypot(canvas.x - x, canvas.y - y)
        canvas.paint(np.exp(-((distance / 0.22) ** 2)) * 0.7, (255, 190, 80))
        canvas.paint(distance < radius, (255, 235, 170))
    else:
        canvas.rgb[:] = _between((60, 120, 215), (175, 210, 240), height)
        if canvas.rng.random() < 0.5:
            x, y = canvas.rng.uniform(0.1, 0.9), canvas.rng.uniform(0.08, 0.2)
            canvas.paint(np.hypot(canvas.x - x, canvas.y - y) < 0.05, (255, 245, 190))
    clouds = canvas.noise(4, 7) + 0.5 * canvas.noise(9, 16)
    thickness = np.clip((clouds - canvas.rng.uniform(0.2, 1.2)) * 0.9, 0, 0.85) * (canvas.y < horizon)
    canvas.paint(thickness, (240, 170, 140) if evening else (248, 248, 250))


def _paint_mountains(canvas: _Canvas, horizon: float, evening: bool) -> None:
    ridge = canvas.noise(5, 1)[0] * 0.05 + canvas.noise(16, 1)[0] * 0.012
    top = horizon - canvas.rng.uniform(0.06, 0.16) - ridge
    body = (canvas.y > top[None, :]).astype(np.float32)
    shade = np.clip((canvas.y - top[None, :]) / 0.2, 0, 1) + 0.12 * canvas.noise(20, 20)
    canvas.paint(
        body,
        _between((95, 85, 125), (140, 110, 130), shade)
        if evening
        else _between((95, 110, 150), (135, 155, 175), shade),
    )


def _paint_sea(canvas: _Canvas, horizon: float, evening: bool) -> None:
    depth = (canvas.y - horizon) / (1 - horizon)
    color = (
        _between((200, 120, 80), (40, 45, 85), depth * 1.5)
        if evening
        else _between((95, 165, 190), (15, 75, 120), depth)
    )
    waves = canvas.noise(10, 70) * np.clip(depth, 0.1, 1)
    canvas.paint(canvas.y > horizon, color + 11 * waves[..., None])


def _paint_meadow(canvas: _Canvas, top: float, evening: bool) -> None:
    edge = top + 0.012 * canvas.noise(6, 1)[0]
    depth = (canvas.y - top) / (1 - top)
    near, far = ((45, 55, 25), (85, 80, 40)) if evening else ((60, 115, 30), (135, 170, 70))
    grass = 8 * canvas.noise(60, 60) + 9 * canvas.noise(110, 40) * np.clip(depth, 0, 1)
    canvas.paint(canvas.y > edge[None, :], _between(far, near, depth) + grass[..., None] * _rgb([0.8, 1, 0.5]))


def _paint_tree(canvas: _Canvas, horizon: float, evening: bool) -> None:
    foot = canvas.rng.uniform(horizon + 0.03, 0.92)
    height = 0.12 + 0.45 * (foot - horizon)
    x, width = canvas.rng.uniform(0.03, 0.97), 0.28 * height
    trunk = (abs(canvas.x - x) < 0.035 * height + 0.004) & (canvas.y < foot) & (canvas.y > foot - 0.5 * height)
    canvas.paint(trunk, (50, 32, 25) if evening else (95, 65, 40))
    lumps = 0.18 * canvas.noise(25, 25)
    if canvas.rng.random() < 0.5:
        crown = np.hypot((canvas.x - x) / width, (canvas.y - foot + 0.68 * height) / (0.36 * height)) + lumps < 1
    else:
        share = (canvas.y - (foot - height)) / (0.8 * height)
        crown = (share > 0) & (share < 1) & (abs(canvas.x - x) < width * share * (1 + lumps))
    leaves = 14 * canvas.noise(50, 50) - 25 * (canvas.x - x)[..., :] / width
    base = _rgb((30, 40, 25) if evening else (38, 85, 32))
    canvas.paint(crown, base + leaves[..., None] * _rgb([0.6, 0.9, 0.4]))


def _paint_house(canvas: _Canvas, horizon: float, evening: bool) -> None:
    width, foot = canvas.rng.uniform(0.16, 0.3), canvas.rng.uniform(horizon + 0.12, 0.85)
    left, height = canvas.rng.uniform(0.03, 0.95 - width), width * canvas.rng.uniform(0.6, 0.8)
    dim = 0.62 if evening else 1.0
    top = foot - height
    wall = dim * _rgb((228, 205, 160)) + 4 * canvas.noise(40, 40)[..., None]
    canvas.paint(canvas.polygon([(left, top), (left + width, top), (left + width, foot), (left, foot)]), wall)
    tiles = 10 * np.sin(canvas.y * 260)[..., None] + 4 * canvas.noise(40, 40)[..., None]
    roof = [(left - 0.02, top), (left + width * 0.5, top - height * 0.65), (left + width + 0.02, top)]
    canvas.paint(canvas.polygon(roof), dim * _rgb((165, 62, 42)) + tiles)
    for share in (0.18, 0.62):
        x, y, size = left + share * width, top + 0.25 * height, 0.2 * width
        window = [(x, y), (x + size, y), (x + size, y + size), (x, y + size)]
        canvas.paint(canvas.polygon(window), (250, 205, 95) if evening else (70, 95, 120))
    door = [
        (left + 0.43 * width, foot - 0.45 * height),
        (left + 0.57 * width, foot - 0.45 * height),
        (left + 0.57 * width, foot),
        (left + 0.43 * width, foot),
    ]
    canvas.paint(canvas.polygon(door), dim * _rgb((105, 65, 40)))
