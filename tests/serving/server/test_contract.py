"""What every client of TensorFlow Serving's gRPC may rely on, asked with its own messages and stubs.

The same tests ask a real tensorflow_model_server where TENSORFLOW_MODEL_SERVER names one. What stays different between
the two stands in docs/serving.md, under "Differences to TensorFlow Serving", each with its reason.
"""

import time

import grpc
import numpy as np
import pytest

from tests.serving.server.conftest import NAME, model_config, model_configs, model_server
from tests.serving.server.example_models import write_example_model, write_half_plus_two

INVALID_ARGUMENT = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
FAILED_PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION

EVERY_VERSION = "model_version_policy { all {} }"
LABELS = 'version_labels { key: "stable" value: 2 } version_labels { key: "canary" value: 3 }'


@pytest.fixture(scope="module")
def folder(tiny_models, tmp_path_factory):
    """Base paths: `colorizer` with the models `one` as version 2 and `two` as 3, `examples`, and two of TF 1."""
    folder = tmp_path_factory.mktemp("contract")
    (folder / NAME).mkdir()
    (folder / NAME / "2").symlink_to(tiny_models["one"])
    (folder / NAME / "3").symlink_to(tiny_models["two"])
    write_example_model(folder / "examples" / "1")
    write_vintage_model(folder / "vintage" / "1")
    write_half_plus_two(folder / "half_plus_two" / "1", producer=21)
    return folder


@pytest.fixture(scope="module")
def client(folder):
    config = folder / "models.config"
    config.write_text(everything(folder))
    with model_server(
        model_config_file=config, file_system_poll_wait_seconds=1, allow_version_labels_for_unavailable_models=True
    ) as client:
        yield client


def everything(folder) -> str:
    return model_configs(
        model_config(NAME, folder / NAME, EVERY_VERSION + LABELS),
        model_config("examples", folder / "examples"),
        model_config("vintage", folder / "vintage"),
        model_config("half_plus_two", folder / "half_plus_two"),
    )


def write_vintage_model(folder):
    """Write a model as TensorFlow 1 made them, with variables, a table and inputs named as Python's own words."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None], name="x")
        place = v1.placeholder(tf.int64, [None], name="place")
        slope = v1.get_variable("slope", initializer=3.0, use_resource=False)
        names = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(tf.constant([0, 1], tf.int64), tf.constant(["even", "odd"])), "?"
        )
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        v1.saved_model.simple_save(
            session,
            str(folder),
            inputs={"self": x, "class": place},
            outputs={"scaled": slope * x, "name": names.lookup(place)},
            legacy_init_op=v1.tables_initializer(),
        )


def pixel(lightness=50.0):
    return np.full((1, 1, 1, 1), lightness, np.float32)


def ndarray(proto):
    import tensorflow as tf

    return tf.make_ndarray(proto)


def refused(code, call, *words):
    with pytest.raises(grpc.RpcError) as caught:
        call()
    assert caught.value.code() is code, caught.value
    for word in words:
        assert word in caught.value.details()


def settled(client, name, **expected):
    """Wait for the given states, written as v1="AVAILABLE"."""
    wanted = {int(version[1:]): state for version, state in expected.items()}
    deadline = time.monotonic() + 20
    while (states := client.states(name)) != wanted and time.monotonic() < deadline:
        time.sleep(0.05)
    assert states == wanted


def test_predict_gives_the_models_values_and_tells_what_answered(client):
    lightness = np.linspace(0, 100, 2 * 4 * 3, dtype=np.float32).reshape(2, 4, 3, 1)
    answer = client.predict(L=lightness)
    np.testing.assert_allclose(ndarray(answer.outputs["ab"]), lightness / 100 * np.float32([2, 4]), rtol=1e-5)
    assert (answer.model_spec.name, answer.model_spec.version.value) == (NAME, 3)
    assert answer.model_spec.signature_name == "serving_default"


@pytest.mark.parametrize(
    ("choice", "version", "ab"),
    [
        ({}, 3, [1, 2]),
        ({"version": 2}, 2, [10, -15]),
        ({"version": 3}, 3, [1, 2]),
        ({"label": "stable"}, 2, [10, -15]),
        ({"label": "canary"}, 3, [1, 2]),
    ],
)
def test_a_version_is_asked_by_its_number_by_its_label_or_as_the_latest(client, choice, version, ab):
    assert client.ab(**choice) == pytest.approx(ab)
    assert client.predict(L=pixel(), **choice).model_spec.version.value == version


def test_the_signature_that_is_named_runs_and_the_filter_chooses_its_outputs(client):
    import tensorflow as tf

    request = client.request(signature="describe", version=3, outputs=["size", "recipe"])
    request.inputs["name"].CopyFrom(tf.make_tensor_proto([b"", b""]))
    answer = client.prediction.Predict(request, timeout=20)
    assert set(answer.outputs) == {"size", "recipe"}
    assert ndarray(answer.outputs["size"]).tolist() == [32, 32]
    assert ndarray(answer.outputs["recipe"]).tolist() == [b"tiny", b"tiny"]
    assert answer.model_spec.signature_name == "describe"


def test_a_model_made_by_tensorflow_1_answers_whatever_its_inputs_are_called(client):
    import tensorflow as tf

    request = client.request(name="vintage")
    request.inputs["self"].CopyFrom(tf.make_tensor_proto(np.float32([1, 2])))
    request.inputs["class"].CopyFrom(tf.make_tensor_proto(np.int64([1, 7])))
    answer = client.prediction.Predict(request, timeout=20)
    assert ndarray(answer.outputs["scaled"]).tolist() == [3, 6]
    assert ndarray(answer.outputs["name"]).tolist() == [b"odd", b"?"]


def test_a_model_of_the_quick_start_answers_in_typed_fields_values_of_any_shape(client):
    answer = client.predict(name="half_plus_two", x=np.array([1.0, 2.0, 5.0], np.float32)).outputs["y"]
    assert list(answer.float_val) == [2.5, 3.0, 4.5]
    assert not answer.tensor_content
    assert [dim.size for dim in answer.tensor_shape.dim] == [3]


def test_what_names_no_model_or_none_that_is_served_is_refused_in_tensorflow_servings_words(any_server):
    from tensorflow_serving.apis.classification_pb2 import ClassificationRequest
    from tensorflow_serving.apis.get_model_metadata_pb2 import GetModelMetadataRequest
    from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest
    from tensorflow_serving.apis.inference_pb2 import MultiInferenceRequest
    from tensorflow_serving.apis.predict_pb2 import PredictRequest

    prediction, model = any_server.prediction, any_server.model
    refused(INVALID_ARGUMENT, lambda: prediction.Predict(PredictRequest()), "Missing ModelSpec")
    refused(INVALID_ARGUMENT, lambda: prediction.Classify(ClassificationRequest()), "Missing ModelSpec")
    refused(INVALID_ARGUMENT, lambda: prediction.GetModelMetadata(GetModelMetadataRequest()), "Missing ModelSpec")
    refused(INVALID_ARGUMENT, lambda: prediction.MultiInference(MultiInferenceRequest()), "no name")
    refused(INVALID_ARGUMENT, lambda: model.GetModelStatus(GetModelStatusRequest()), "Missing ModelSpec")
    refused(INVALID_ARGUMENT, lambda: any_server.ab(name=""), "ModelSpec has no name specified.")
    latest = "Servable not found for request: Latest(painter)"
    refused(NOT_FOUND, lambda: any_server.ab(name="painter"), latest)
    refused(NOT_FOUND, lambda: any_server.ab(name="painter", version=4), "request: Specific(painter, 4)")
    refused(NOT_FOUND, lambda: any_server.status("painter"), "Could not find any versions of model painter")
    refused(INVALID_ARGUMENT, lambda: any_server.ab(label="best"), "Unrecognized servable version label: best")


def test_a_version_that_is_not_there_is_not_found(client):
    refused(NOT_FOUND, lambda: client.ab(version=9), f"Servable not found for request: Specific({NAME}, 9)")
    refused(NOT_FOUND, lambda: client.status(version=9), f"Could not find version 9 of model {NAME}")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ({}, INVALID_ARGUMENT, "0!=1 len({}) != len({L}). Sent extra: {}. Missing but required: {L}."),
        ({"L": pixel(), "mask": pixel()}, INVALID_ARGUMENT, "Sent extra: {mask}. Missing but required: {}."),
        ({"l": pixel()}, INVALID_ARGUMENT, "input tensor alias not found in signature: l."),
        ({"L": pixel(), "outputs": ["hue"]}, INVALID_ARGUMENT, "output tensor alias not found in signature: hue"),
        ({"L": pixel(), "outputs": ["ab", "ab"]}, INVALID_ARGUMENT, "duplicate output tensor alias: ab"),
        ({"L": pixel().astype(np.float64)}, INVALID_ARGUMENT, ""),
        ({"L": np.array([b"x"])}, INVALID_ARGUMENT, ""),
        ({"signature": "paint", "L": pixel()}, FAILED_PRECONDITION, 'Serving signature key "paint" not found.'),
    ],
)
def test_a_request_that_does_not_fit_the_signature_is_refused(client, arguments, code, words):
    refused(code, lambda: client.predict(**arguments), words)


def test_metadata_holds_the_signatures(client):
    from tensorflow_serving.apis.get_model_metadata_pb2 import GetModelMetadataRequest, SignatureDefMap

    request = GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = NAME
    answer = client.prediction.GetModelMetadata(request, timeout=20)
    assert answer.model_spec.version.value == 3
    signatures = SignatureDefMap()
    assert answer.metadata["signature_def"].Unpack(signatures)
    default = signatures.signature_def["serving_default"]
    assert [dim.size for dim in default.inputs["L"].tensor_shape.dim] == [-1, -1, -1, 1]
    assert set(default.outputs) == {"ab"}

    request.metadata_field[:] = ["weights"]
    refused(INVALID_ARGUMENT, lambda: client.prediction.GetModelMetadata(request), "field weights is not supported")
    request.metadata_field[:] = []
    refused(INVALID_ARGUMENT, lambda: client.prediction.GetModelMetadata(request), "at least one metadata_field")


def test_status_tells_every_version_the_newest_first_or_the_one_that_is_asked_for(client):
    from tensorflow_serving.apis.get_model_status_pb2 import ModelVersionStatus

    available = ModelVersionStatus.AVAILABLE
    assert [(status.version, status.state) for status in client.status()] == [(3, available), (2, available)]
    assert [(status.version, status.state) for status in client.status(version=2)] == [(2, available)]
    assert client.status()[0].status.error_code == 0


def test_examples_are_classified_regressed_and_both(client):
    import tensorflow as tf
    from tensorflow_serving.apis.classification_pb2 import ClassificationRequest
    from tensorflow_serving.apis.inference_pb2 import MultiInferenceRequest
    from tensorflow_serving.apis.regression_pb2 import RegressionRequest

    example = tf.train.Example()
    example.features.feature["x"].float_list.value.append(4.0)

    classification = ClassificationRequest()
    classification.model_spec.name = "examples"
    classification.input.example_list.examples.append(example)
    answer = client.prediction.Classify(classification, timeout=20)
    classes = answer.result.classifications[0].classes
    assert [(entry.label, entry.score) for entry in classes] == [("low", 4.0), ("high", 0.0)]
    assert (answer.model_spec.name, answer.model_spec.version.value) == ("examples", 1)

    regression = RegressionRequest(input=classification.input)
    regression.model_spec.name = "examples"
    regression.model_spec.signature_name = "regress"
    answer = client.prediction.Regress(regression, timeout=20)
    assert [entry.value for entry in answer.result.regressions] == [4.0]
    assert answer.model_spec.signature_name == "regress"

    both = MultiInferenceRequest(input=classification.input)
    both.tasks.add(model_spec=classification.model_spec, method_name="tensorflow/serving/classify")
    both.tasks.add(model_spec=regression.model_spec, method_name="tensorflow/serving/regress")
    answer = client.prediction.MultiInference(both, timeout=20)
    assert answer.results[0].classification_result.classifications[0].classes[0].label == "low"
    assert answer.results[1].regression_result.regressions[0].value == 4.0
    assert [result.model_spec.version.value for result in answer.results] == [1, 1]


@pytest.mark.parametrize(
    ("config", "code", "words"),
    [
        ("", INVALID_ARGUMENT, "Only ModelConfigList is currently supported"),
        (
            model_configs(model_config("a", "/nowhere"), model_config("a", "/nowhere")),
            INVALID_ARGUMENT,
            "Illegal to list model a multiple times in config list",
        ),
        (model_configs(model_config("a", "models/a")), INVALID_ARGUMENT, "models/a"),
    ],
)
def test_a_config_that_cannot_be_is_refused_and_changes_nothing(client, config, code, words):
    refused(code, lambda: client.reload(config), words)
    assert client.ab() == pytest.approx([1, 2])


def test_a_label_is_not_moved_to_a_version_that_is_not_available(client, folder):
    moved = model_config(NAME, folder / NAME, EVERY_VERSION + 'version_labels { key: "stable" value: 7 }')
    refused(
        FAILED_PRECONDITION,
        lambda: client.reload(model_configs(moved)),
        f"Request to assign label to version 7 of model {NAME}, which is not currently available for inference",
    )
    assert client.ab(label="stable") == pytest.approx([10, -15])


def test_a_config_moves_labels_and_adds_and_removes_models(client, folder):
    promoted = 'version_labels { key: "stable" value: 3 }'
    answer = client.reload(
        model_configs(
            model_config(NAME, folder / NAME, EVERY_VERSION + promoted), model_config("second", folder / NAME)
        )
    )
    assert answer.status.error_code == 0
    assert client.ab(label="stable") == pytest.approx([1, 2])
    refused(INVALID_ARGUMENT, lambda: client.ab(label="canary"), "canary")
    assert client.predict(name="second", L=pixel()).model_spec.name == "second"
    refused(NOT_FOUND, lambda: client.predict(name="vintage"), "Latest(vintage)")
    settled(client, "vintage", v1="END")
    client.reload(everything(folder))
    assert client.ab(label="stable") == pytest.approx([10, -15])
    settled(client, "vintage", v1="AVAILABLE")
    settled(client, "second", v3="END")


def test_the_version_policy_chooses_which_versions_are_served(client, folder):
    def policy(text):
        client.reload(model_configs(model_config("chosen", folder / NAME, f"model_version_policy {{ {text} }}")))

    try:
        policy("latest { num_versions: 1 }")
        settled(client, "chosen", v3="AVAILABLE")
        policy("latest { num_versions: 2 }")
        settled(client, "chosen", v3="AVAILABLE", v2="AVAILABLE")
        policy("specific { versions: 2 }")
        settled(client, "chosen", v3="END", v2="AVAILABLE")
        assert client.ab(name="chosen") == pytest.approx([10, -15])
        policy("all {}")
        settled(client, "chosen", v3="AVAILABLE", v2="AVAILABLE")
    finally:
        client.reload(everything(folder))
