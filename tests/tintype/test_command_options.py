"""Options of the command line that stand in a dataclass."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from photo.coloring_options import ColoringOptions
from photo.formats import PhotoFormat
from serving.client.options import ConnectionOptions, Tls
from tintype.command_options import Options, expand_options


@dataclass(frozen=True)
class KeepingOptions:
    """A dataclass with one field of each kind."""

    photo_bytes: int = field(
        default=40 * 2**20, metadata={"help": "Largest.", "flag": "--max-megabytes", "unit": 2**20}
    )
    seconds: float = field(default=90.0, metadata={"help": "How long.", "flag": "--minutes", "unit": 60})
    threads: int = field(default_factory=lambda: 3, metadata={"help": "On pixels.", "min": 1, "unset": True})
    batching: bool = field(default=False, metadata={"help": "In one go.", "flag": "--batching", "takes_value": True})
    name: str = field(default="a", metadata={"help": "A name.", "flag": ("--the_name", "--the-name")})
    hidden: int = 7

    def __post_init__(self) -> None:
        if self.name == "nobody":
            raise ValueError("nobody is no name")


received: list[object] = []
app = typer.Typer()


@app.command()
@expand_options
def color(
    context: typer.Context,
    photo: Path,
    coloring: Annotated[ColoringOptions, Options(panel="Colour")],
    connection: Annotated[
        ConnectionOptions,
        Options("timeout", "version_label", "tls", "token", "compression", timeout={"help": "Patience."}),
    ] = ConnectionOptions(timeout=5.0, model_name="other"),  # noqa: B008 - frozen
    overwrite: Annotated[bool, typer.Option("--overwrite")] = False,
) -> None:
    """Colour."""
    received[:] = [coloring, connection, overwrite, photo]


@app.command()
@expand_options
def keep(keeping: KeepingOptions) -> None:
    """Keep."""
    received[:] = [keeping]


def run(*arguments: str, **environment: str) -> list[object]:
    result = CliRunner().invoke(app, arguments, env=environment)
    assert result.exit_code == 0, result.output
    return received


def refused(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    assert result.exit_code == 2
    return result.output


def test_without_options_the_commands_defaults_stand():
    assert run("color", "a.jpg") == [
        ColoringOptions(), ConnectionOptions(timeout=5.0, model_name="other"), False, Path("a.jpg")
    ]  # fmt: skip
    assert run("keep") == [KeepingOptions()]


def test_what_is_given_arrives_in_the_dataclass():
    coloring, connection, overwrite, _ = run(
        "color", "a.jpg", "--strength", "1.5", "--keep-tint", "--format", "jpg", "--timeout", "2", "--label", "stable",
        "--compression", "gzip", "--overwrite",
    )  # fmt: skip
    assert coloring == ColoringOptions(strength=1.5, keep_tint=True, format=PhotoFormat.JPEG)
    assert connection == ConnectionOptions(timeout=2.0, model_name="other", version_label="stable", compression="gzip")
    assert overwrite


def test_options_in_another_unit_or_with_several_names():
    assert run("keep", "--max-megabytes", "0.5", "--minutes", "2", "--threads", "9", "--the-name", "b") == [
        KeepingOptions(photo_bytes=2**19, seconds=120.0, threads=9, name="b")
    ]
    assert run("keep", "--batching=TRUE", "--the_name", "b") == [KeepingOptions(batching=True, name="b")]


@pytest.mark.parametrize(
    ("arguments", "tls"),
    [
        ([], None),
        (["--tls"], Tls()),
        (["--ca-cert", "ca.pem"], Tls(Path("ca.pem"))),
        (["--tls", "--client-cert", "a", "--client-key", "b"], Tls(None, Path("a"), Path("b"))),
    ],
)
def test_a_dataclass_in_a_dataclass_is_none_unless_something_of_it_is_given(arguments, tls):
    assert run("color", "a.jpg", *arguments)[1].tls == tls


def test_the_environment_is_read():
    assert run("color", "a.jpg", TINTYPE_TOKEN=" secret\n")[1].token == "secret"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["color", "a.jpg", "--strength", "5"], "Invalid value for '--strength': "),
        (["color", "a.jpg", "--format", "gif"], "'gif' is not one of 'same', 'jpg'"),
        (["color", "a.jpg", "--client-cert", "a"], "expected client_cert and client_key together"),
        (["color", "a.jpg", "--timeout", "inf"], "Invalid value: expected a timeout of more than 0 seconds"),
        (["color", "a.jpg", "--server", "x"], "No such option: --server"),
        (["keep", "--batching=maybe"], "Invalid value for '--batching': expected true or false, received 'maybe'"),
        (["keep", "--the_name=nobody"], "Invalid value: nobody is no name"),
        (["keep", "--hidden=1"], "No such option: --hidden"),
    ],
)
def test_wrong_values_are_wrong_usage(arguments, words):
    assert words in refused(*arguments)


def test_a_wrong_value_is_refused_in_the_words_of_an_option_written_by_hand():
    by_hand = typer.Typer()

    @by_hand.command()
    def color(strength: Annotated[float, typer.Option(min=0.0, max=4.0)] = 1.0) -> None: ...

    def words(output: str) -> str:
        return " ".join(output.partition("Error")[2].split())

    for value in ("5", "-1", "much"):
        written = CliRunner().invoke(by_hand, ["--strength", value], env={"COLUMNS": "200"}).output
        assert words(refused("color", "a.jpg", "--strength", value)) == words(written)


def test_help_tells_the_fields_texts_and_defaults():
    def help_of(command: str) -> str:
        return " ".join(CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output.split())

    told = help_of("color")
    assert re.search(r"Colour ─.*--strength .*1\.3 vivid\. \[default: 1\.0\].*Connection ─.*--timeout ", told), told
    assert "Patience. [default: 5.0]" in told
    assert "<same|jpg|png|webp|tiff>" in told or "[same|jpg|png|webp|tiff]" in told
    assert "--no-keep-tint" not in told
    kept = help_of("keep")
    assert "Largest. [default: 40]" in kept
    assert "How long. [default: 1.5]" in kept
    assert "BOOLEAN In one go. [default: false]" in kept
    assert "[default: 3]" not in kept


def test_a_wrong_word_in_a_fields_metadata_is_named():
    @dataclass(frozen=True)
    class Mistaken:
        side: int = field(default=1, metadata={"help": "A side.", "minimum": 1})

    def command(options: Mistaken) -> None: ...

    command.__annotations__["options"] = Mistaken
    with pytest.raises(TypeError, match=r"Mistaken\.side: unknown metadata \['minimum'\]"):
        expand_options(command)
