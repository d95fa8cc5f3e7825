"""Steadies the colours that a model finds frame by frame: they are carried along the motion, in both directions."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from serving.video.motion import Float32, Motion, motions, move

# How much of a colour comes from the frame before, where its motion can be trusted fully.
_CARRIED = 0.94


def motions_of_shot(lightness: Sequence[Float32]) -> list[tuple[Motion, Motion]]:
    """Return for each frame but the first the motion to the one before, and that one's motion to it."""
    return [motions(after, before) for before, after in pairwise(lightness)]


def steady(
    predicted: Sequence[Float32 | None],
    between: Sequence[tuple[Motion, Motion]],
    before: tuple[Float32, Motion] | None = None,
) -> list[Float32]:
    """Steady the colours of one shot, or of a part of it.

    Args:
        predicted: a*b* of each frame, float32 [H, W, 2]; None of those that the model was not asked for; never of the
            first.
        between: what `motions_of_shot` returned.
        before: the steady a*b* of the frame before the first, of the same shot, and the motion to it; None at a cut.

    Returns:
        a*b* of each frame, float32 [H, W, 2].
    """
    filled = _filled(predicted, between)
    forwards = _carried(filled, [to_before for to_before, _ in between], before)
    backwards = _carried(filled[::-1], [to_after for _, to_after in reversed(between)], None)[::-1]
    # Both hold the frame's own prediction with the same weight; what came from one side only is as good as the other.
    last = len(filled) - 1
    steadied = []
    for index, (one, two) in enumerate(zip(forwards, backwards, strict=True)):
        share = 1.0 if before is not None and index == 0 else 0.5
        share = share + (0.5 - share) * min(1.0, index / max(1, min(8, last)))
        steadied.append((share * one + (1 - share) * two).astype(np.float32))
    return steadied


def _filled(predicted: Sequence[Float32 | None], between: Sequence[tuple[Motion, Motion]]) -> list[Float32]:
    filled: list[Float32] = []
    for index, ab in enumerate(predicted):
        if ab is None:
            ab = move(filled[-1], between[index - 1][0].flow)
        filled.append(ab)
    return filled


def _carried(
    colors: Sequence[Float32], steps: Sequence[Motion], before: tuple[Float32, Motion] | None
) -> list[NDArray[np.float32]]:
    carried: list[Float32] = []
    count = np.float32(0) if before is None else np.float32(1 / (1 - _CARRIED))
    weight = np.full(colors[0].shape[:2], count, np.float32)
    for index, ab in enumerate(colors):
        last = before if index == 0 else (carried[-1], steps[index - 1])
        if last is None:
            weight = np.ones_like(weight)
            carried.append(ab)
            continue
        colored, motion = last
        # A running mean of what was seen so far, until it is as long as _CARRIED says; it starts anew where hidden.
        weight = _CARRIED * motion.trust * move(weight, motion.flow) + 1
        own = (1 / weight)[..., None]
        carried.append((own * ab + (1 - own) * move(colored, motion.flow)).astype(np.float32))
    return carried
