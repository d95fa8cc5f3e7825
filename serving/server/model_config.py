"""What a ModelServerConfig asks for, checked and worded as TensorFlow Serving does: models and their versions."""

import logging

from tensorflow_serving.config.model_server_config_pb2 import ModelConfig, ModelServerConfig, ModelType

from serving.server.errors import invalid
from serving.server.version_policy import VersionPolicy, every, latest, specific

log = logging.getLogger(__name__)

_PLATFORM = "tensorflow"


def models_of(config: ModelServerConfig) -> dict[str, ModelConfig]:
    """Return the models of a config by name, in its order.

    Raises:
        RequestError: INVALID_ARGUMENT for a config that cannot be.
    """
    if config.WhichOneof("config") != "model_config_list":
        raise invalid(
            "ServerModelConfig type not supported by HandleReloadConfigRequest."
            " Only ModelConfigList is currently supported"
        )
    models: dict[str, ModelConfig] = {}
    for model in config.model_config_list.config:
        if model.name in models:
            raise invalid(f"Illegal to list model {model.name} multiple times in config list")
        _check_model(model)
        models[model.name] = model
    return models


def policy_of(model: ModelConfig) -> VersionPolicy:
    """Return which versions of a model its config asks for: the newest where it does not say."""
    policy = model.model_version_policy
    match policy.WhichOneof("policy_choice"):
        case "all":
            return every
        case "specific":
            if not policy.specific.versions:
                log.warning("No specific versions requested for model %s: none is served.", model.name)
            return specific(policy.specific.versions)
        case _:
            return latest(max(1, policy.latest.num_versions))


def _check_model(model: ModelConfig) -> None:
    if not model.name:
        raise invalid("a model in the config list has no name")
    if model.model_type != ModelType.MODEL_TYPE_UNSPECIFIED:
        if model.model_platform:
            raise invalid(
                "Illegal setting both ModelServerConfig::model_type (deprecated) and ModelServerConfig::model_platform"
                f", model name is {model.name}"
            )
        if model.model_type != ModelType.TENSORFLOW:
            raise invalid(f"ModelServerConfig::model_type choice {model.model_type} not supported.")
    elif not model.model_platform:
        raise invalid(
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor ModelServerConfig::model_platform, "
            f"model name is {model.name}"
        )
    elif model.model_platform != _PLATFORM:
        raise invalid(f"Model {model.name} requests unsupported platform {model.model_platform}")
    if not (model.base_path.startswith("/") or "://" in model.base_path):
        raise invalid(f"Expected model {model.name} to have an absolute path or URI; got base_path()={model.base_path}")
