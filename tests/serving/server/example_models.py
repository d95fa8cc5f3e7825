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


def write_half_plus_two(folder: Path, *, producer: int | None = None, as_text: bool = False) -> Path:
    """Write the model of TensorFlow Serving's quick start, as TensorFlow 1 made it: y = x / 2 + 2, and more.

    Its variables are of the old kind, which are references. `x` is what tf.Examples are parsed to, [N, 1], or given by
    itself. Signatures: `serving_default` gives y for `x`, `regress_x_to_y` and `classify_x_to_y` give it for Examples,
    `count` adds `delta` to a variable, and `asset` gives the text of a file.

    Args:
        folder: to write it to.
        producer: the version of the GraphDef; before 24 a placeholder without a shape was written as a scalar.
        as_text: write saved_model.pbtxt.
    """
    import tensorflow as tf
    from google.protobuf import text_format
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    v1 = tf.compat.v1
    asset = folder.parent / "greeting.txt"
    asset.parent.mkdir(parents=True, exist_ok=True)
    asset.write_text("good day")
    with tf.Graph().as_default(), v1.Session() as session:
        examples = v1.placeholder(tf.string, [None], name="tf_example")
        parsed = tf.io.parse_example(examples, {"x": tf.io.FixedLenFeature([1], tf.float32)})
        x = tf.identity(parsed["x"], name="x")
        half, two, counter = (
            v1.get_variable(name, initializer=value, use_resource=False)
            for name, value in (("a", 0.5), ("b", 2.0), ("counter", 0.0))
        )
        y = tf.identity(half * x + two, name="y")
        delta = v1.placeholder(tf.float32, [], name="delta")
        v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, tf.constant(str(asset), name="asset_path"))
        text = v1.get_variable("text", initializer="", use_resource=False)
        read = v1.assign(text, tf.io.read_file(v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS)[0]), name="init_all")
        session.run(v1.global_variables_initializer())
        made = v1.saved_model.signature_def_utils
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            signature_def_map={
                "serving_default": made.predict_signature_def({"x": x}, {"y": y}),
                "regress_x_to_y": made.regression_signature_def(examples, y),
                "classify_x_to_y": made.classification_signature_def(examples, None, y),
                "count": made.predict_signature_def({"delta": delta}, {"count": v1.assign_add(counter, delta)}),
                "asset": made.build_signature_def({}, {"text": v1.saved_model.build_tensor_info(text)}),
            },
            assets_collection=v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
            main_op=read.op,
        )
        builder.save()
    file = folder / "saved_model.pb"
    saved = SavedModel.FromString(file.read_bytes())
    graph = saved.meta_graphs[0].graph_def
    if producer is not None:
        graph.versions.producer = producer
        for node in graph.node:
            if node.name == "tf_example":
                node.attr["shape"].shape.Clear()
                del node.attr["_output_shapes"]
    file.write_bytes(saved.SerializeToString())
    if as_text:
        file.with_suffix(".pbtxt").write_text(text_format.MessageToString(saved))
        file.unlink()
    return folder
