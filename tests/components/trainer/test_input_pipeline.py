import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from components.trainer import decoded_photos
from components.trainer.config import AgingConfig, AugmentationConfig
from components.trainer.decoded_photos import content_digest, decode_photos, example_files, first_squares, photo_weights
from components.trainer.input_pipeline import training_batches
from photo.aging import EFFECTS
from photo.color import gray_of_mix
from photo.errors import TintypeError
from tests.scene_examples import write_scene_examples


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("a[1]*?b")  # which is no pattern
    write_scene_examples(folder, split="train", count=10, first_seed=0)
    return example_files(str(folder), "train")


def decode(files, side=32, memory_share=0.25, disk_folder="unused"):
    return decode_photos(files, side=side, memory_share=memory_share, disk_folder=str(disk_folder), fingerprint="0")


def batches(files, seed, count=4, enlarge=1.12, flip=True, smallest_crop=1.0, **where):
    photos = decode(files, round(32 * enlarge))
    augmentation = AugmentationConfig(enlarge=enlarge, flip=flip, smallest_crop=smallest_crop)
    dataset = training_batches(photos, size=32, batch_size=4, augmentation=augmentation, seed=seed, **where)
    return list(dataset.take(count).as_numpy_iterator())


def test_batches_are_full_uint8_squares_and_never_end(files):
    for batch in batches(files, seed=1, count=7):
        assert batch.shape == (4, 32, 32, 3)
        assert batch.dtype == np.uint8


def test_one_seed_decides_order_and_augmentation(files):
    first, again, other = batches(files, 1), batches(files, 1), batches(files, 2)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_a_dataset_that_begins_at_a_later_step_goes_on_as_if_it_had_run_from_the_start(files):
    whole = batches(files, seed=1, count=8)
    resumed = batches(files, seed=1, count=3, first_step=5)
    assert all(np.array_equal(a, b) for a, b in zip(whole[5:], resumed, strict=True))


def test_replicas_share_each_step_s_batch(files):
    whole = batches(files, seed=1, count=3)
    shared = batches(files, seed=1, count=6, shares=[(0, 2), (2, 4)])
    for step in range(3):
        assert np.array_equal(whole[step], np.concatenate(shared[2 * step : 2 * step + 2]))


def test_every_epoch_shows_each_photo_once_in_another_order(files):
    shown = [photo.tobytes() for batch in batches(files, seed=1, count=5, enlarge=1.0, flip=False) for photo in batch]
    first, second = shown[:10], shown[10:]
    assert len(set(first)) == 10
    assert set(first) == set(second)
    assert first != second


def drawn(weights, steps, seed=1, **settings):
    """How often each of ten photographs was drawn in some steps of five."""
    photos = np.broadcast_to(np.arange(10, dtype=np.uint8)[:, None, None, None], (10, 16, 16, 3))
    augmentation = AugmentationConfig(enlarge=1.0, flip=False)
    weights = None if weights is None else np.array(weights, np.float64)
    dataset = training_batches(
        photos, size=16, batch_size=5, augmentation=augmentation, seed=seed, weights=weights, **settings
    ).take(steps)
    return np.concatenate([batch[:, 0, 0, 0] for batch in dataset.as_numpy_iterator()])


def test_photographs_are_drawn_as_often_as_their_weights_say():
    counts = np.bincount(drawn([1, 1, 1, 1, 1, 1, 1, 1, 2, 0], 200), minlength=10)
    assert counts[9] == 0
    assert counts[8] == pytest.approx(200, abs=2)
    assert counts[:8] == pytest.approx(np.full(8, 100), abs=12)
    assert np.array_equal(drawn([1] * 9 + [3], 8), drawn([1] * 9 + [3], 8))
    assert not np.array_equal(drawn([1] * 9 + [3], 8), drawn([1] * 9 + [3], 8, seed=2))


def test_equal_weights_show_each_photo_once_an_epoch_as_none_do():
    for weights in (None, [0.3] * 10):
        epochs = drawn(weights, 8).reshape(4, 10)
        assert all(sorted(epoch) == list(range(10)) for epoch in epochs)


@pytest.mark.parametrize("weights", [None, [1, 1, 1, 1, 1, 1, 1, 1, 2, 0]])
def test_with_replacement_an_epoch_may_show_a_photo_twice_and_leave_out_another(weights):
    draws = drawn(weights, 400, with_replacement=True)
    shares = np.full(10, 0.1) if weights is None else np.array(weights) / 10
    assert np.bincount(draws, minlength=10) == pytest.approx(2000 * shares, abs=60)  # four deviations and more
    distinct = [len(set(epoch)) for epoch in draws.reshape(200, 10)]
    assert np.mean(distinct) == pytest.approx(np.sum(1 - (1 - shares) ** 10), abs=0.3)
    assert np.array_equal(draws[:40], drawn(weights, 8, with_replacement=True))


def test_weights_go_by_the_folders_of_a_photograph_s_path(tmp_path):
    names = ["scenes/sea/1.jpg", "people/portraits/2.jpg", "people/3.jpg", "4.jpg"]
    path = str(tmp_path / "examples.gz")
    with tf.io.TFRecordWriter(path, "GZIP") as writer:
        for name in names:
            feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[name.encode()]))
            example = tf.train.Example(features=tf.train.Features(feature={"image/filename": feature}))
            writer.write(example.SerializeToString())
    assert photo_weights([path], {"people": 2.0, "portraits": 1.5}).tolist() == [1, 3, 2, 1]
    with pytest.raises(TintypeError, match=r"names portrait, but .* are people, portraits, scenes, sea"):
        photo_weights([path], {"portrait": 2.0})
    assert photo_weights([path], {"people": 0}).tolist() == [1, 0, 0, 1]


def test_crops_of_several_sides_are_resized_to_the_one_that_the_network_sees():
    ramp = np.broadcast_to(np.arange(0, 250, 5, np.uint8)[:, None], (50, 50))  # 5 a row: a slope tells a crop's side
    photos = np.stack([np.stack([ramp] * 3, axis=-1)] * 3)
    augmentation = AugmentationConfig(smallest_crop=0.5)
    dataset = training_batches(photos, size=40, batch_size=50, augmentation=augmentation, seed=1)
    (batch,) = dataset.take(1).as_numpy_iterator()
    assert batch.shape == (50, 40, 40, 3)
    sides = (batch[:, 30, 20, 0].astype(float) - batch[:, 10, 20, 0]) / 20 / 5 * 40
    assert 19 < sides.min() < 24
    assert 46 < sides.max() < 51


def aged_batches(files, seed=1, **settings):
    photos = decode(files, 36)
    augmentation = AugmentationConfig(aging=AgingConfig(**settings)) if settings else AugmentationConfig()
    dataset = training_batches(photos, size=32, batch_size=20, augmentation=augmentation, seed=seed)
    return np.concatenate(list(dataset.take(5).as_numpy_iterator()))


def test_aging_adds_the_gray_that_the_network_sees_and_leaves_the_colors(files):
    plain = aged_batches(files)
    aged = aged_batches(files, share=0.3, plate=1.0, torn_corners=0, paper_border=0)
    assert aged.shape == (100, 32, 32, 4)
    assert aged.dtype == np.uint8
    assert np.array_equal(aged[..., :3], plain)
    difference = np.abs(aged[..., 3] / 255 - gray_of_mix(plain)).max(axis=(1, 2))
    assert 0.15 < np.mean(difference > 0.003) < 0.45
    assert np.array_equal(aged, aged_batches(files, share=0.3, plate=1.0, torn_corners=0, paper_border=0))


def test_where_a_border_hides_the_photograph_its_color_is_the_border_s_gray(files):
    off = dict.fromkeys(set(EFFECTS) - {"paper_border"}, 0.0)
    plain, framed = aged_batches(files), aged_batches(files, share=1.0, paper_border=1.0, **off)
    changed = (framed[..., :3] != plain).any(axis=-1)
    assert 0.02 < changed.mean() < 0.4
    assert not changed[:, 8:24, 8:24].any()
    assert np.ptp(framed[changed].astype(int), axis=-1).max() == 0  # red, green, blue and the gray


def test_a_share_of_the_photographs_is_turned_and_keeps_its_corners():
    side = 64
    bright = np.full((4, side, side, 3), 200, np.uint8)
    bright[:, :, side // 2 :] = 100  # an upright edge through the middle
    augmentation = AugmentationConfig(enlarge=1.0, flip=False, rotation=12, rotated=0.25)
    dataset = training_batches(bright, size=side, batch_size=80, augmentation=augmentation, seed=1)
    (batch,) = dataset.take(1).as_numpy_iterator()
    edge = np.argmax(batch[..., 0] < 150, axis=2).astype(float)  # the column in which it lies in each row
    lean = np.degrees(np.arctan((edge[:, -1] - edge[:, 0]) / (side - 1)))
    assert 0.1 < np.mean(np.abs(lean) > 0.5) < 0.45
    assert 8 < np.abs(lean).max() < 13
    assert lean.min() < -2 < 2 < lean.max()
    assert batch.min() >= 100


def test_squares_that_do_not_fit_in_memory_lie_on_disk_and_are_used_again(files, tmp_path):
    in_memory = decode(files)
    on_disk = decode(files, memory_share=0.0, disk_folder=tmp_path)
    assert isinstance(on_disk, np.memmap)
    assert np.array_equal(in_memory, on_disk)
    (file,) = tmp_path.iterdir()
    assert file.suffix == ".npy"
    written = file.stat()
    assert np.array_equal(decode(files, memory_share=0.0, disk_folder=tmp_path), in_memory)
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (written.st_ino, written.st_mtime_ns)


def test_the_digest_follows_from_the_content_and_not_from_the_place(files, tmp_path):
    moved = [str(shutil.copy(file, tmp_path)) for file in files]
    assert content_digest(moved) == content_digest(files)
    assert content_digest(files[::-1] + files) != content_digest(files)
    content = bytearray(Path(files[0]).read_bytes())
    content[len(content) // 2] ^= 1  # the same size, another photograph
    Path(moved[0]).write_bytes(content)
    assert content_digest(moved) != content_digest(files)
    with pytest.raises(TintypeError, match=r"examples cannot be read.*gone\.gz"):
        content_digest([*files, str(tmp_path / "gone.gz")])


def test_a_full_disk_is_said_and_leaves_nothing_behind(files, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(decoded_photos.os, "posix_fallocate", full)
    with pytest.raises(TintypeError, match=r"cannot write .*No space left on device"):
        decode(files, memory_share=0.0, disk_folder=tmp_path)
    assert not list(tmp_path.iterdir())


def test_examples_that_vanished_or_are_damaged_are_named(files, tmp_path):
    with pytest.raises(TintypeError, match=r"examples cannot be read.*gone\.gz"):
        decode([*files, str(tmp_path / "gone.gz")])
    cut = tmp_path / "cut.gz"
    cut.write_bytes(Path(files[0]).read_bytes()[:5000])
    with pytest.raises(TintypeError, match="examples cannot be read"):
        decode([str(cut)])


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
