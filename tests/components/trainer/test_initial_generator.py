import re
import shutil

import numpy as np
import pytest
import tensorflow as tf

from components.trainer.colorings import color_photos
from components.trainer.export import export_saved_model, without_spectral_normalization
from components.trainer.gan import ColorGan
from components.trainer.networks.blocks import innermost_layers
from components.trainer.networks.build import build_generator
from components.trainer.networks.exported_weights import read_exported_weights
from photo.errors import TintypeError
from pipeline.config import load_config
from serving.model.packing import pack
from serving.model.shipped_generator import shipped_generator, unpack

LIGHTNESS = tf.random.stateless_uniform([2, 64, 64, 1], [0, 0], 0.0, 100.0)
SMALL = ("network.generator.down_filters=[4,4,8,8]", "network.generator.up_filters=[8,4,4]")
# Networks of every kind, small.
RECIPES = {
    "demo": (),
    "tintype_lab": SMALL,
    "vgg16_lab_224": ("network.generator.weights=random", "network.generator.decoder_filters=[2,2,2,2,2]"),
}


def config_of(recipe, *settings):
    return load_config(recipe, [*RECIPES[recipe], "train.precision=float32", *settings]).trainer_config()


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Gives the folder of a SavedModel as `export` writes it, written once."""
    made = {}

    def folder_of(recipe, *settings):
        if (recipe, settings) not in made:
            made[recipe, settings] = export(recipe, tmp_path_factory.mktemp("exported") / "model", *settings)
        return made[recipe, settings]

    return folder_of


def export(recipe, folder, *settings):
    """A SavedModel with weights that no seed 0 would draw, and statistics unlike a new network's."""
    config = config_of(recipe, "seed=7", *settings)
    generator = build_generator(config.network, batch_norm_momentum=0.9, seed=config.seed)
    draws = np.random.default_rng(0)
    for weight in generator.weights:
        if weight.name in ("moving_mean", "gamma"):
            weight.assign(draws.normal(1.0, 0.2, weight.shape))
    _settle_norms(generator)
    export_saved_model(generator, config, str(folder), warmup_photo=np.zeros((config.size, config.size, 3), np.uint8))
    return folder


def _settle_norms(generator):
    """As training does: the estimates of spectral norms come to their ends."""
    for layer in innermost_layers(generator):
        if hasattr(layer, "normalized_kernel"):
            for _ in range(20):
                layer.normalized_kernel(training=True)


def colours(model_folder):
    return tf.saved_model.load(str(model_folder)).signatures["serving_default"](L=LIGHTNESS)["ab"].numpy()


def colours_of(gan, generator):
    return gan.range.ab(color_photos(generator, gan.config.network, gan.range.gray(LIGHTNESS))).numpy()


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_training_begins_with_the_colours_of_the_named_model(recipe, exported):
    model = exported(recipe)
    gan = ColorGan(config_of(recipe, f"train.initial_generator={model}"))
    served = colours(model)
    assert np.abs(served).max() > 0.1
    # An estimate of a spectral norm has its own last digits.
    tolerance = 0.3 if recipe == "demo" else 0.02
    np.testing.assert_allclose(colours_of(gan, gan.averaged), served, atol=tolerance)
    np.testing.assert_array_equal(colours_of(gan, gan.generator), colours_of(gan, gan.averaged))
    anew = ColorGan(config_of(recipe))
    assert np.abs(colours_of(anew, anew.averaged) - served).max() > 2 * tolerance


def test_a_kernel_that_is_divided_by_its_norm_starts_from_the_divided_one(exported):
    model = exported("demo")
    gan = ColorGan(config_of("demo", f"train.initial_generator={model}"))
    kernels = {weight.path: weight.numpy() for weight in gan.generator.weights if weight.name == "kernel"}
    source = build_generator(gan.config.network, batch_norm_momentum=0.9, seed=7)
    _settle_norms(source)
    plain = without_spectral_normalization(source, gan.config)
    for weight in plain.weights:
        if weight.name == "kernel":
            np.testing.assert_array_equal(kernels[weight.path], weight.numpy())


def test_a_packed_generator_does_as_well(exported, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    model = exported("tintype_lab")
    pack(model, tmp_path / "packed.zip")
    gan = ColorGan(config_of("tintype_lab", f"train.initial_generator={tmp_path / 'packed.zip'}"))
    np.testing.assert_allclose(colours_of(gan, gan.generator), colours(model), atol=0.2)


def test_of_several_generators_the_mean_of_their_weights_is_taken(exported):
    models = [exported("tintype_lab"), exported("tintype_lab", "seed=8")]

    def weights(*names):
        gan = ColorGan(config_of("tintype_lab", f"train.initial_generator=[{','.join(map(str, names))}]"))
        return gan.averaged.get_weights()

    one, other = weights(models[0]), weights(models[1])
    assert any(not np.allclose(a, b) for a, b in zip(one, other, strict=True))
    for mean, a, b in zip(weights(*models), one, other, strict=True):
        np.testing.assert_allclose(mean, (a + b) / 2, atol=1e-6)


def test_the_shipped_generator_is_of_the_recipe_that_goes_on_from_it(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    gan = ColorGan(load_config("tintype_tuned", ["train.precision=float32"]).trainer_config())
    served = colours(unpack(shipped_generator()) / "1")
    np.testing.assert_allclose(colours_of(gan, gan.generator), served, atol=0.02)


@pytest.mark.parametrize("gray_channels", [1, 3])
def test_a_residual_u_net_with_a_level_more_in_front_begins_with_the_colours_of_half_the_side(gray_channels, exported):
    channels = f"network.gray_channels={gray_channels}"
    model = exported("tintype_lab", channels)
    gan = ColorGan(
        config_of(
            "tintype_lab",
            channels,
            f"train.initial_generator={model}",
            "data.size=128",
            "network.generator.down_filters=[7,4,4,8,8]",
            "network.generator.residual_blocks=[0,0,1,1,1]",
        )
    )
    twice = tf.repeat(tf.repeat(LIGHTNESS, 2, axis=1), 2, axis=2)
    served = colours(model)
    assert np.abs(served).max() > 5
    for generator in (gan.averaged, gan.generator):
        grown = gan.range.ab(color_photos(generator, gan.config.network, gan.range.gray(twice)))
        # Both make colour at 32 px; linear enlargement by 2 and by 4 keeps the means around every pixel.
        np.testing.assert_allclose(_means(grown, 4), _means(served, 2), atol=0.05)


def _means(ab, side):
    return tf.nn.avg_pool2d(ab, side, side, "VALID").numpy()


@pytest.mark.parametrize(
    ("settings", "difference"),
    [
        (["network.generator.up_filters=[8,4,8]"], "ups/2/norm/moving_variance is (4,), the recipe's (8,)"),
        (["network.generator.residual_blocks=[0,0,1,1]"], "the recipe's has no downs/1/"),
        (["network.generator.residual_blocks=[1,1,1,1]"], "it has no generator/down_0/block_0_0/kernel"),
    ],
)
def test_a_model_of_another_network_is_refused_with_the_difference(exported, settings, difference):
    model = exported("tintype_lab")
    words = re.escape(f"train.initial_generator: {model} is not of the network of tintype_lab: ") + ".*"
    with pytest.raises(TintypeError, match=words) as refused:
        ColorGan(config_of("tintype_lab", f"train.initial_generator={model}", *settings))
    assert difference in str(refused.value)


def test_wildcards_in_the_name_of_its_folder_are_letters(tmp_path):
    module = tf.Module()
    module.kernel = tf.Variable([1.0, 2.0])
    tf.train.Checkpoint(generator=module).write(str(tmp_path / "model" / "variables" / "variables"))
    folder = (tmp_path / "model").rename(tmp_path / "a[1]*?b")
    assert read_exported_weights(str(folder))["kernel"].tolist() == [1, 2]


def test_what_is_no_model_is_refused(exported, tmp_path):
    with pytest.raises(TintypeError, match="is neither a packed generator nor a folder"):
        ColorGan(config_of("demo", f"train.initial_generator={tmp_path}"))
    (tmp_path / "text.zip").write_text("no zip")
    with pytest.raises(TintypeError, match="is damaged"):
        ColorGan(config_of("demo", f"train.initial_generator={tmp_path / 'text.zip'}"))
    model = shutil.copytree(exported("demo"), tmp_path / "model")
    shutil.rmtree(model / "variables")
    with pytest.raises(TintypeError, match="cannot be read"):
        ColorGan(config_of("demo", f"train.initial_generator={model}"))
