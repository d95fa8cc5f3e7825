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
        ("train.loss.adversarial=loud", "train.loss.adversarial: .*'non_saturating' or 'hinge', got 'loud'"),
        ("network.generator.up_filters=[1]", "one level less than down_filters .*got 1"),
        ("recipe.name=x", "recipe is not a section"),
        ("train.steps", "wants section.field=value, got 'train.steps'"),
    ],
)
def test_a_wrong_setting_names_the_field_and_what_it_may_be(setting, message):
    with pytest.raises(ConfigError, match=message):
        load_config("sn_unet_lab_128", [setting])


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
