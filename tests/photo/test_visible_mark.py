import numpy as np
import pytest

from photo.apply_ab import apply_ab
from photo.coloring_options import ColoringOptions
from photo.visible_mark import with_visible_mark


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("shade", [0.0, 0.5, 1.0])
def test_the_mark_is_small_in_its_corner_and_contrasts_with_every_shade(dtype, shade):
    most = 1.0 if dtype == np.float32 else np.iinfo(dtype).max
    photo = np.full((300, 400, 3), shade * most, dtype)
    before, marked = photo.copy(), with_visible_mark(photo)
    np.testing.assert_array_equal(photo, before)
    rows, columns = np.nonzero((marked != photo).any(axis=-1))
    assert rows.min() > 270
    assert columns.min() > 280
    corner = marked[270:, 280:] / most
    assert corner.max() - corner.min() > 0.45


@pytest.mark.parametrize("shape", [(1, 1), (5, 9), (3, 900), (900, 3), (40, 40)])
def test_a_photograph_of_any_size_takes_it(shape):
    assert with_visible_mark(np.zeros((*shape, 3), np.uint8)).shape == (*shape, 3)


def test_it_is_laid_on_when_asked_for_whatever_the_kind():
    photo, ab = np.full((200, 300, 3), 128, np.uint8), np.zeros((32, 32, 2), np.float32)
    np.testing.assert_array_equal(apply_ab(photo, ab), photo)
    marked = apply_ab(photo, ab, ColoringOptions(mark=True))
    assert (marked != photo).any()
    assert (marked[:170] == photo[:170]).all()
