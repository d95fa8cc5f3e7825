"""One typed, validated description of a run, loaded from YAML and mended from the command line."""

from pathlib import Path
from typing import Any, Self, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

from components.canary.config import CanaryConfig
from components.evaluator.config import EvaluateConfig
from components.image_example_gen.config import DataConfig
from components.pusher.config import PushConfig
from components.trainer.config import NetworkConfig, TrainConfig, TrainerConfig
from photo.errors import TintypeError
from pipeline.resources import Resources

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
    resources: Resources = Resources()

    @model_validator(mode="after")
    def _size_fits_network(self) -> Self:
        stride, smallest = self.network.generator.stride, self.network.smallest_size
        if self.data.size % stride:
            raise ValueError(f"data.size must be a multiple of {stride} for {self.recipe}, got {self.data.size}")
        if self.data.size < smallest:
            raise ValueError(f"data.size must be at least {smallest} for {self.recipe}, got {self.data.size}")
        return self

    @model_validator(mode="after")
    def _adversary_is_there(self) -> Self:
        if self.network.discriminator is None and self.train.loss.adversarial_weight > 0:
            raise ValueError(
                f"train.loss.adversarial_weight must be 0 for {self.recipe}, which has no network.discriminator, "
                f"got {self.train.loss.adversarial_weight:g}"
            )
        return self

    @model_validator(mode="after")
    def _generator_can_be_guided(self) -> Self:
        if self.network.generator.kind != "pretrained_unet":
            for name, wanted in (
                ("hints", self.train.hints is not None),
                ("kept_views", self.train.kept_views > 0),
                ("loss.distribution_weight", self.train.loss.distribution_weight > 0),
            ):
                if wanted:
                    raise ValueError(f"train.{name} needs a network.generator of the kind pretrained_unet")
        return self

    def trainer_config(self) -> TrainerConfig:
        """The part of the run that decides the weights."""
        return TrainerConfig(
            recipe=self.recipe,
            seed=self.seed,
            size=self.data.size,
            network=self.network,
            train=self.train,
            weights=self.data.weights,
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
        path, section = _locate(item["loc"])
        name = ".".join(path)
        message = item["msg"].removeprefix("Value error, ")
        match item["type"]:
            case "extra_forbidden":
                message = f"no such field; there are {', '.join(section.model_fields)}"
            case "union_tag_invalid":
                message = f"kind must be one of {item['ctx']['expected_tags']}, got {item['ctx']['tag']!r}"
            case "union_tag_not_found":
                message = (
                    f"kind is missing; it must be one of {', '.join(map(str, _kinds(section.model_fields[path[-1]])))}"
                )
            case "value_error":
                pass
            case _ if name and not isinstance(item["input"], dict):
                message += f", got {item['input']!r}"
        lines.append(f"  {name}: {message}" if name else f"  {message}")
    return "\n".join([f"config {source} cannot be used:", *lines])


def _locate(location: tuple[int | str, ...]) -> tuple[list[str], type[BaseModel]]:
    """The path of a field as it is written in YAML, and the section of the config that it stands in.

    Pydantic puts the kind of a section that comes in several kinds into the location; in YAML it is no level.
    """
    path: list[str] = []
    section: type[BaseModel] = RunConfig
    current: Any = RunConfig
    for part in location:
        if isinstance(current, FieldInfo) and current.discriminator and part in (kinds := _kinds(current)):
            current = kinds[part]
            continue
        path.append(str(part))
        if isinstance(current, type) and issubclass(current, BaseModel):
            section = current
            field = section.model_fields.get(str(part))
            current = field if field is None or field.discriminator else _section_of(field.annotation)
    return path, section


def _section_of(annotation: Any) -> Any:
    """The section that a field holds, also where it may be left out as null."""
    sections = [kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type)]
    return next((kind for kind in sections if issubclass(kind, BaseModel)), None)


def _kinds(field: FieldInfo) -> dict[int | str, type[BaseModel]]:
    """The sections that a field may hold, by their kind."""
    sections = [kind for kind in get_args(field.annotation) if isinstance(kind, type) and issubclass(kind, BaseModel)]
    return {section.model_fields["kind"].default: section for section in sections}
