"""Colours spread from scribbles by optimisation, without a network (Levin, Lischinski and Weiss 2004)."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags, identity
from scipy.sparse.linalg import spsolve

# The variance of a window is taken so much smaller, and never under this: with L* in 0..1, values of the authors' code.
_VARIANCE_SHARE = 0.6
_LEAST_VARIANCE = 2e-6
# Neighbours that differ most from a pixel still count this much for it, so that no pixel is cut off.
_LEAST_WEIGHT = 0.01


def spread_scribbles(lightness: NDArray[np.float32], hints: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give every pixel the weighted mean of its neighbours' colours, but those that have a colour of their own.

    Neighbours that are alike in lightness should be alike in colour: the colours minimise the sum over pixels r of
    (U(r) - sum over s of w(r, s) U(s))^2, w falling with (L(r) - L(s))^2 over the variance of the window 3x3 around r
    (Levin et al., "Colorization using Optimization", 2004). Their own solution fixes the pixels of the scribbles and
    solves the linear system in which every other term is 0; so does this.

    Args:
        lightness: L*, [H, W], 0..100.
        hints: a*, b* and 1 where the colour is known, else 0; [H, W, 3].

    Returns:
        a*b*, float32 [H, W, 2]; zeros where there is no hint at all.
    """
    known = hints[..., 2].ravel() > 0
    if not known.any():
        return np.zeros((*lightness.shape, 2), np.float32)
    weights = diags((~known).astype(np.float64)) @ _neighbor_weights(lightness.astype(np.float64) / 100.0)
    colors = np.where(known[:, None], hints[..., :2].reshape(-1, 2), 0.0)
    solved: NDArray[np.float64] = spsolve((identity(known.size, format="csr") - weights).tocsc(), colors)
    return solved.reshape(*lightness.shape, 2).astype(np.float32)


def _neighbor_weights(lightness: NDArray[np.float64]) -> csr_matrix:
    """The weights of the up to eight neighbours of each pixel, each row's sum 1: [H*W, H*W]."""
    height, width = lightness.shape
    padded = np.pad(lightness, 1, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3)).reshape(height * width, 9)
    center = windows[:, 4:5]
    differences = np.square(windows - center)
    furthest = np.nanmax(differences, axis=1)
    spread = np.maximum(_VARIANCE_SHARE * np.nanvar(windows, axis=1), -furthest / np.log(_LEAST_WEIGHT))
    weights = np.exp(-differences / np.maximum(spread, _LEAST_VARIANCE)[:, None])
    weights[:, 4] = np.nan  # not its own neighbour
    rows, places = np.nonzero(~np.isnan(weights))
    across = np.arange(-1, 2)
    steps = (across[:, None] * width + across[None]).ravel()
    values = weights[rows, places] / np.nansum(weights, axis=1)[rows]
    return csr_matrix((values, (rows, rows + steps[places])), shape=(height * width,) * 2)
