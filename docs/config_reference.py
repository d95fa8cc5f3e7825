"""Writes docs/config.md, the table of a config's fields, from the fields' own descriptions.

    python docs/config_reference.py

Run it in the project's environment after a change of a config's fields (`components/*/config`, `pipeline/config.py`,
`pipeline/resources.py`); a test compares.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pipeline.config import RunConfig
from pipeline.resources import StepResources

ROOT = Path(__file__).resolve().parent.parent
HEAD = """# Fields of a config

A config is a YAML file; [recipes.md](recipes.md) lists those that come with Tintype. Every field below can also be set
on the command line, as in `--set train.steps=500`. Fields without a default must stand in the file. An unknown field, a
wrong type or a value out of its range is refused when the config loads.

*This page is written by `docs/config_reference.py` from the fields' own descriptions.*
"""


def reference() -> str:
    """The whole page."""
    return HEAD + "".join(_section("", RunConfig))


def _section(path: str, section: type[BaseModel]) -> Iterator[str]:
    """The table of a section, then those of the sections in it."""
    rows, below = [], []
    for name, field in section.model_fields.items():
        inner = _sections_in(field.annotation)
        full = f"{path}.{name}" if path else name
        # Every step has a section of the same fields under `resources`: the table of `default` stands for all.
        if inner and not (path == "resources" and name not in ("volumes", "default")):
            below += [(full, kind) for kind in inner]
            if not field.description:
                continue
        if name == "kind":  # stands in the title
            continue
        rows.append(f"| `{name}` | {_type(field.annotation)} | {_default(field)} | {_meaning(field)} |\n")
    title = f"`{path}`" if path else "The whole run"
    kind = section.model_fields.get("kind")
    if kind is not None:
        title += f", `kind: {kind.default}`"
    lines = (section.__doc__ or "").strip().splitlines()
    yield f"\n## {title}\n\n" + "\n".join(line.strip() for line in lines) + "\n"
    if rows:
        yield "\n| field | type | default | meaning |\n| --- | --- | --- | --- |\n" + "".join(rows)
    for full, inner_section in below:
        yield from _section(full, inner_section)


def _sections_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for part in get_args(annotation) for section in _sections_in(part)]


def _type(annotation: Any) -> str:
    if annotation in (NoneType, None):
        return "null"
    if annotation is Ellipsis:
        return "..."
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(parts[0])
    if origin is Literal:
        return ", ".join(f"`{part}`" for part in parts)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(_type(part) for part in parts))
    if origin is tuple:
        return f"list of {_type(parts[0])}"
    if origin is dict:
        return "mapping"
    if issubclass(annotation, BaseModel):
        return "section"
    return {int: "integer", float: "number", str: "text", bool: "true or false"}.get(annotation, str(annotation))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be given"
    if isinstance(field.default, BaseModel):
        return "its own defaults"
    return "none" if field.default in ((), {}) else f"`{json.dumps(field.default)}`".replace('"', "")


def _meaning(field: FieldInfo) -> str:
    bounds = {"Ge": "at least", "Gt": "above", "Le": "at most", "Lt": "below"}
    limits = [
        f"{words} {getattr(rule, kind.lower()):g}"
        for kind, words in bounds.items()
        for rule in field.metadata
        if type(rule).__name__ == kind
    ]
    meaning = field.description or ("as `default`, for this step" if field.annotation is StepResources else "")
    return "; ".join(filter(None, [meaning, *limits])).replace("|", "\\|").replace("*", "\\*")


if __name__ == "__main__":
    (ROOT / "docs" / "config.md").write_text(reference(), encoding="utf-8")
