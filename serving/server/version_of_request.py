"""Which version answers a request: the one of its number or of its label, else the greatest that is available."""

from collections.abc import Mapping
from typing import Any

from tensorflow_serving.apis.model_pb2 import ModelSpec

from serving.server.errors import invalid


def model_spec_of(request: Any) -> ModelSpec:
    """Return what a request says of its model.

    Raises:
        RequestError: INVALID_ARGUMENT when it says nothing.
    """
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")
    return request.model_spec


def version_asked_for(spec: ModelSpec, labels: Mapping[str, int]) -> int | None:
    """Return the number of the version that a request asks for; None asks for the greatest available one.

    Args:
        spec: names the model and, if it likes, a version or a label.
        labels: the model's, with the version that each stands for.

    Raises:
        RequestError: INVALID_ARGUMENT for a spec without a name, or with a label that the model does not have.
    """
    if not spec.name:
        raise invalid("ModelSpec has no name specified.")
    choice = spec.WhichOneof("version_choice")
    if choice == "version":
        return int(spec.version.value)
    if choice == "version_label":
        if spec.version_label not in labels:
            raise invalid(f"Unrecognized servable version label: {spec.version_label}")
        return labels[spec.version_label]
    return None
