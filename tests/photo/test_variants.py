"""Colourings that can be told apart."""

import numpy as np

from photo.variants import visibly_different


def test_colourings_that_look_alike_are_left_out_and_the_first_stays():
    one = np.zeros((8, 8, 2), np.float32)
    alike, other = one + np.array([1.5, 1.5]), one + np.array([0.0, 3.0])
    half = one.copy()
    half[:, :4] = (10.0, 0.0)  # elsewhere the same
    kept = visibly_different(np.stack([one, alike, other, half, other + 0.1]).astype(np.float32), 90, 90)
    np.testing.assert_array_equal(kept, np.stack([one, other, half]).astype(np.float32))
    assert len(visibly_different(np.zeros((3, 4, 4, 2), np.float32), 5, 4)) == 1


def test_what_pads_a_panorama_does_not_count():
    ab = np.zeros((2, 32, 32, 2), np.float32)
    ab[1, 14:18] = (8.0, 0.0)
    assert len(visibly_different(ab, 100, 800)) == 2
    assert len(visibly_different(ab, 800, 800)) == 1
