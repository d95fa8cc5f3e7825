"""Classify, Regress and MultiInference on a model that TensorFlow 1 made."""

import grpc
import pytest

from serving.server.errors import RequestError
from tests.serving.server.example_models import write_example_model, write_typed_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    from serving.server.served_model import ServedModel

    return ServedModel(str(write_example_model(tmp_path_factory.mktemp("examples") / "1")))


def example(**features):
    from tensorflow.core.example.example_pb2 import Example

    made = Example()
    for name, value in features.items():
        made.features.feature[name].float_list.value.append(value)
    return made


def request(kind, *examples, signature="", context=None):
    from tensorflow_serving.apis.classification_pb2 import ClassificationRequest
    from tensorflow_serving.apis.regression_pb2 import RegressionRequest

    made = {"classify": ClassificationRequest, "regress": RegressionRequest}[kind]()
    made.model_spec.signature_name = signature
    if context is not None:
        made.input.example_list_with_context.context.CopyFrom(context)
        made.input.example_list_with_context.examples.extend(examples)
    else:
        made.input.example_list.examples.extend(examples)
    return made


def ask(model, made):
    from serving.server import classification

    kind = "classify" if "Classification" in type(made).__name__ else "regress"
    return getattr(classification, kind)(model, made)


def refused(model, made, *words, code=grpc.StatusCode.INVALID_ARGUMENT):
    with pytest.raises(RequestError) as caught:
        ask(model, made)
    assert caught.value.code is code
    for word in words:
        assert word in caught.value.message


def test_every_example_gets_its_classes_and_scores(model):
    response = ask(model, request("classify", example(x=0.25), example(x=0.5, bias=0.75)))
    rows = [[(entry.label, entry.score) for entry in row.classes] for row in response.result.classifications]
    assert rows == [[("low", 0.25), ("high", 0.0)], [("low", 0.5), ("high", 0.75)]]
    assert response.model_spec.signature_name == "serving_default"


def test_a_signature_may_give_scores_without_classes(model):
    response = ask(model, request("classify", example(x=0.25), signature="scores"))
    assert [(entry.label, entry.score) for entry in response.result.classifications[0].classes] == [
        ("", 0.25),
        ("", 0.0),
    ]


@pytest.mark.parametrize("signature", ["regress", "flat"])
def test_every_example_gets_its_value(model, signature):
    response = ask(model, request("regress", example(x=1.0), example(x=2.0), signature=signature))
    assert [entry.value for entry in response.result.regressions] == [2.5, 3.0]
    assert response.model_spec.signature_name == signature


def test_the_context_belongs_to_every_example_and_an_example_overrides_it(model):
    made = request(
        "regress", example(x=1.0), example(x=1.0, bias=7.0), signature="regress", context=example(bias=100.0)
    )
    assert [entry.value for entry in ask(model, made).result.regressions] == [102.5, 9.5]


def test_what_does_not_fit_is_refused_in_tensorflow_servings_words(model):
    one = example(x=1.0)
    refused(model, request("classify"), "Input is empty.")
    refused(model, request("regress", signature="regress", context=one), "Input is empty.")
    refused(model, request("classify", one, signature="nope"), "No signature was found with the name: nope")
    refused(model, request("classify", one, signature="regress"), 'at least one of "classes" or "scores"')
    refused(model, request("regress", one), "Expected one output Tensor.")
    refused(model, request("regress", one, signature="scores"), "No regression outputs found in SignatureDef")
    refused(model, request("regress", one, signature="renamed"), "No regression inputs found in SignatureDef")
    refused(
        model,
        request("regress", one, signature="pairs"),
        "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got [1,2]",
    )


def test_an_example_without_a_feature_that_must_be_there_names_it(model):
    refused(model, request("classify", example(bias=1.0)), "x", "required")


def test_a_signature_for_other_things_neither_classifies_nor_regresses(tmp_path):
    from serving.server.served_model import ServedModel

    model = ServedModel(str(write_typed_model(tmp_path / "1")))
    refused(model, request("classify", example(x=1.0)), "No classification inputs found in SignatureDef")
    refused(model, request("regress", example(x=1.0), signature="several"), "Expected one input Tensor.")


def tasks(*wanted, examples=()):
    from tensorflow_serving.apis.inference_pb2 import MultiInferenceRequest

    made = MultiInferenceRequest()
    for name, signature, method in wanted:
        task = made.tasks.add(method_name=method)
        task.model_spec.name = name
        task.model_spec.signature_name = signature
    made.input.example_list.examples.extend(examples)
    return made


def test_multi_inference_answers_its_tasks_in_their_order(model):
    from serving.server.classification import CLASSIFY_METHOD, REGRESS_METHOD, multi_inference

    made = tasks(("m", "regress", REGRESS_METHOD), ("m", "", CLASSIFY_METHOD), examples=[example(x=1.0)])
    regressed, classified = multi_inference(model, made).results
    assert regressed.regression_result.regressions[0].value == 2.5
    assert classified.classification_result.classifications[0].classes[0].label == "low"
    assert [regressed.model_spec.signature_name, classified.model_spec.signature_name] == ["regress", "serving_default"]


@pytest.mark.parametrize(
    ("wanted", "code", "words"),
    [
        ([("", "", "classify")], "INVALID_ARGUMENT", "Found ModelSpec with an empty model name."),
        (
            [("m", "", "classify"), ("n", "regress", "regress")],
            "INVALID_ARGUMENT",
            "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
        ),
        (
            [("m", "", "classify"), ("m", "serving_default", "classify")],
            "INVALID_ARGUMENT",
            "Duplicate evaluation of signature: serving_default",
        ),
        ([("m", "no", "classify")], "INVALID_ARGUMENT", "Requested signature not found in model graph: no"),
        ([("m", "", "predict")], "UNIMPLEMENTED", "Unsupported signature method_name: tensorflow/serving/predict"),
        ([("m", "regress", "classify")], "INVALID_ARGUMENT", "at least one of"),
    ],
)
def test_tasks_that_do_not_fit_together_are_refused(model, wanted, code, words):
    from serving.server.classification import multi_inference

    made = tasks(
        *((name, sig, f"tensorflow/serving/{method}") for name, sig, method in wanted), examples=[example(x=1)]
    )
    with pytest.raises(RequestError) as caught:
        multi_inference(model, made)
    assert caught.value.code.name == code
    assert words in caught.value.message
