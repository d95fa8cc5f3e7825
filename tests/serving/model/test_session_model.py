"""SavedModels of TensorFlow 1: reference variables, old graphs, text files, and inputs of any shape."""

import threading

import numpy as np
import pytest

from tests.serving.server.example_models import write_half_plus_two


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = write_half_plus_two(tmp_path_factory.mktemp("tf1") / "1", producer=21)
    return made.rename(made.parent / "a[1]*?b")  # where TensorFlow would look for a pattern's files


@pytest.fixture(scope="module")
def model(folder):
    from serving.model.saved_model import LoadedModel

    return LoadedModel(str(folder))


def run(model, signature, **inputs):
    import tensorflow as tf

    outputs = model.signatures[signature]({name: tf.constant(value) for name, value in inputs.items()})
    return {name: np.asarray(tensor.numpy()).tolist() for name, tensor in outputs.items()}


def test_what_tensorflow_2_cannot_load_is_loaded(folder, model):
    import tensorflow as tf

    with pytest.raises((ValueError, tf.errors.OpError)):
        tf.saved_model.load(str(folder), tags=["serve"])
    assert run(model, "serving_default", x=[[1.0], [2.0]]) == {"y": [[2.5], [3.0]]}
    assert set(model.signatures) == set(model.signature_defs) == {
        "serving_default", "regress_x_to_y", "classify_x_to_y", "count", "asset",
    }  # fmt: skip


def test_a_value_of_another_shape_than_the_graph_names_is_fed(model):
    assert run(model, "serving_default", x=[1.0, 2.0, 5.0]) == {"y": [2.5, 3.0, 4.5]}
    assert run(model, "serving_default", x=4.0) == {"y": 4.0}


def test_one_signature_gives_by_itself_what_another_one_computes(model):
    from tensorflow.core.example.example_pb2 import Example

    example = Example()
    example.features.feature["x"].float_list.value.append(2.0)
    assert run(model, "regress_x_to_y", inputs=[example.SerializeToString()] * 2) == {"outputs": [[3.0], [3.0]]}


def test_variables_keep_what_calls_from_many_threads_leave_in_them(model):
    before = run(model, "count", delta=0.0)["count"]
    threads = [threading.Thread(target=lambda: [run(model, "count", delta=1.0) for _ in range(10)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert run(model, "count", delta=0.0)["count"] - before == 40


def test_what_initializes_the_model_is_run_and_finds_its_assets(model):
    assert run(model, "asset") == {"text": b"good day"}


def test_a_model_in_text_format_is_loaded(tmp_path):
    from serving.model.saved_model import LoadedModel

    model = LoadedModel(str(write_half_plus_two(tmp_path / "1", as_text=True)))
    assert run(model, "serving_default", x=[2.0]) == {"y": [3.0]}


def test_a_model_without_its_variables_is_an_error_of_tensorflow(tmp_path):
    import tensorflow as tf

    from serving.model.saved_model import LoadedModel

    folder = write_half_plus_two(tmp_path / "1")
    (folder / "variables" / "variables.index").unlink()
    with pytest.raises(tf.errors.OpError, match="variables"):
        LoadedModel(str(folder))
