"""The servers' --model_config_file: read, changed and written whole, its comments kept."""

from pathlib import Path
from typing import Any

from google.protobuf import text_format
from google.protobuf.message import Message

from photo.errors import TintypeError
from photo.whole_file import write_whole
from serving.client import wire
from serving.rollout.history import Step, steps_in


class ConfigFile:
    """The config file as it was read, and as it is to be.

    Attributes:
        path: where it lies.
        data: its bytes.
        config: the ModelServerConfig in it.
        comments: its whole-line comments.
    """

    def __init__(self, path: Path):
        self.path = path
        self.data = read(path)
        text = self.data.decode("utf-8", "replace")
        self.config = wire.ModelServerConfig()
        try:
            text_format.Parse(text, self.config)
        except text_format.ParseError as error:
            raise TintypeError(f"{path} is no ModelServerConfig in text format: {error}") from error
        self.comments = [line.strip() for line in text.splitlines() if line.lstrip().startswith("#")]

    def model(self, name: str) -> Any:
        """Return the ModelConfig of a model; raises TintypeError where the file lists none of this name."""
        if (model := model_in(self.config, name)) is not None:
            return model
        names = ", ".join(repr(model.name) for model in self.config.model_config_list.config)
        raise TintypeError(f"{self.path} lists no model {name!r}; it lists {names or 'none'}")

    def labels(self, name: str) -> dict[str, int]:
        """Return the version that each label of a model names."""
        return dict(self.model(name).version_labels)

    def policy(self, name: str) -> str:
        """Return a model's version policy in words."""
        policy = self.model(name).model_version_policy
        match policy.WhichOneof("policy_choice"):
            case "all":
                return "all"
            case "specific":
                return f"specific {', '.join(map(str, sorted(policy.specific.versions)))}"
            case _:
                return f"latest {max(1, policy.latest.num_versions)}"

    def history(self, name: str) -> list[Step]:
        """Return the promotions and rollbacks of a model, the oldest first."""
        return steps_in(self.comments, name)

    def write(self, config: Message, comments: list[str]) -> None:
        """Replace the file, unless somebody else did since it was read."""
        if read(self.path) != self.data:
            raise TintypeError(f"somebody else changed {self.path} meanwhile; it was not written")
        data = "".join(f"{line}\n" for line in comments).encode() + text_format.MessageToString(config).encode()
        write_whole(self.path, data)
        self.data, self.config, self.comments = data, config, comments


def model_in(config: Any, name: str) -> Any:
    """Return the ModelConfig of a model in a ModelServerConfig, or None."""
    return next((model for model in config.model_config_list.config if model.name == name), None)


def with_labels(config: Message, name: str, labels: dict[str, int]) -> Any:
    """Return a copy of a ModelServerConfig with other labels of one model."""
    changed = wire.ModelServerConfig()
    changed.CopyFrom(config)
    model_in(changed, name).version_labels.clear()
    model_in(changed, name).version_labels.update(labels)
    return changed


def read(path: Path) -> bytes:
    """Return a file's bytes; raises TintypeError where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise TintypeError(f"cannot read {path}: {error.strerror or error}") from error
