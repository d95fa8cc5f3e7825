"""One typed, validated description of a run, loaded from YAML and mended from the command line."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from components.canary.config import CanaryConfig
from components.evaluator.config import EvaluateConfig
from components.image_example_gen.config import DataConfig
from components.pusher.config import PushConfig
from components.trainer.config import NetworkConfig, TrainConfig, TrainerConfig
from serving.client.errors import TintypeError

RECIPES = Path(__file__).parent / "configs"


class ConfigError(TintypeError):
    """A config cannot be used; the message names each field and what it may be."""


class RunConfig(BaseModel):
    """A whole run. Every field can be set in YAML or by `--set section.field=value`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipe: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="the name the served model goes by in `describe`")
    seed: int = Field(default=0, ge=0, description="reaches data order, augmentation, weights and dropout")
    model_name: str = Field(default="colorizer", pattern=r"^[A-Za-z0-9_.-]+$", description="its name on the server")
    data: DataConfig = DataConfig()
    network: NetworkConfig
    train: TrainConfig = TrainConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    canary: CanaryConfig = CanaryConfig()
    push: PushConfig = PushConfig()

    @model_validator(mode="after")
    def _size_fits_network(self):
        stride = self.network.generator.stride
        if self.data.size % stride:
            raise ValueError(f"data.size must be a multiple of {stride} for {self.recipe}, got {self.data.size}")
        return self

    def trainer_config(self) -> TrainerConfig:
        """The part of the run that decides the weights."""
        return TrainerConfig(
            recipe=self.recipe, seed=self.seed, size=self.data.size, network=self.network, train=self.train
        )


def recipe_names() -> list[str]:
    """Names of the recipes that come with Tintype."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def load_config(source: str | Path, overrides: tuple[str, ...] | list[str] = ()) -> RunConfig:
    """Read a config.

    Args:
        source: the path of a YAML file, or the name of a recipe that comes with Tintype.
        overrides: settings as `section.field=value`, the value in YAML's notation; later ones win.

    Raises:
        ConfigError: a missing file, wrong YAML, an unknown field or a value out of its range.
    """
    fields = _read_yaml(_find(source))
    for override in overrides:
        _apply_override(fields, override)
    try:
        return RunConfig.model_validate(fields)
    except ValidationError as error:
        raise ConfigError(_explain(source, error)) from None


def _find(source: str | Path) -> Path:
    path = Path(source)
    if path.is_file():
        return path
    if path.suffix == "" and (RECIPES / f"{path}.yaml").is_file():
        return RECIPES / f"{path}.yaml"
    raise ConfigError(f"no config {source}; give a YAML file or one of: {', '.join(recipe_names())}")


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {error}") from None
    if not isinstance(fields, dict):
        raise ConfigError(f"{path} must hold a mapping of sections, got {type(fields).__name__}")
    return fields


def _apply_override(fields: dict[str, Any], override: str) -> None:
    name, separator, value = override.partition("=")
    if not separator or not name:
        raise ConfigError(f"--set wants section.field=value, got {override!r}")
    *sections, last = name.split(".")
    for section in sections:
        fields = fields.setdefault(section, {})
        if not isinstance(fields, dict):
            raise ConfigError(f"--set {override}: {section} is not a section")
    try:
        fields[last] = yaml.safe_load(value)
    except yaml.YAMLError:
        raise ConfigError(f"--set {override}: the value is not YAML") from None


def _explain(source: str | Path, error: ValidationError) -> str:
    lines = []
    for item in error.errors():
        name = ".".join(str(part) for part in item["loc"])
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            message = f"no such field; {_choices(item['loc'])}"
        elif name and item["type"] != "value_error" and not isinstance(item["input"], dict):
            message += f", got {item['input']!r}"
        lines.append(f"  {name}: {message}" if name else f"  {message}")
    return "\n".join([f"config {source} cannot be used:", *lines])


def _choices(location: tuple[int | str, ...]) -> str:
    """The fields that stand where an unknown one was found."""
    section: Any = RunConfig
    for part in location[:-1]:
        section = section.model_fields[part].annotation
    return "there are " + ", ".join(section.model_fields)
