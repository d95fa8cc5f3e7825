import numpy as np
import tensorflow as tf

from components.trainer.augmentation import lightness_of_gray, spoil_lightness
from components.trainer.config import AgingConfig
from components.trainer.network_range import NetworkRange
from photo.aging import EFFECTS
from photo.color import rgb_to_lightness
from pipeline.config import load_config
from tintype.demo.scenes import render_scenes


def test_other_exposures_and_grain_change_the_lightness_alone_and_differ_from_photo_to_photo():
    settings = ["data.size=32", "train.augmentation.gamma=0.5", "train.augmentation.grain=5"]
    config = load_config("demo", settings).trainer_config()
    scale, augmentation = NetworkRange(config.network), config.train.augmentation
    photos = tf.cast(np.stack([scene for _, scene in render_scenes(4, 0, 32)]), tf.float32) / 255.0

    def spoiled_at(step):
        return scale.split(photos, spoil=lambda lightness: spoil_lightness(lightness, augmentation, seed=3, step=step))

    gray, color = scale.split(photos)
    spoiled, still = spoiled_at(0)
    again, _ = spoiled_at(0)
    assert np.array_equal(color, still)
    assert np.array_equal(spoiled, again)  # the same step
    shift = np.mean((spoiled - gray).numpy(), axis=(1, 2, 3))
    assert np.abs(shift).max() > 0.02
    assert len({round(float(value), 3) for value in shift}) == 4
    assert not np.array_equal(spoiled, spoiled_at(1)[0])


def test_every_effect_has_a_share_of_its_own():
    assert tuple(AgingConfig().chances()) == EFFECTS


def test_the_lightness_of_gray_is_that_of_the_neutral_pixel():
    gray = np.arange(256, dtype=np.uint8)[:, None]
    expected = rgb_to_lightness(np.repeat(gray, 3, axis=-1))
    np.testing.assert_allclose(lightness_of_gray(gray.astype(np.float32) / 255)[:, 0], expected, atol=0.01)
