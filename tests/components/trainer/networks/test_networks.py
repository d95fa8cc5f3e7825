import hashlib
import re
import urllib.request

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.trainer.networks.blocks import innermost_layers
from components.trainer.networks.build import build_discriminator, build_generator, count_parameters
from components.trainer.networks.vgg16 import load_pretrained
from photo.errors import TintypeError
from pipeline.config import load_config


@pytest.fixture(scope="module")
def recipe():
    return load_config("sn_unet_lab_128").network


def test_tintype_s_own_networks_have_the_parameters_that_the_documents_say():
    network = load_config("tintype_lab").network
    judge = build_discriminator(network, size=64, batch_norm_momentum=0.9, seed=0)
    assert count_parameters(build_generator(network, batch_norm_momentum=0.9, seed=0)) == 4_727_714
    assert count_parameters(judge) == 964_369


def test_a_recipe_without_a_discriminator_builds_none():
    network = load_config("vgg16_lab_224").network
    assert build_discriminator(network, size=64, batch_norm_momentum=0.9, seed=0) is None


def test_the_u_net_without_padding_gives_back_the_size_it_was_given():
    network = load_config("fcn_rgb_120").network
    generator = build_generator(network, batch_norm_momentum=0.9, seed=0)
    smallest = network.generator.smallest_size
    assert generator(np.zeros((1, smallest, 61, 1), np.float32)).shape == (1, smallest, 61, 3)
    # With oneDNN's kernels TensorFlow refuses an empty photo, without them Keras.
    with pytest.raises((tf.errors.InvalidArgumentError, ValueError)):
        generator(np.zeros((1, smallest - 1, 61, 1), np.float32))


class TestVgg16:
    @pytest.fixture(scope="class")
    def vgg16(self, tmp_path_factory):
        """A file of weights and its digest."""
        path = tmp_path_factory.mktemp("vgg16") / "vgg16.weights.h5"
        encoder = keras.applications.VGG16(include_top=False, weights=None)
        encoder.save_weights(path)
        return path, hashlib.sha256(path.read_bytes()).hexdigest(), encoder

    def build(self, weights, digest=None):
        settings = [f"network.generator.weights={weights}"]
        settings += [f"network.generator.weights_sha256={digest}"] if digest else []
        network = load_config("vgg16_lab_224", settings).network
        generator = build_generator(network, batch_norm_momentum=0.9, seed=0)
        load_pretrained(generator, network.generator)
        return generator

    def test_a_local_file_of_weights_is_loaded_and_frozen(self, vgg16):
        path, digest, encoder = vgg16
        generator = self.build(path, digest)
        for loaded, saved in zip(generator.get_layer("vgg16").get_weights(), encoder.get_weights(), strict=True):
            np.testing.assert_array_equal(loaded, saved)
        assert not any("block1" in weight.path for weight in generator.trainable_variables)
        assert len(generator.trainable_variables) == 12

    def test_a_file_with_another_digest_is_refused(self, vgg16):
        with pytest.raises(TintypeError, match=r"weights_sha256: .*expected f{64}"):
            self.build(vgg16[0], "f" * 64)

    def test_a_missing_file_is_named(self):
        with pytest.raises(TintypeError, match=r"network\.generator\.weights: cannot read nowhere\.h5"):
            self.build("nowhere.h5", "f" * 64)

    def test_a_file_of_something_else_is_named(self, tmp_path):
        path = tmp_path / "text.weights.h5"
        path.write_text("no weights")
        with pytest.raises(TintypeError, match="does not hold VGG-16"):
            self.build(path, hashlib.sha256(path.read_bytes()).hexdigest())

    def test_without_a_network_random_weights_stay_and_a_warning_says_so(self, tmp_path, monkeypatch, caplog):
        monkeypatch.setattr("keras.src.utils.file_utils.config.keras_home", lambda: str(tmp_path))
        nowhere = urllib.request.ProxyHandler(dict.fromkeys(("http", "https"), "http://127.0.0.1:1"))
        urllib.request.install_opener(urllib.request.build_opener(nowhere))
        try:
            with caplog.at_level("WARNING", logger="absl"):
                self.build("imagenet")
        finally:
            urllib.request.install_opener(None)  # the next call makes one with the proxies of the process
        assert "RANDOM weights" in caplog.text


def test_the_generator_takes_any_sides_that_are_multiples_of_its_stride():
    network = load_config("demo").network
    generator = build_generator(network, batch_norm_momentum=0.9, seed=0)
    assert generator(np.zeros((1, 32, 96, 1))).shape == (1, 32, 96, 2)


def test_spectral_normalisation_brings_every_kernel_to_norm_one(recipe):
    generator = build_generator(recipe, batch_norm_momentum=0.9, seed=0)
    for block in (generator.get_layer("down_3"), generator.get_layer("up_3")):
        for _ in range(3):
            kernel = np.asarray(block.convolution.normalized_kernel(training=True))
        assert np.linalg.norm(kernel.reshape(-1, kernel.shape[-1]), 2) == pytest.approx(1, abs=0.05)


class TestResidualUNet:
    @pytest.fixture(scope="class")
    def network(self):
        return load_config("tintype_lab").network

    @pytest.fixture(scope="class")
    def generator(self, network):
        return build_generator(network, batch_norm_momentum=0.9, seed=0)

    def test_it_colours_photographs_of_any_sides_that_its_stride_divides(self, generator, network):
        side = network.generator.stride
        assert generator(np.zeros((1, side, 3 * side, 1), np.float32)).shape == (1, side, 3 * side, 2)

    def test_a_graph_need_not_know_the_sides(self, generator):
        graph = tf.function(generator, input_signature=[tf.TensorSpec([None, None, None, 1])])
        photo = np.random.default_rng(0).uniform(-1, 1, (2, 32, 48, 1)).astype(np.float32)
        np.testing.assert_allclose(graph(photo), generator(photo), atol=1e-5)

    def test_every_residual_block_starts_as_the_identity(self, generator):
        layers = [layer for layer in innermost_layers(generator) if re.fullmatch(r"block_\d+_1_norm", layer.name)]
        assert layers
        assert all((layer.gamma.numpy() == 0).all() for layer in layers)

    def test_masks_take_the_place_of_dropout(self, generator):
        photo = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 1)).astype(np.float32)
        shapes = generator.dropout_shapes(32, 32)
        assert len(shapes) == 1
        kept = [np.ones((1, *shape), np.float32) for shape in shapes]
        np.testing.assert_allclose(generator(photo, masks=kept), generator(photo), atol=1e-6)
        dropped = [np.zeros((1, *shape), np.float32) for shape in shapes]
        assert np.abs(generator(photo, masks=dropped) - generator(photo)).max() > 1e-4

    @pytest.mark.parametrize(
        ("settings", "words"),
        [
            (["residual_blocks=[1]"], "residual_blocks must have as many levels as down_filters (4), got 1"),
            (["up_filters=[8,8,8,8]"], "up_filters must have fewer levels than down_filters (4), got 4"),
            (["dropout_levels=4"], "dropout_levels must be at most 3, got 4"),
        ],
    )
    def test_levels_that_do_not_match_are_refused(self, settings, words):
        with pytest.raises(TintypeError, match=re.escape(words)):
            load_config("tintype_lab", [f"network.generator.{setting}" for setting in settings])


def test_a_patch_discriminator_can_do_without_batch_normalisation():
    network = load_config("tintype_lab").network
    judge = build_discriminator(network, size=64, batch_norm_momentum=0.9, seed=0)
    assert not any("norm" in layer.name for layer in judge.layers)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    network = load_config("demo").network
    first, again, other = (build_generator(network, batch_norm_momentum=0.9, seed=s).get_weights() for s in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])
