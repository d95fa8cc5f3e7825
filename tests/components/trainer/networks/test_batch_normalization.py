import keras
import numpy as np
import pytest

from components.trainer.networks.batch_normalization import BatchNormalization


@pytest.mark.parametrize("shape", [(4, 6, 5, 3), (1, 1, 1, 3), (3, 1, 1, 3)])
def test_training_and_inference_are_keras_own(shape):
    ours, keras_own = BatchNormalization(momentum=0.7), keras.layers.BatchNormalization(momentum=0.7)
    draws = np.random.default_rng(0)
    for _ in range(3):
        photos = draws.normal(2, 3, shape).astype(np.float32)
        np.testing.assert_allclose(ours(photos, training=True), keras_own(photos, training=True), atol=1e-5)
    for mine, theirs in zip(ours.get_weights(), keras_own.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5)
    np.testing.assert_allclose(ours(photos), keras_own(photos), atol=1e-5)


def test_in_sixteen_bits_the_statistics_keep_thirty_two():
    layer = BatchNormalization(dtype="mixed_bfloat16")
    photos = np.random.default_rng(0).normal(2, 3, (4, 6, 5, 3))
    assert layer(photos, training=True).dtype == "bfloat16"
    assert {weight.dtype for weight in layer.weights} == {"float32"}
    assert float(keras.ops.mean(layer.moving_mean)) == pytest.approx(0.02, rel=0.2)
