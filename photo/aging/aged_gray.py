"""Ages the gray of a photograph: each effect by its chance, in the order in which it happens to a photograph."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from photo.aging import negative, paper, reproduction
from photo.aging.negative import Gray
from photo.color import gray_of_mix

_PLATE = "plate"
_CHANGE: Mapping[str, Callable[[Gray, np.random.Generator], Gray]] = {
    "halation": negative.halation,
    "blur": negative.blur,
    "contrast": negative.contrast,
    "grain": negative.grain,
    "fading": paper.fading,
    "toning": paper.toning,
    "stains": paper.stains,
    "scratches": paper.scratches,
    "dust": paper.dust,
}
_HIDE: Mapping[str, Callable[[Gray, np.random.Generator], tuple[Gray, NDArray[np.bool_]]]] = {
    "torn_corners": paper.torn_corners,
    "paper_border": paper.paper_border,
}
_COPY: Mapping[str, Callable[[Gray, np.random.Generator], Gray]] = {
    "halftone": reproduction.halftone,
    "jpeg": reproduction.jpeg,
}
# By name, in the order in which they happen; and those of them that hide a part of the photograph.
HIDING = tuple(_HIDE)
EFFECTS = (_PLATE, *_CHANGE, *_HIDE, *_COPY)


class AgedGray(NamedTuple):
    """The gray of an aged photograph.

    Attributes:
        gray: uint8 [H, W], the value of neutral sRGB.
        hidden: bool [H, W], where a border or a torn corner has taken the photograph's place. There is no colour there
            that could be known: whoever compares with the true colours takes these pixels as gray.
    """

    gray: NDArray[np.uint8]
    hidden: NDArray[np.bool_]


def age(rgb: NDArray[np.uint8], chances: Mapping[str, float], draws: np.random.Generator) -> AgedGray:
    """Age a photograph's gray; its colours are not touched.

    Args:
        rgb: sRGB, uint8 [H, W, 3].
        chances: 0..1 for the effects that may happen, by their names in `EFFECTS`; another never happens. Without any
            the gray has the photograph's own lightness, rounded to 8 bits.
        draws: decides which effects happen, and how strong they are.

    Raises:
        ValueError: a chance is for no effect.
    """
    if unknown := sorted(set(chances) - set(EFFECTS)):
        raise ValueError(f"there is no effect {', '.join(unknown)}; there are {', '.join(EFFECTS)}")
    happens = {name: bool(chance > draws.random()) for name in EFFECTS for chance in [chances.get(name, 0.0)]}
    gray = negative.plate_gray(rgb, draws) if happens[_PLATE] else gray_of_mix(rgb)
    hidden = np.zeros(gray.shape, np.bool_)
    for name, change in _CHANGE.items():
        if happens[name]:
            gray = _in_range(change(gray, draws))
    for name, hide in _HIDE.items():
        if happens[name]:
            gray, gone = hide(gray, draws)
            gray, hidden = _in_range(gray), hidden | gone
    for name, copy in _COPY.items():
        if happens[name]:
            gray = _in_range(copy(gray, draws))
    return AgedGray(np.round(gray * 255).astype(np.uint8), hidden)


def _in_range(gray: Gray) -> Gray:
    return np.asarray(np.clip(gray, 0.0, 1.0), np.float32)
