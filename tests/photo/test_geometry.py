import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from photo.geometry import crop, fit_square, resize


@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 40), st.sampled_from([(), (1,), (3,)]))
def test_the_square_holds_the_whole_image_at_its_aspect_ratio(height, width, size, channels):
    image = np.random.default_rng(0).random((height, width, *channels), np.float32)
    square, (top, left, box_height, box_width) = fit_square(image, size)
    assert square.shape == (size, size, *channels)
    assert square.dtype == image.dtype
    assert max(box_height, box_width) == size
    assert abs(box_height * width - box_width * height) <= max(height, width)  # within a pixel of the ratio
    assert crop(square, (top, left, box_height, box_width)).shape == (box_height, box_width, *channels)


def test_padding_repeats_the_edge():
    image = np.arange(8, dtype=np.float32).reshape(2, 4)
    square, box = fit_square(image, 4)
    assert box == (1, 0, 2, 4)
    np.testing.assert_array_equal(square, image[[0, 0, 1, 1]])


def test_shrinking_averages():
    checkers = np.indices((64, 64)).sum(0) % 2 * np.float32(100)
    np.testing.assert_allclose(fit_square(checkers, 8)[0], 50)


def test_a_square_of_the_right_size_is_left_alone():
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    np.testing.assert_array_equal(fit_square(image, 16)[0], image)
    assert resize(image, 16, 16) is image


@pytest.mark.parametrize(("shape", "size"), [((4,), 8), ((0, 4), 8), ((4, 4), 0)])
def test_impossible_wishes_are_named(shape, size):
    with pytest.raises(ValueError, match=r"expected .* received"):
        fit_square(np.zeros(shape, np.float32), size)
