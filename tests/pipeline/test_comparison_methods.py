"""The methods of others that a comparison shows beside its entries."""

import numpy as np

from pipeline.comparison import figures
from pipeline.comparison.methods.levin import spread_scribbles
from tests.pipeline.test_comparison import column, measured


def two_grays(size: int = 24) -> np.ndarray:
    lightness = np.full((size, size), 30, np.float32)
    lightness[:, size // 2 :] = 70
    return lightness


def test_a_scribble_fills_what_is_alike_and_stops_at_an_edge():
    hints = np.zeros((24, 24, 3), np.float32)
    hints[4:20, 3] = (40, -20, 1)
    hints[4:20, 20] = (-10, 50, 1)
    ab = spread_scribbles(two_grays(), hints)
    np.testing.assert_allclose(ab[:, :11], np.broadcast_to((40, -20), (24, 11, 2)), atol=12)
    np.testing.assert_allclose(ab[:, 13:], np.broadcast_to((-10, 50), (24, 11, 2)), atol=12)
    np.testing.assert_allclose(ab[5, 3], (40, -20), atol=1e-4)


def test_without_scribbles_a_photograph_stays_gray_and_one_without_contrast_is_filled():
    assert not spread_scribbles(two_grays(), np.zeros((24, 24, 3), np.float32)).any()
    hints = np.zeros((9, 9, 3), np.float32)
    hints[0, 0] = (5, 6, 1)
    np.testing.assert_allclose(spread_scribbles(np.full((9, 9), 50, np.float32), hints)[8, 8], (5, 6), atol=1e-3)


def test_methods_stand_below_the_entries_and_hints_have_a_table():
    entry, method = measured("network"), measured("levin", psnr=21.0, method="levin")
    del method["training"]
    for row, gains in ((entry, (20.0, 24.0)), (method, (18.0, 22.0))):
        row["metrics"]["hint_curve"] = [
            {"hints": hints, "psnr_db": psnr} for hints, psnr in zip((0, 10), gains, strict=True)
        ]
    quality, hints, cost = figures.tables([entry, measured("without")], [method])
    assert [label for label, _ in quality.rows] == ["left gray", "network", "without", "levin"]
    assert [label for label, _ in cost.rows] == ["network", "without"]
    assert hints.headings == ("0 hints", "10 hints")
    assert column(hints, "10 hints") == [("24.00", True), ("22.00", False)]
    assert not figures.remarks([method])
