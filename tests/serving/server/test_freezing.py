import numpy as np
import pytest
import tensorflow as tf

from serving.server.freezing import frozen


def loaded(module, folder, signature):
    tf.saved_model.save(module, str(folder), signatures={"serving_default": signature})
    return tf.saved_model.load(str(folder))


class Network(tf.Module):
    def __init__(self):
        super().__init__()
        draw = np.random.default_rng(0)
        self.kernel = tf.Variable(draw.normal(size=(3, 3, 1, 8)).astype(np.float32))
        self.scale = tf.Variable(draw.normal(size=8).astype(np.float32))

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, None, 1], tf.float32, name="L"),
            tf.TensorSpec([None], tf.float32, name="gain"),
        ]
    )
    def color(self, L, gain):  # noqa: N803
        found = tf.nn.conv2d(L, self.kernel, 1, "SAME") * self.scale
        return {"ab": found[..., :2] * gain[:, None, None, None], "all": found, "count": tf.shape(L)[0]}


def test_a_network_computes_the_same_with_constants_for_variables(tmp_path):
    model = loaded(network := Network(), tmp_path, network.color)
    function = model.signatures["serving_default"]
    run = frozen(function)
    inputs = {"gain": tf.constant([1.0, 2.0]), "L": tf.random.uniform([2, 9, 7, 1], seed=1)}
    expected, found = function(**inputs), run(inputs)
    assert set(found) == {"ab", "all", "count"}
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-5)
    del model, function  # it owns all it needs
    assert run(inputs)["count"].numpy() == 2


def test_a_signature_that_writes_to_a_variable_stays_as_it_is(tmp_path):
    class Counter(tf.Module):
        def __init__(self):
            super().__init__()
            self.asked = tf.Variable(0.0)

        @tf.function(input_signature=[tf.TensorSpec([], tf.float32, name="x")])
        def count(self, x):
            return {"y": x + self.asked.assign_add(1.0)}

    model = loaded(counter := Counter(), tmp_path, counter.count)
    assert frozen(model.signatures["serving_default"]) is None


def test_a_signature_that_uses_a_table_stays_as_it_is(tmp_path):
    class Names(tf.Module):
        def __init__(self):
            super().__init__()
            rows = tf.lookup.KeyValueTensorInitializer(tf.constant(["red"]), tf.constant([1.0]))
            self.table = tf.lookup.StaticHashTable(rows, default_value=0.0)
            self.factor = tf.Variable(2.0)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="name")])
        def look_up(self, name):
            return {"y": self.table.lookup(name) * self.factor}

    model = loaded(names := Names(), tmp_path, names.look_up)
    assert frozen(model.signatures["serving_default"]) is None


@pytest.mark.parametrize("limit", [0, 10_000])
def test_a_model_too_large_for_a_graph_stays_as_it_is(tmp_path, monkeypatch, limit):
    from serving.server import freezing

    monkeypatch.setattr(freezing, "_MAX_BYTES", limit)
    model = loaded(network := Network(), tmp_path, network.color)
    assert (frozen(model.signatures["serving_default"]) is None) == (limit == 0)
