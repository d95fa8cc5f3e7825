"""SavedModels for the parts of the contract that the colorizer does not use: other dtypes, tf.Examples, text."""

from pathlib import Path


def write_example_model(folder: Path) -> Path:
    """Write a model as TensorFlow 1 made them, that parses tf.Examples with the features `x` and `bias` (default 0).

    Signatures: `serving_default` classifies as `low` with score x and `high` with score bias; `scores` gives the scores
    alone; `regress` gives x / 2 + 2 + bias, as [N, 1]; `flat` the same as [N]; `pairs` an output that
    fits no method, `renamed` an input that fits none.
    """
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        serialized = v1.placeholder(tf.string, [None], name="examples")
        features = tf.io.parse_example(
            serialized,
            {
                "x": tf.io.FixedLenFeature([1], tf.float32),
                "bias": tf.io.FixedLenFeature([1], tf.float32, default_value=[0.0]),
            },
        )
        x, bias = features["x"], features["bias"]
        scores = tf.concat([x, bias], axis=1)
        classes = tf.tile(tf.constant([["low", "high"]]), [tf.shape(x)[0], 1])
        slope = v1.get_variable("slope", initializer=0.5)
        value = slope * x + 2.0 + bias
        made = v1.saved_model.signature_def_utils
        builder = v1.saved_model.Builder(str(folder))
        session.run(v1.global_variables_initializer())
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            signature_def_map={
                "serving_default": made.classification_signature_def(serialized, classes, scores),
                "scores": made.classification_signature_def(serialized, None, scores),
                "regress": made.regression_signature_def(serialized, value),
                "flat": made.regression_signature_def(serialized, value[:, 0]),
                "pairs": made.regression_signature_def(serialized, scores),
                "renamed": made.predict_signature_def({"examples": serialized}, {"outputs": value}),
            },
        )
        builder.save()
    return folder


def write_typed_model(folder: Path) -> Path:
    """Write a model with signatures of many dtypes.

    `serving_default` doubles the matrix `x`, `log` takes the logarithm of the vector `x`, `scalar` adds one to the
    number `x`, `echo` gives the text `text` back as `text` and as `text_bytes`, `several` changes an integer, a truth
    value and a double a little, `ragged` gives outputs of different lengths.
    """
    import tensorflow as tf

    def vector(dtype, name):
        return tf.TensorSpec([None], dtype, name)

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32, "x")])
    def double(x):
        return {"y": 2.0 * x}

    @tf.function(input_signature=[vector(tf.float32, "x")])
    def log(x):
        return {"y": tf.math.log(x)}

    @tf.function(input_signature=[tf.TensorSpec([], tf.float32, "x")])
    def scalar(x):
        return {"y": x + 1.0}

    @tf.function(input_signature=[tf.TensorSpec(None, tf.string, "text")])
    def echo(text):
        return {"text": tf.identity(text), "text_bytes": tf.identity(text)}

    @tf.function(input_signature=[vector(tf.int64, "i"), vector(tf.bool, "b"), vector(tf.float64, "d")])
    def several(i, b, d):
        return {"i": i + 1, "b": tf.logical_not(b), "d": d / 3.0}

    @tf.function(input_signature=[vector(tf.float32, "x")])
    def ragged(x):
        return {"one": x[:1], "all": x}

    signatures = {"serving_default": double, "log": log, "scalar": scalar, "echo": echo, "several": several}
    signatures["ragged"] = ragged
    tf.saved_model.save(tf.Module(), str(folder), signatures=signatures)
    return folder
