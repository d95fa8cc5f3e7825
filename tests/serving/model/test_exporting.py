"""Models for other engines than TensorFlow, compared with the SavedModel."""

import numpy as np
import pytest
from skimage import data

from components.trainer.export import export_saved_model
from components.trainer.networks.build import build_generator
from photo.coloring import prepare
from photo.errors import TintypeError
from pipeline.config import load_config
from serving.model.exporting import LARGEST_DIFFERENCE, Format, Precision, export_model
from serving.model.onnx_model import OnnxModel
from tests.components.trainer.small_networks import SMALL_NETWORKS
from tests.tiny_models import write_tiny_model

RECIPES = {"demo": SMALL_NETWORKS}


def squares(size):
    return np.stack([prepare(photo, size).square for photo in (data.astronaut(), data.chelsea())])


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_networks_kind_colours_the_same_by_onnxruntime_and_by_litert(recipe, tmp_path):
    config = load_config(recipe, [*RECIPES[recipe], "train.precision=float32"]).trainer_config()
    generator = build_generator(config.network, batch_norm_momentum=0.9, seed=3)
    size = config.size
    export_saved_model(generator, config, str(tmp_path / "saved"), warmup_photo=np.zeros((size, size, 3), np.uint8))
    for format in (Format.ONNX, Format.LITERT):
        checked = export_model(
            str(tmp_path / "saved"), tmp_path / format, format, Precision.FLOAT32, squares=squares(size)
        )
        assert max(each.largest for each in checked) <= LARGEST_DIFFERENCE[Precision.FLOAT32]
    assert OnnxModel(tmp_path / "onnx").signatures == ("serving_default",)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return str(write_tiny_model(tmp_path_factory.mktemp("tiny") / "model", ab=(1 / 3, -70.0), guided=True))


@pytest.mark.parametrize("format", [Format.ONNX, Format.LITERT])
def test_half_of_the_weights_bytes_is_near_and_not_the_same(tiny, tmp_path, format):
    checked = export_model(tiny, tmp_path / "out", format, Precision.FLOAT16, squares=squares(32))
    assert all(each.largest <= 0.5 for each in checked)


def test_an_export_that_colours_otherwise_leaves_nothing(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "serving.model.exporting.litert_predict", lambda file, lightness: np.full((*lightness.shape[:3], 2), np.nan)
    )
    with pytest.raises(TintypeError, match="serving_default in litert gives colours nan away from the SavedModel's"):
        export_model(tiny, tmp_path / "out", Format.LITERT, Precision.FLOAT32, squares=squares(32))
    assert not list(tmp_path.iterdir())


def test_what_no_format_offers_is_said(tiny, tmp_path):
    for format, precision, words in (
        (Format.LITERT, Precision.INT8, "int8 is for the format onnx"),
        (Format.ONNX, Precision.INT8, "needs photographs for its calibration"),
        (Format.SAVED_MODEL, Precision.FLOAT16, "computes in float32"),
    ):
        with pytest.raises(TintypeError, match=words):
            export_model(tiny, tmp_path / "out", format, precision, squares=squares(32))
