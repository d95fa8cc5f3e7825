import numpy as np
import tensorflow as tf

from components.trainer.augmentation import spoil_lightness
from components.trainer.network_range import NetworkRange
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
