"""Every reference system as a user meets it: trained, exported, served and asked through the same contract."""

import numpy as np
import pytest

from components.trainer.decoded_photos import example_files
from components.trainer.training import train
from photo.coloring_options import ColoringOptions
from photo.errors import TintypeError
from pipeline.config import load_config
from serving.client.colorizer import Colorizer
from serving.model.onnx_export import export_onnx
from serving.model.onnx_model import OnnxModel
from serving.model.saved_colorizer import SavedColorizer
from serving.server import EmbeddedServer, ServerOptions
from tests.scene_examples import write_scene_examples

pytestmark = pytest.mark.slow

# Sizes as small as the networks allow: the levels of the pix2pix pair need all of 256 px.
RECIPES = {
    "fcn_rgb_120": ["data.size=92", "train.batch_size=2"],
    "unet_rgb_32": ["train.batch_size=8"],
    "sn_unet_lab_128": ["train.batch_size=2"],
    "vgg16_lab_224": ["data.size=32", "train.batch_size=2", "network.generator.weights=random"],
    "pix2pix_lab_256": ["train.batch_size=2"],
    "pix2pix_rgb_256": [],
    "tintype_lab": ["data.size=32", "train.batch_size=2", "train.loss.adversarial_start=0.5"],
}


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    write_scene_examples(folder, split="train", count=12, first_seed=0)
    write_scene_examples(folder, split="eval", count=4, first_seed=100)
    return str(folder)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_trains_ten_steps_and_its_model_colours_a_photo_through_a_server(recipe, examples, tmp_path):
    config = load_config(recipe, [*RECIPES[recipe], "train.steps=10", "train.preview_photos=4"])
    summary = train(
        config.trainer_config(),
        example_files(examples, "train"),
        example_files(examples, "eval"),
        model_folder=str(tmp_path / "colorizer" / "1"),
        run_folder=str(tmp_path / "run"),
    )
    assert (summary.steps, summary.stopped) == (10, "finished")
    gray = np.repeat(np.linspace(0, 255, 90, dtype=np.uint8).reshape(1, 90, 1), 60, axis=0).repeat(3, axis=2)
    with (
        EmbeddedServer(ServerOptions("colorizer", tmp_path / "colorizer")) as server,
        Colorizer(f"localhost:{server.port}") as client,
    ):
        server.wait_until_available(timeout=120)
        described = client.describe()
        colored = client.colorize(gray, ColoringOptions(strength=2))
    assert (described.recipe, described.size) == (recipe, config.data.size)
    assert colored.shape == gray.shape
    assert np.ptp(colored, axis=2).max() > 0, "no colour was added"
    if getattr(config.network.generator, "dropout_at_inference", False):
        with pytest.raises(TintypeError, match="its dropout stays on when it colours"):
            export_onnx(str(tmp_path / "colorizer" / "1"), tmp_path / "onnx")
    else:
        assert_the_same_by_onnxruntime(tmp_path / "colorizer" / "1", tmp_path / "onnx", config.data.size)


def assert_the_same_by_onnxruntime(model, out, size):
    export_onnx(str(model), out)
    lightness = np.random.default_rng(0).uniform(0, 100, (1, size, size, 1)).astype(np.float32)
    exact = SavedColorizer(str(model)).predict_ab(lightness)
    found = OnnxModel(out).predict("serving_default", {"L": lightness})["ab"]
    np.testing.assert_allclose(found, exact, atol=0.05)
