"""The pipeline: which components run, in which order, and what flows between them."""

from tfx.components import ExampleValidator, StatisticsGen
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.orchestration import metadata
from tfx.orchestration.data_types import RuntimeParameter
from tfx.orchestration.pipeline import Pipeline

from components.canary.component import Canary
from components.data_gate.component import DataGate
from components.evaluator.component import Evaluator
from components.image_example_gen.component import SCHEMA_FILE, ImageExampleGen
from components.image_example_gen.photo_schema import PhotoSchema
from components.pusher.component import Pusher
from components.trainer.component import Trainer
from pipeline.config import RunConfig


def create_pipeline(
    config: RunConfig,
    *,
    data: str | RuntimeParameter,
    destination: str | RuntimeParameter,
    pipeline_root: str,
    steps: int | RuntimeParameter | None = None,
    checkpoint_base: str = "",
    metadata_path: str | None = None,
    beam_arguments: list[str] | None = None,
    enable_cache: bool = True,
    name: str | None = None,
    extra_components: tuple[BaseComponent, ...] = (),
) -> Pipeline:
    """From photographs to a served model.

    Long because the whole graph, read from top to bottom, is the point of it. Where the orchestrator has parameters of
    a run, `data`, `destination` and `steps` may be such.

    Args:
        config: the run.
        data: a folder, .zip or .tar of photographs, on any filesystem that Beam knows; several, a line each.
        destination: the serving base path that blessed models are pushed to.
        pipeline_root: where the artifacts of every component are kept.
        steps: how long to train, where a run has its own say; None leaves it to `config.train.steps`.
        checkpoint_base: where the Trainer keeps what it needs to go on after it was killed; "" for nowhere.
        metadata_path: the SQLite file of ML Metadata on this machine; None where the orchestrator has its own.
        beam_arguments: options for the components that run on Beam.
        enable_cache: reuse the results of components whose inputs have not changed.
        name: the pipeline's; tintype-<recipe> when not given.
        extra_components: what the orchestrator needs to run as well.
    """
    photographs = ImageExampleGen(input_base=data, config=config.data)
    schema = PhotoSchema(schema_file=str(SCHEMA_FILE)).with_id("ImportSchemaGen")
    statistics = StatisticsGen(examples=photographs.outputs["examples"], schema=schema.outputs["schema"])
    validator = ExampleValidator(statistics=statistics.outputs["statistics"], schema=schema.outputs["schema"])
    gate = DataGate(examples=photographs.outputs["examples"], anomalies=validator.outputs["anomalies"])
    trainer = Trainer(
        examples=photographs.outputs["examples"],
        verdict=gate.outputs["verdict"],
        config=config.trainer_config(),
        checkpoint_base=checkpoint_base,
        steps=steps,
    )
    evaluator = Evaluator(
        examples=photographs.outputs["examples"],
        model=trainer.outputs["model"],
        config=config.evaluate,
        served_base_path=destination,
    )
    canary = Canary(
        model=trainer.outputs["model"],
        examples=photographs.outputs["examples"],
        model_blessing=evaluator.outputs["blessing"],
        config=config.canary,
    )
    pusher = Pusher(
        model=trainer.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        infra_blessing=canary.outputs["blessing"],
        config=config.push,
        destination=destination,
        examples=photographs.outputs["examples"],
        model_run=trainer.outputs["model_run"],
        evaluation=evaluator.outputs["evaluation"],
        run_config=config.model_dump_json(exclude={"resources"}),
    )
    nodes = [photographs, schema, statistics, validator, gate, trainer, evaluator, canary, pusher]
    return Pipeline(
        pipeline_name=name or f"tintype-{config.recipe}",
        pipeline_root=pipeline_root,
        components=[*extra_components, *nodes],
        metadata_connection_config=metadata.sqlite_metadata_connection_config(metadata_path) if metadata_path else None,
        beam_pipeline_args=beam_arguments,
        enable_cache=enable_cache,
    )


def default_destination(config: RunConfig, out: str) -> str:
    """The serving base path of a run that names none: inside its output folder, by the model's name."""
    return config.push.destination or f"{out}/serving/{config.model_name}"
