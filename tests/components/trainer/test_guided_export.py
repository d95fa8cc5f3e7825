import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from components.trainer.color_bins import color_bins
from components.trainer.colorings import color_photos
from components.trainer.export import export_saved_model
from components.trainer.gan import ColorGan
from components.trainer.networks.build import build_generator
from pipeline.config import load_config
from serving.model.packing import pack
from serving.model.shipped_generator import unpack
from tests.components.trainer.small_networks import SMALL_PRETRAINED

LIGHTNESS = tf.random.stateless_uniform([2, 64, 96, 1], [0, 0], 0.0, 100.0)
NO_HINTS = np.zeros((2, 64, 96, 3), np.float32)


def export(folder, *settings):
    """A generator of random weights, whose distributions are wide enough to draw from."""
    config = load_config("tintype_pretrained", [*SMALL_PRETRAINED, *settings]).trainer_config()
    generator = build_generator(config.network, batch_norm_momentum=0.9, seed=3)
    generator.bins.bias.assign(np.random.default_rng(0).normal(0, 2, generator.bins.bias.shape))
    export_saved_model(generator, config, str(folder), warmup_photo=np.zeros((64, 64, 3), np.uint8))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return export(tmp_path_factory.mktemp("guided") / "model")


@pytest.fixture(scope="module")
def signatures(folder):
    model = tf.saved_model.load(str(folder))
    yield model.signatures
    del model  # the signatures live as long as their model


def guided(signatures, hints, lightness=LIGHTNESS):
    answer = signatures["guided"](L=lightness, hints=tf.constant(hints))
    return {name: value.numpy() for name, value in answer.items()}


def variants(signatures, seeds, lightness=LIGHTNESS):
    return signatures["variants"](L=lightness, seed=tf.constant(seeds, tf.int32))["ab"].numpy()


def test_without_hints_the_colours_are_those_of_the_default_signature(signatures):
    np.testing.assert_allclose(
        guided(signatures, NO_HINTS)["ab"], signatures["serving_default"](L=LIGHTNESS)["ab"].numpy(), atol=1e-3
    )


def test_a_colour_without_its_mask_is_no_hint(signatures):
    colors_alone = NO_HINTS.copy()
    colors_alone[..., :2] = 90, np.nan
    np.testing.assert_array_equal(guided(signatures, colors_alone)["ab"], guided(signatures, NO_HINTS)["ab"])


def test_a_hint_changes_the_colours_of_its_photo_alone(signatures):
    hints = NO_HINTS.copy()
    hints[0, 8:12, 40:44] = 60, -30, 1
    change = np.abs(guided(signatures, hints)["ab"] - guided(signatures, NO_HINTS)["ab"])
    assert change[0].max() > 0.01
    assert change[1].max() == 0


def test_every_place_has_its_likely_colours_and_how_unsure_they_are(signatures):
    answer = guided(signatures, NO_HINTS)
    colors, shares = answer["likely_colors"], answer["likely_shares"]
    assert colors.shape == (2, 16, 24, 8, 2)
    assert shares.shape == (2, 16, 24, 8)
    assert (np.diff(shares, axis=-1) <= 0).all()
    assert (shares.sum(axis=-1) <= 1.0001).all()
    assert {tuple(color) for color in colors.reshape(-1, 2)} <= {tuple(color) for color in color_bins(10)}
    assert answer["uncertainty"].shape == (2, 64, 96, 1)
    assert 5 < answer["uncertainty"].mean() < 100


def test_a_seed_decides_a_colouring_whatever_stands_beside_it(signatures):
    together = variants(signatures, [7, 8])
    np.testing.assert_allclose(variants(signatures, [7], LIGHTNESS[:1])[0], together[0], atol=1e-3)
    np.testing.assert_array_equal(variants(signatures, [7, 8]), together)
    another = variants(signatures, [9, 8])
    assert np.abs(another[0] - together[0]).max() > 0.1
    np.testing.assert_allclose(another[1], together[1], atol=1e-3)


def test_it_says_that_it_takes_hints(signatures):
    description = signatures["describe"](name=tf.constant(["a", "b"]))
    assert description["hints"].numpy().tolist() == [1, 1]
    assert description["recipe"].numpy().tolist() == [b"tintype_pretrained"] * 2


def test_a_server_warms_every_signature_up(folder, signatures):
    warmed = set()
    for record in tf.data.TFRecordDataset(f"{folder}/assets.extra/tf_serving_warmup_requests"):
        request = prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
        name = request.model_spec.signature_name
        signatures[name](**{key: tf.constant(tf.make_ndarray(value)) for key, value in request.inputs.items()})
        warmed.add(name)
    assert warmed == set(signatures)


def test_packed_in_half_precision_it_gives_the_same_colours(folder, signatures, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    pack(folder, tmp_path / "packed.zip")
    unpacked = tf.saved_model.load(str(unpack(tmp_path / "packed.zip") / "1"))
    np.testing.assert_allclose(
        guided(unpacked.signatures, NO_HINTS)["ab"], guided(signatures, NO_HINTS)["ab"], atol=0.1
    )


def test_a_training_goes_on_from_it_and_needs_no_other_weights(folder, signatures):
    settings = ("network.generator.weights=nowhere.pth", f"network.generator.weights_sha256={'f' * 64}")
    wanted = [*SMALL_PRETRAINED, *settings, f"train.initial_generator={folder}"]
    gan = ColorGan(load_config("tintype_pretrained", wanted).trainer_config())
    served = signatures["serving_default"](L=LIGHTNESS)["ab"].numpy()
    assert np.abs(served).max() > 0.1
    colors = color_photos(gan.averaged, gan.config.network, gan.range.gray(LIGHTNESS))
    np.testing.assert_allclose(gan.range.ab(colors), served, atol=0.02)
