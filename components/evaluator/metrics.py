"""How far a coloured photograph is from the true one: the metrics of one photo, and their means over many."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from skimage.color import deltaE_ciede2000
from skimage.metrics import structural_similarity

from photo.color import colorfulness, join_lightness_and_color, rgb_to_lab

METRICS = (
    "psnr_db",
    "ssim",
    "delta_e_2000",
    "ab_mae",
    "accuracy_eps2",
    "accuracy_eps5",
    "colorfulness",
    "colorfulness_truth",
    "left_gray",
)

# Equal photos have an infinite PSNR, which no mean survives and JSON cannot hold. The largest finite one, of a
# 256-pixel square with a single value one step off, is 101 dB.
PSNR_CAP_DB = 100.0

NOT_FINITE = "not_finite"

# A photograph whose mean chroma is under this share of the truth's counts as left gray.
LEFT_GRAY_SHARE = 0.25


def photo_metrics(truth: NDArray[np.uint8], ab: NDArray[np.float32]) -> dict[str, float]:
    """Compare a photo's true colours with predicted ones.

    The predicted photo is the truth's own L* with the predicted ab, as 8-bit sRGB: what the client would deliver.

    Args:
        truth: the photo in its true colours, uint8 sRGB [H, W, 3], sides of at least 7 pixels (SSIM's window).
        ab: the predicted a*b*, float32 [H, W, 2], CIE units. Values that are not finite count as 0.

    Returns:
        By name:
        psnr_db: 10 log10(255^2 / mean squared error over pixels and RGB channels), at most PSNR_CAP_DB.
        ssim: Wang et al., "Image quality assessment: from error visibility to structural similarity" (2004), uniform
            window of 7 pixels, mean over the RGB channels.
        delta_e_2000: mean CIEDE2000 colour difference (Sharma et al. 2005) of the two 8-bit photos, over pixels.
        ab_mae: mean |ab - true ab| over pixels and both channels, CIE units, of the prediction as it is, before what
            sRGB cannot show is brought into its range.
        accuracy_eps2, accuracy_eps5: share of pixels, 0..1, all of whose RGB channels are less than 2% (5%) of the
            range from the truth: Nazeri et al., "Image Colorization Using Generative Adversarial Networks" (2018).
        colorfulness, colorfulness_truth: Hasler and Suesstrunk's M3 (2003) of the predicted and of the true photo.
        left_gray: 1 if the predicted photo's mean chroma (the length of ab, over pixels) is under LEFT_GRAY_SHARE of
            the true one's, else 0; its mean over photos is a share of them.
        not_finite: 1 if any value of `ab` is not finite, else 0.
    """
    if ab.shape != (*truth.shape[:2], 2):
        raise ValueError(f"expected ab of shape {(*truth.shape[:2], 2)} for this photo, received {ab.shape}")
    true_lab = rgb_to_lab(truth)
    finite = bool(np.isfinite(ab).all())
    if not finite:
        ab = np.where(np.isfinite(ab), ab, 0.0)
    predicted = join_lightness_and_color(true_lab[..., 0], ab.astype(np.float32))
    predicted_lab = rgb_to_lab(predicted)
    difference = np.abs(predicted.astype(np.int32) - truth)
    return {
        "psnr_db": _psnr_db(difference),
        "ssim": float(structural_similarity(truth, predicted, channel_axis=-1, data_range=255)),
        "delta_e_2000": float(np.mean(deltaE_ciede2000(true_lab, predicted_lab))),
        "ab_mae": float(np.mean(np.abs(ab - true_lab[..., 1:]), dtype=np.float64)),
        "accuracy_eps2": accuracy(difference, percent=2),
        "accuracy_eps5": accuracy(difference, percent=5),
        "colorfulness": colorfulness(predicted),
        "colorfulness_truth": colorfulness(truth),
        "left_gray": float(_mean_chroma(predicted_lab) < LEFT_GRAY_SHARE * _mean_chroma(true_lab)),
        NOT_FINITE: float(not finite),
    }


def _mean_chroma(lab: NDArray[np.float32]) -> float:
    return float(np.mean(np.hypot(lab[..., 1], lab[..., 2]), dtype=np.float64))


def _psnr_db(difference: NDArray[np.int32]) -> float:
    mean_squared_error = float(np.mean(np.square(difference), dtype=np.float64))
    if mean_squared_error == 0.0:
        return PSNR_CAP_DB
    return min(PSNR_CAP_DB, 10.0 * math.log10(255.0**2 / mean_squared_error))


def accuracy(difference: NDArray[np.int32], *, percent: int) -> float:
    """The share of pixels, 0..1, all of whose channels are less than `percent` of 255 from the truth.

    Args:
        difference: absolute, in 8-bit steps, [H, W, C].
        percent: of the range.
    """
    return float(np.mean((difference * 100 < percent * 255).all(axis=-1)))


@dataclass
class MetricSums:
    """Sums of photo metrics that can be taken in any order and on several machines, then merged.

    Attributes:
        count: photos added.
        sums: by whose prediction it is ("model", "grayscale", "baseline", "spoiled") and by metric.
    """

    count: int = 0
    sums: dict[str, dict[str, float]] = field(default_factory=dict)

    def add(self, photo: Mapping[str, Mapping[str, float]]) -> "MetricSums":
        """Add one photo's metrics, by whose prediction they are of. Returns itself."""
        self.count += 1
        self._add_sums(photo)
        return self

    def merge(self, other: "MetricSums") -> "MetricSums":
        """Add all that the other one has seen. Returns itself."""
        self.count += other.count
        self._add_sums(other.sums)
        return self

    def _add_sums(self, sums: Mapping[str, Mapping[str, float]]) -> None:
        for source, values in sums.items():
            mine = self.sums.setdefault(source, {})
            for name, value in values.items():
                mine[name] = mine.get(name, 0.0) + value

    def means(self, source: str) -> dict[str, float | int]:
        """Return the mean over photos of each of METRICS, and `n_images`. The PSNR is the mean of the photos' PSNRs."""
        if not self.count:
            raise ValueError("no photo was added: there is no mean")
        means: dict[str, float | int] = {name: self.sums[source][name] / self.count for name in METRICS}
        return means | {"n_images": self.count}

    def not_finite(self, source: str) -> int:
        """Return how many photos got a prediction with values that are not finite."""
        return round(self.sums[source][NOT_FINITE])
