import pytest
import yaml

from pipeline.config import ConfigError, load_config, recipe_names


@pytest.mark.parametrize("recipe", recipe_names())
def test_every_recipe_loads_and_is_named_like_its_file(recipe):
    assert load_config(recipe).recipe == recipe


def test_a_field_is_set_from_the_command_line_and_later_settings_win():
    config = load_config("demo", ["train.steps=7", "train.steps=9", "network.generator.dropout=0.25"])
    assert config.train.steps == 9
    assert config.network.generator.dropout == 0.25


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("data.size=100", "data.size must be a multiple of 128 for sn_unet_lab_128, got 100"),
        ("train.stesp=3", "train.stesp: no such field; there are steps,"),
        ("train.steps=-1", "train.steps: .*greater than or equal to 1, got -1"),
        (
            "train.loss.adversarial=loud",
            "train.loss.adversarial: .*'non_saturating', 'least_squares' or 'hinge', got 'loud'",
        ),
        (
            "train.loss.reconstruction=l3",
            "train.loss.reconstruction: .*'l1', 'l2', 'log_l2', 'huber' or 'cosine', got 'l3'",
        ),
        (
            "network.generator.kind=fcn",
            "network.generator: kind must be one of 'unet', 'residual_unet', 'valid_unet', 'vgg16', 'pretrained_unet'",
        ),
        ("network.generator.filters=3", "network.generator.filters: no such field; there are kind, kernel_size,"),
        ("network.discriminator.patch=3", "network.discriminator.patch: no such field; there are kind, down_filters"),
        ("network.discriminator={down_filters: [8]}", "network.discriminator: kind is missing; .* patch, classifier"),
        ("network.discriminator=null", "train.loss.adversarial_weight must be 0 for sn_unet_lab_128"),
        ("train.plateau.patienec=3", "train.plateau.patienec: no such field; there are patience, factor"),
        ("network.generator.up_filters=[1]", "one level less than down_filters .*got 1"),
        ("train.hints={}", "train.hints needs a network.generator of the kind pretrained_unet"),
        ("train.loss.distribution_weight=1", "train.loss.distribution_weight needs a network.generator of the kind"),
        ("recipe.name=x", "recipe is not a section"),
        ("train.steps", "wants section.field=value, got 'train.steps'"),
    ],
)
def test_a_wrong_setting_names_the_field_and_what_it_may_be(setting, message):
    with pytest.raises(ConfigError, match=message):
        load_config("sn_unet_lab_128", [setting])


@pytest.mark.parametrize(
    ("recipe", "setting", "message"),
    [
        ("fcn_rgb_120", "data.size=90", "data.size must be at least 92 for fcn_rgb_120, got 90"),
        ("vgg16_lab_224", "data.size=100", "data.size must be a multiple of 32 for vgg16_lab_224, got 100"),
        ("pix2pix_rgb_256", "data.size=128", "data.size must be a multiple of 256 for pix2pix_rgb_256, got 128"),
        ("vgg16_lab_224", "network.generator.weights=my.h5", "weights_sha256 must be given with a file of weights"),
        (
            "tintype_pretrained",
            "network.generator.weights=my.pth",
            "weights_sha256 must be given with a file of weights",
        ),
        (
            "tintype_pretrained",
            "network.gray_channels=3",
            "color_space must be lab and gray_channels 1 for a pretrained",
        ),
        ("tintype_pretrained", "data.size=100", "data.size must be a multiple of 32 for tintype_pretrained, got 100"),
        ("fcn_rgb_120", "network.color_space=lab", "output_activation must be tanh for color_space lab"),
        ("fcn_rgb_120", "network.generator.color_kernel_size=3", "expected kernels .*, got"),
        ("fcn_rgb_120", "network.generator.bottleneck.filters=0", "network.generator.bottleneck.filters: .*got 0"),
    ],
)
def test_a_recipe_says_what_its_network_allows(recipe, setting, message):
    with pytest.raises(ConfigError, match=message):
        load_config(recipe, [setting])


def test_a_missing_config_lists_the_recipes():
    with pytest.raises(ConfigError, match=r"no config nowhere.yaml; .*sn_unet_lab_128"):
        load_config("nowhere.yaml")


@pytest.mark.parametrize("text", ["a: [", "- 1", "\xff\xfe"])
def test_a_file_that_is_no_config_is_named(tmp_path, text):
    path = tmp_path / "broken.yaml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"broken\.yaml"):
        load_config(path)


def test_a_config_of_ones_own_is_a_yaml_file(tmp_path):
    fields = load_config("demo").model_dump(mode="json")
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({**fields, "recipe": "mine"}))
    assert load_config(path).recipe == "mine"
