"""`tintype inspect`: says what photographs' files are, and whether a machine made their colours."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tintype.quiet_decoders import quiet_decoders

if TYPE_CHECKING:
    from photo.inspection import Inspection

Files = Annotated[list[Path], typer.Argument(metavar="FILE...", help="Photographs.")]
Json = Annotated[bool, typer.Option("--json", help="Write JSON: an object for each file.")]


def inspect(files: Files, as_json: Json = False) -> None:
    """Say of photographs whether a machine made their colours, by which version and model, and when.

    Says also what each file is: its format, size, bits, profile, pages, metadata, and whether it has colour. That a
    file says nothing of a machine is no proof: metadata are easily removed.

        tintype inspect grandmother.jpg

        tintype inspect --json album/*.jpg
    """
    from photo.errors import TintypeError
    from photo.input_kinds import read_photo
    from photo.inspection import inspect_photo

    documents: list[dict[str, Any]] = []
    failed = False
    for file in files:
        try:
            with quiet_decoders():
                found = inspect_photo(read_photo(file))
        except TintypeError as error:
            failed = True
            documents.append({"file": str(file), "error": str(error)})
            if not as_json:
                typer.secho(f"{file}: {error}", fg="yellow", err=True)
            continue
        documents.append({"file": str(file), **found.document()})
        if not as_json:
            typer.echo("\n".join([f"{file}: {_kind(found)}", *(f"  {line}" for line in _lines(found))]))
    if as_json:
        typer.echo(json.dumps(documents, indent=2, ensure_ascii=False))
    if failed:
        raise typer.Exit(1)


def _kind(found: "Inspection") -> str:
    parts = [f"{found.format}, {found.width} x {found.height}, {found.bits} bits a channel"]
    parts.append("in colour" if found.has_color else "gray or toned")
    if found.pages > 1:
        parts.append(f"{found.pages} pages")
    if found.other_pictures:
        parts.append(f"{found.other_pictures} more pictures" if found.other_pictures > 1 else "one more picture")
    return ", ".join(parts)


def _lines(found: "Inspection") -> list[str]:
    lines = [_coloring(found), f"profile: {found.profile or 'none (sRGB)'}"]
    lines.append(f"metadata: {', '.join(found.metadata) or 'none'}")
    match found.signature:
        case "none":
            pass
        case "unchecked":
            lines.append("Content Credentials: not looked for (the extra `credentials` is missing)")
        case "invalid":
            lines.append("Content Credentials: INVALID; the file was changed after it was signed, or is no such file")
        case state:
            lines.append(f"Content Credentials: {state}, signed by {found.signed_by or 'an unnamed signer'}")
    return lines


def _coloring(found: "Inspection") -> str:
    if not found.is_machine_colored:
        return "says nothing of colours made by a machine"
    if not found.tintype_version:
        return "says that a machine made the colours, and not which"
    model = f", model {found.model_fingerprint}" if found.model_fingerprint else ""
    when = f", at {found.colored_at}" if found.colored_at else ""
    return f"coloured by a machine: Tintype {found.tintype_version}{model}{when}"
