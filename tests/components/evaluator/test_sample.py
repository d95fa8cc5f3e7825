import numpy as np

from components.evaluator.sample import SAMPLE_PHOTOS, Sample


def photos(count):
    return [np.full((4, 4, 3), number, np.uint8) for number in range(count)]


def kept(squares):
    sample = Sample()
    for square in squares:
        sample.add(square)
    return [int(square[0, 0, 0]) for square in sample.squares()]


def test_a_sample_does_not_depend_on_the_order():
    squares = photos(200)
    assert len(kept(squares)) == SAMPLE_PHOTOS
    assert kept(squares) == kept(squares[::-1])


def test_a_small_collection_is_its_own_sample():
    assert sorted(kept(photos(5))) == [0, 1, 2, 3, 4]


def test_equal_photographs_are_no_error():
    assert len(kept([*photos(1) * 100])) == SAMPLE_PHOTOS
