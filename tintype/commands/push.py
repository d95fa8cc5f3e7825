"""`tintype push`: puts a model where servers look for it."""

from typing import Annotated, Any

import typer

from serving.model.quiet_tensorflow import import_tensorflow_quietly


def push(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A SavedModel's folder, a packed generator, or `shipped`.")
    ],
    base_path: Annotated[
        str, typer.Option("--to", metavar="DIR", help="The serving base path; its folders are the versions.")
    ],
    version: Annotated[
        int | None,
        typer.Option(min=1, max=2**63 - 1, help="Its number. [default: the time in seconds]", show_default=False),
    ] = None,
    if_empty: Annotated[bool, typer.Option("--if-empty", help="Do nothing where there is a version already.")] = False,
) -> None:
    """Publish a model under a serving base path, whole or not at all; servers that look there take it up.

    No gate judges it: `tintype evaluate` measures a model. The generator that comes with Tintype, as a first version:

        tintype push shipped --to /models/colorizer --version 1 --if-empty
    """
    import_tensorflow_quietly()
    from components.pusher.publish import publish
    from serving.model.shipped_generator import unpacked_model
    from serving.model.version_folders import list_versions, without_file_scheme

    if if_empty:
        complete = [found.number for found in list_versions(without_file_scheme(base_path)) if found.complete]
        if complete:
            typer.echo(f"{base_path} has version {complete[-1]} already")
            return
    model_dir = unpacked_model(model) or model
    published = publish(model_dir, base_path, keep_versions=None, version=version, record=_record(model_dir))
    typer.echo(f"pushed {published.path}")


def _record(model_dir: str) -> dict[str, Any]:
    """Say which model it is, so that its results lead back to this version; a model of other kinds says nothing."""
    from photo.errors import TintypeError
    from serving.model.saved_colorizer import SavedColorizer

    try:
        description = SavedColorizer(model_dir).description
    except TintypeError:
        return {}
    return {"fingerprint": description.fingerprint, "recipe": description.recipe}
