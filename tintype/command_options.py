"""Lets a Typer command take a dataclass: its fields become options, each described once, beside the field.

    @dataclass(frozen=True)
    class ConnectionOptions:
        timeout: float = field(default=30.0, metadata={"help": "Seconds to wait for one answer.", "min": 0.001})
        version_label: str | None = field(default=None, metadata={"help": "Ask the version with this label.", ...})

    @app.command()
    @expand_options
    def status(
        connection: Annotated[ConnectionOptions, Options("timeout", timeout={"panel": "Connection"})]
        = ConnectionOptions(timeout=10.0),
    ) -> None:
        ...  # `status --timeout 5` arrives as connection.timeout == 5.0

A field without "help" is no option. A field whose type is another such dataclass, or None, becomes a switch and the
options of that dataclass; it is None where none of them is given. A ValueError that the dataclass raises ends the
command as wrong usage. A field's metadata may hold:

    help          what --help says
    flag          one or several names, as in ("--model_name", "--model-name"); --the-field if left out
    panel         of --help, that the option stands in
    type          of what is written on the command line, where it is not the field's
    choices       a mapping of the words that may be written to the field's values
    unit          the field's value is what is written times this number, as 60 for minutes in a field of seconds
    convert       a function that makes the field's value of what is written; a ValueError is wrong usage
    takes_value   a boolean that is written as --flag=true or --flag=false, as the flags of tensorflow_model_server
    unset         True: show no default; where the option is not given, the field keeps its own
    metavar, envvar, show_envvar, min, max, hidden, show_default: as for typer.Option
"""

import dataclasses
import functools
import inspect
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

import typer

Result = TypeVar("Result")

_OWN_KEYS = frozenset({"help", "flag", "panel", "type", "choices", "unit", "convert", "takes_value", "unset"})
_TYPER_KEYS = frozenset({"metavar", "envvar", "show_envvar", "min", "max", "hidden", "show_default"})


class Options:
    """Which fields of a dataclass a command offers, and where it describes one in its own way.

    Args:
        fields: their names, in the order of --help; none offers all that have a help text.
        panel: of --help, for the fields that name none.
        changes: by field, the metadata that differs for this command.
    """

    def __init__(self, *fields: str, panel: str | None = None, **changes: Mapping[str, object]):
        self.fields, self.panel, self.changes = fields, panel, changes


def expand_options(command: Callable[..., Result]) -> Callable[..., Result]:
    """Return the command with every parameter that is annotated with a dataclass replaced by the options of its fields.

    A parameter's default gives its options their defaults; without one they have the fields' own.
    """
    hints = get_type_hints(command, include_extras=True)
    parameters: list[inspect.Parameter] = []
    groups: dict[str, _Group] = {}
    for name, parameter in inspect.signature(command).parameters.items():
        cls, options = _annotated(hints[name])
        if dataclasses.is_dataclass(cls):
            default = None if parameter.default is parameter.empty else parameter.default
            groups[name] = _group(cls, name, options, default)
            parameters += groups[name].parameters()
        else:
            parameters.append(parameter.replace(kind=parameter.KEYWORD_ONLY, annotation=hints[name]))

    @functools.wraps(command)
    def expanded(**given: Any) -> Result:
        for name, group in groups.items():
            try:
                given[name] = group.build(given)
            except ValueError as error:
                raise typer.BadParameter(str(error)) from error
        return command(**given)

    expanded.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    expanded.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # where inspect looks first
    return expanded


@dataclass(frozen=True)
class _Option:
    """One option of the command line, and what becomes of its value."""

    name: str
    annotation: Any
    default: Any  # a typer.Option
    convert: Callable[[Any], Any]
    is_left_out: bool  # where it is not given

    def parameters(self) -> list[inspect.Parameter]:
        return [
            inspect.Parameter(
                self.name, inspect.Parameter.KEYWORD_ONLY, default=self.default, annotation=self.annotation
            )
        ]

    def is_given(self, given: Mapping[str, Any]) -> bool:
        return given[self.name] is not None and given[self.name] is not False

    def build(self, given: dict[str, Any]) -> Any:
        value = given.pop(self.name)
        return None if value is None else self.convert(value)


@dataclass(frozen=True)
class _Group:
    """The options of a dataclass."""

    cls: type
    members: Mapping[str, "_Option | _Group"]  # by field
    default: Any  # an object of the dataclass, or None
    switch: _Option | None = None  # of a group that may be absent

    def parameters(self) -> list[inspect.Parameter]:
        switch = self.switch.parameters() if self.switch else []
        return switch + [parameter for member in self.members.values() for parameter in member.parameters()]

    def is_given(self, given: Mapping[str, Any]) -> bool:
        if self.switch and given[self.switch.name]:
            return True
        return any(member.is_given(given) for member in self.members.values())

    def build(self, given: dict[str, Any]) -> Any:
        is_absent = self.switch is not None and not self.is_given(given)
        if self.switch is not None:
            given.pop(self.switch.name)
        values = {field: member.build(given) for field, member in self.members.items() if _is_kept(member, given)}
        if is_absent:
            return None
        return self.cls(**values) if self.default is None else dataclasses.replace(self.default, **values)


def _is_kept(member: _Option | _Group, given: dict[str, Any]) -> bool:
    """Return whether a field gets a value from the command line; takes what was not given out of `given`."""
    if isinstance(member, _Option) and member.is_left_out and given[member.name] is None:
        given.pop(member.name)
        return False
    return True


def _annotated(hint: Any) -> tuple[Any, Options]:
    if get_origin(hint) is Annotated:
        cls, *extras = get_args(hint)
        return cls, next((extra for extra in extras if isinstance(extra, Options)), Options())
    return hint, Options()


def _group(cls: Any, prefix: str, options: Options, default: Any, switch: _Option | None = None) -> _Group:
    hints = get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    names = options.fields or [name for name, field in fields.items() if "help" in field.metadata]
    members: dict[str, _Option | _Group] = {}
    for name in names:
        metadata = {**fields[name].metadata, **options.changes.get(name, {})}
        metadata.setdefault("panel", options.panel)
        if unknown := metadata.keys() - _OWN_KEYS - _TYPER_KEYS:
            raise TypeError(f"{cls.__name__}.{name}: unknown metadata {sorted(unknown)}")
        value = _default(fields[name]) if default is None else getattr(default, name)
        parameter, nested = f"{prefix}_{name}", _nested(hints[name])
        if nested is None:
            members[name] = _option(parameter, name, hints[name], metadata, value)
        else:
            own_switch = _option(parameter, name, bool, metadata, False)
            members[name] = _group(nested, parameter, Options(panel=metadata["panel"]), value, own_switch)
    return _Group(cls, members, default, switch)


def _default(field: "dataclasses.Field[Any]") -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return ... if field.default is dataclasses.MISSING else field.default


def _nested(hint: Any) -> Any:
    """Return the dataclass of `SomeDataclass | None`, else None."""
    if get_origin(hint) not in (Union, types.UnionType):
        return None
    return next((part for part in get_args(hint) if dataclasses.is_dataclass(part)), None)


def _option(parameter: str, field: str, hint: Any, metadata: Mapping[str, Any], default: Any) -> _Option:
    annotation, convert = metadata.get("type", hint), metadata.get("convert", lambda value: value)
    settings = {key: value for key, value in metadata.items() if key in _TYPER_KEYS}
    if choices := metadata.get("choices"):
        words: Any = StrEnum(field, {word: word for word in choices})  # type: ignore[misc] # of what stands there
        annotation, convert = words, choices.__getitem__
        default = words(next(word for word, value in choices.items() if value == default))
    elif unit := metadata.get("unit"):
        annotation = metadata.get("type", float)
        whole = hint is int
        convert = lambda value: round(value * unit) if whole else value * unit  # noqa: E731
        default = default / unit
        default = int(default) if float(default).is_integer() else default
    elif metadata.get("takes_value"):
        annotation, default = str, str(default).lower()
        settings |= {"metavar": "BOOLEAN", "callback": _boolean}
    if metadata.get("unset"):
        annotation, default = annotation | None, None
    flags = metadata.get("flag", "--" + field.replace("_", "-"))
    return _Option(
        parameter,
        annotation,
        typer.Option(
            default,
            *([flags] if isinstance(flags, str) else flags),
            help=metadata["help"],
            rich_help_panel=metadata["panel"],
            **settings,
        ),
        convert,
        bool(metadata.get("unset")),
    )


def _boolean(value: str) -> bool:
    if value.lower() not in ("true", "1", "false", "0"):
        raise typer.BadParameter(f"expected true or false, received {value!r}")
    return value.lower() in ("true", "1")
