import numpy as np
import onnx
import pytest
import tensorflow as tf

from photo.errors import SignatureMissing, TintypeError
from serving.model.description import ModelDescription
from serving.model.onnx_export import export_onnx
from serving.model.onnx_graphs import onnx_graphs
from serving.model.onnx_model import OnnxModel
from serving.model.packing import pack
from tests.tiny_models import write_tiny_model

RANDOM = np.random.default_rng(0)
LIGHTNESS = RANDOM.uniform(0, 100, (2, 16, 24, 1)).astype(np.float32)
SQUARES = RANDOM.uniform(0, 100, (2, 16, 16, 1)).astype(np.float32)
HINTS = np.zeros((2, 16, 16, 3), np.float32)
HINTS[1, 3, 4] = (40, 20, 1)


@pytest.fixture(scope="module")
def guided(tmp_path_factory):
    return write_tiny_model(tmp_path_factory.mktemp("guided") / "model", guided=True, ab=(1 / 3, -70.0), stride=4)


@pytest.fixture(scope="module")
def exported(guided):
    out = guided.with_name("exported")
    export_onnx(str(guided), out)
    return OnnxModel(out)


def answers(folder, signature, **inputs):
    found = tf.saved_model.load(str(folder)).signatures[signature](**{k: tf.constant(v) for k, v in inputs.items()})
    return {name: tensor.numpy() for name, tensor in found.items()}


def assert_same(found, expected, atol=1e-4):
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=atol, err_msg=name)


def test_every_signature_answers_as_the_saved_model_does_at_any_size_and_number(guided, exported):
    assert exported.signatures == ("guided", "serving_default")
    assert_same(exported.predict("serving_default", {"L": LIGHTNESS}), answers(guided, "serving_default", L=LIGHTNESS))
    asked = {"L": SQUARES, "hints": HINTS}
    assert_same(exported.predict("guided", asked), answers(guided, "guided", **asked))
    assert exported.predict("guided", asked, ["uncertainty"]).keys() == {"uncertainty"}


def test_it_says_of_itself_what_the_saved_model_says(exported):
    assert exported.description == ModelDescription("tiny", 32, 4, "tiny")


def test_one_file_holds_its_weights_and_half_of_them_is_half_the_precision(guided, tmp_path):
    [file] = export_onnx(str(guided), tmp_path / "tiny.onnx", half=True)
    found = OnnxModel(file).predict("serving_default", {"L": LIGHTNESS})["ab"]
    exact = answers(guided, "serving_default", L=LIGHTNESS)["ab"]
    assert 0 < np.abs(found - exact).max() < 0.02
    onnx.checker.check_model(str(file), full_check=True)


def test_a_packed_generator_is_asked_without_being_unpacked_and_gives_the_same_bytes_again(guided, tmp_path, cache):
    for name in ("one.zip", "other.zip"):
        pack(guided, tmp_path / name, onnx_graphs(str(guided)))
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "other.zip").read_bytes()
    model = OnnxModel(tmp_path / "one.zip")
    exact = answers(guided, "serving_default", L=LIGHTNESS)["ab"]
    np.testing.assert_allclose(model.predict("serving_default", {"L": LIGHTNESS})["ab"], exact, atol=0.02)
    assert_same(
        model.predict("guided", {"L": SQUARES, "hints": HINTS}), answers(guided, "guided", L=SQUARES, hints=HINTS), 0.02
    )
    assert not cache.exists()


def test_what_it_cannot_answer_is_named(exported, tmp_path):
    with pytest.raises(SignatureMissing, match="has no signature 'variants'"):
        exported.predict("variants", {"L": LIGHTNESS})
    with pytest.raises(ValueError, match="takes L; received L, hints"):
        exported.predict("serving_default", {"L": LIGHTNESS, "hints": HINTS})
    with pytest.raises(ValueError, match="has no output c; it has ab"):
        exported.predict("serving_default", {"L": LIGHTNESS}, ["c"])
    with pytest.raises(ValueError, match="L"):
        exported.predict("serving_default", {"L": LIGHTNESS[..., 0]})
    (tmp_path / "serving_default.onnx").write_bytes(b"no graph")
    for source, words in (
        (tmp_path / "nowhere", "no such file or folder"),
        (tmp_path, "does not load"),
        (tmp_path / "serving_default.onnx", "does not load"),
    ):
        with pytest.raises(TintypeError, match=words):
            OnnxModel(source)


def test_a_graph_of_somebody_else_is_named(exported, guided, tmp_path):
    strange = onnx.load(str(guided.with_name("exported") / "serving_default.onnx"))
    del strange.metadata_props[:]
    onnx.save(strange, tmp_path / "strange.onnx")
    with pytest.raises(TintypeError, match="was not exported by Tintype"):
        OnnxModel(tmp_path / "strange.onnx")
