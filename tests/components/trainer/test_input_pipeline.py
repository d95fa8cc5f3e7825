import numpy as np
import pytest

from components.trainer.config import AugmentationConfig
from components.trainer.input_pipeline import count_examples, example_files, first_squares, training_batches
from serving.client.errors import TintypeError
from tests.scene_examples import write_scene_examples


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = write_scene_examples(tmp_path_factory.mktemp("examples"), split="train", count=10, first_seed=0)
    return example_files(str(folder), "train")


def batches(files, seed, count=4, **augmentation):
    dataset = training_batches(
        files,
        photo_count=count_examples(files),
        size=32,
        batch_size=4,
        augmentation=AugmentationConfig(**augmentation),
        seed=seed,
    )
    return [batch.numpy() for batch in dataset.take(count)]


def test_batches_are_full_uint8_squares_and_never_end(files):
    assert count_examples(files) == 10
    for batch in batches(files, seed=1, count=7):
        assert batch.shape == (4, 32, 32, 3)
        assert batch.dtype == np.uint8


def test_one_seed_decides_order_and_augmentation(files):
    first, again, other = batches(files, 1), batches(files, 1), batches(files, 2)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_without_augmentation_a_batch_holds_the_photos_as_they_are(files):
    photos = {photo.tobytes() for photo in first_squares(files, size=32, count=10).numpy()}
    for batch in batches(files, seed=3, enlarge=1.0, flip=False):
        assert {photo.tobytes() for photo in batch} <= photos


def test_a_split_without_files_is_named(tmp_path):
    with pytest.raises(TintypeError, match="no examples of the split eval"):
        example_files(str(tmp_path), "eval")


@pytest.fixture(scope="module")
def one_photo(tmp_path_factory):
    folder = write_scene_examples(tmp_path_factory.mktemp("one"), split="train", count=1, first_seed=0)
    return example_files(str(folder), "train")


def test_flipping_shows_a_photo_from_both_sides(one_photo):
    (photo,) = first_squares(one_photo, size=32, count=1).numpy()
    seen = {square.tobytes() for batch in batches(one_photo, seed=1, enlarge=1.0) for square in batch}
    assert seen == {photo.tobytes(), photo[:, ::-1].tobytes()}


def test_enlarging_shows_a_photo_in_many_crops(one_photo):
    seen = {square.tobytes() for batch in batches(one_photo, seed=1, enlarge=1.5, flip=False) for square in batch}
    assert len(seen) > 10
