import json
import os
import pty
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from photo.decoding import decode_photo

TINTYPE = [sys.executable, "-m", "tintype.cli"]


@pytest.fixture
def colorize(wire_server, tmp_path):
    """Run the command in `tmp_path` against the test's server."""

    def run(
        *arguments: str,
        server: str | None = wire_server.address,
        pipe: bytes | None = None,
        environment: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess:
        """With `pipe` for its standard input, output and errors are bytes; otherwise they are text."""
        command = [*TINTYPE, "colorize", *arguments, *([] if server is None else ["--server", server])]
        environment = {"PYTHONPATH": str(Path(__file__).parents[3]), "PATH": "", "COLUMNS": "200"} | (environment or {})
        options = {"text": True} if pipe is None else {"input": pipe}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=60, **options)

    return run


@pytest.fixture
def photo(tmp_path):
    """Write a small photograph under `tmp_path`."""

    def write(name: str, shade: int = 120) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (40, 30), shade).save(path)
        return path

    return write


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_folder_is_coloured_and_the_bad_ones_are_named(colorize, photo, tmp_path):
    photo("album/one.jpg")
    photo("album/deeper/two.PNG")
    (tmp_path / "album" / "text.jpg").write_text("not a photograph")
    (tmp_path / "album" / "empty.png").touch()
    (tmp_path / "album" / "notes.txt").write_text("no photograph, whatever its name: passed over")
    done = colorize("album", "missing.jpg", "-o", "out")
    assert done.returncode == 1
    assert files(tmp_path / "out") == ["deeper/two.PNG", "one.jpg"]
    assert done.stdout == "coloured 2 of 5 photographs into out/ (3 left out)\n"
    assert "left out album/text.jpg: not a photograph" in done.stderr
    assert "left out album/empty.png: the file is empty" in done.stderr
    assert "left out missing.jpg: no such file or folder" in done.stderr
    assert "passed over in album: 1 other file is no photograph: 1 .txt\n" in done.stderr
    assert "Traceback" not in done.stderr
    red, _, blue = np.asarray(Image.open(tmp_path / "out" / "one.jpg")).reshape(-1, 3).mean(0)
    assert blue > red > 0


def test_one_photo_may_be_given_a_name(colorize, photo, tmp_path):
    photo("one.jpg")
    done = colorize("one.jpg", "-o", "coloured.webp", "--strength", "1.5")
    assert (done.returncode, done.stdout) == (0, "coloured 1 of 1 photograph into coloured.webp\n")
    assert Image.open(tmp_path / "coloured.webp").format == "WEBP"


def test_photos_of_one_name_do_not_replace_one_another(colorize, photo, tmp_path):
    photo("a/x.jpg", 60), photo("b/x.jpg", 200), photo("b/X.png", 90)
    assert colorize("a/x.jpg", "b", "a/x.jpg", "-o", "out", "--format", "png").returncode == 0
    assert files(tmp_path / "out") == ["X-2.png", "x-3.png", "x.png"]
    shades = [np.asarray(Image.open(tmp_path / "out" / name).convert("L")).mean() for name in ("x.png", "x-3.png")]
    assert abs(shades[0] - shades[1]) > 100


def test_results_are_replaced_only_when_asked(colorize, photo, tmp_path):
    photo("one.jpg")
    (tmp_path / "out").mkdir()
    old = tmp_path / "out" / "one.jpg"
    old.write_bytes(b"old")
    done = colorize("one.jpg", "-o", "out")
    assert done.returncode == 0
    assert done.stderr == "left as it is: out/one.jpg exists already; --overwrite replaces it\n"
    assert done.stdout == "coloured 0 of 1 photograph into out/ (1 there already)\n"
    assert colorize("one.jpg", "-o", "out", "--skip-existing").stderr == ""
    assert colorize("one.jpg", "-o", "out", "--skip-existing", "--overwrite").returncode == 2
    assert old.read_bytes() == b"old"
    assert colorize("one.jpg", "-o", "out", "--overwrite").returncode == 0
    assert old.read_bytes() != b"old"


def test_each_photograph_is_a_line_of_json_where_that_is_wanted_and_nothing_is_said_where_not(
    colorize, photo, tmp_path
):
    photo("album/one.jpg")
    photo("album/two.jpg")
    (tmp_path / "album" / "text.jpg").write_text("not a photograph")
    photo("out/two.jpg")
    planned = colorize("album", "-o", "out", "--dry-run", server=None, environment={"TINTYPE_GENERATOR": "nowhere"})
    assert planned.stdout == "album/one.jpg -> out/one.jpg\nalbum/text.jpg -> out/text.jpg\n"
    assert (planned.returncode, files(tmp_path / "out")) == (0, ["two.jpg"])
    done = colorize("album", "-o", "out", "--json")
    lines = {line["photo"]: line for line in map(json.loads, done.stdout.splitlines())}
    one = lines.pop("album/one.jpg")
    assert (one["outcome"], one["results"]) == ("coloured", ["out/one.jpg"])
    assert lines.pop("album/two.jpg") == {"photo": "album/two.jpg", "outcome": "existing", "results": ["out/two.jpg"]}
    assert lines.pop("album/text.jpg")["outcome"] == "left out"
    assert (done.returncode, lines) == (1, {})
    quiet = colorize("album", "-o", "out", "-q")
    assert (quiet.returncode, quiet.stdout) == (1, "")
    assert quiet.stderr.startswith("left out album/text.jpg: not a photograph")
    assert quiet.stderr.count("\n") == 1


def test_a_place_that_cannot_be_written_is_said_before_any_server_is_asked(colorize, photo, free_port):
    photo("one.jpg")
    done = colorize("one.jpg", "-o", "one.jpg/out", server=f"localhost:{free_port}")
    assert (done.returncode, done.stderr) == (
        1, "error: nothing can be written into one.jpg/out: one.jpg is no folder\n"
    )  # fmt: skip


def test_no_photograph_given_is_ever_replaced(colorize, photo, tmp_path):
    originals = {path: path.read_bytes() for path in (photo("album/x.jpg"), photo("album/x.png"))}
    for arguments in ([], ["--format", "png"]):
        done = colorize("album", "-o", "album", "--overwrite", *arguments)
        assert done.returncode == 1
        assert "a photograph given to colour" in done.stderr
    assert all(path.read_bytes() == data for path, data in originals.items())


def test_results_in_the_album_are_not_coloured_again(colorize, photo, tmp_path):
    photo("album/x.jpg")
    for _ in range(2):
        colorize("album", "-o", "album/coloured", "--overwrite")
    assert files(tmp_path / "album") == ["coloured/x.jpg", "x.jpg"]


def test_photographs_are_found_by_what_they_hold_through_links_and_under_any_name(colorize, photo, tmp_path):
    photo("album/a.jpg", 60).rename(tmp_path / "album" / "no suffix")
    photo("album/b.jpg", 90).rename(tmp_path / "album" / "b.jfif")
    photo("album/c.png", 120).rename(tmp_path / "album" / "harbour.1971")
    photo("elsewhere/d.jpg")
    (tmp_path / "album" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "album" / "linked" / "back").symlink_to(tmp_path / "album")
    done = colorize("album", "-o", "album/out")
    assert (done.returncode, done.stdout) == (0, "coloured 4 of 4 photographs into album/out/\n")
    assert files(tmp_path / "album" / "out") == ["b.jfif", "harbour.1971.png", "linked/d.jpg", "no suffix.jpg"]
    assert Image.open(tmp_path / "album" / "out" / "b.jfif").format == "JPEG"


def test_photographs_in_colour_are_told_and_are_left_as_they_are_when_that_is_wanted(colorize, photo, tmp_path):
    photo("album/gray.jpg")
    colors = np.random.default_rng(0).integers(0, 255, (3, 4, 3), np.uint8)
    Image.fromarray(colors).resize((40, 30)).save(tmp_path / "album" / "colour.png")
    done = colorize("album", "-o", "out")
    assert done.returncode == 0
    assert "album/colour.png: it had colour already, which was replaced" in done.stderr
    for choice in ("skip", "ask"):
        done = colorize("album", "-o", choice, "--color-photos", choice)
        assert (done.returncode, files(tmp_path / choice)) == (0, ["gray.jpg"])
        assert "left as it is album/colour.png: it has colour already" in done.stderr
        assert done.stdout == f"coloured 1 of 2 photographs into {choice}/ (1 left out)\n"


@pytest.mark.parametrize(("answer", "colored"), [("y", ["colour.png", "gray.jpg"]), ("n", ["gray.jpg"])])
def test_on_a_terminal_it_is_asked_once_whether_photographs_in_colour_are_coloured(
    answer, colored, photo, wire_server, tmp_path
):
    photo("album/gray.jpg")
    colors = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    Image.fromarray(colors).save(tmp_path / "album" / "colour.png")
    terminal, other_end = pty.openpty()
    environment = {"PYTHONPATH": str(Path(__file__).parents[3]), "PATH": "", "TERM": "xterm", "COLUMNS": "200"}
    command = [*TINTYPE, "colorize", "album", "-o", "out", "--color-photos", "ask", "--server", wire_server.address]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdin=other_end, stdout=subprocess.PIPE, stderr=other_end
    ) as process:
        os.close(other_end)
        shown = read_until(terminal, b"Colour such photographs anew? [y/N]")
        assert b"album/colour.png has colour already" in shown
        assert not (tmp_path / "out" / "colour.png").exists()
        os.write(terminal, f"{answer}\n".encode())
        said = read_until(terminal, None)
        summary = process.stdout.read().decode()
    os.close(terminal)
    assert (process.returncode, files(tmp_path / "out")) == (0, colored)
    assert f"coloured {len(colored)} of 2 photographs into out/" in summary
    assert (b"left as it is album/colour.png" in said) == (answer == "n")
    assert (b"which was replaced" in said) == (answer == "y")


def read_until(terminal: int, words: bytes | None) -> bytes:
    """Return what a program shows on its terminal, up to these words, or until it has closed it."""
    shown = b""
    while words is None or words not in shown:
        try:
            shown += os.read(terminal, 4096)
        except OSError:  # so ends a terminal on Linux
            assert words is None, shown
            break
    return shown


def test_an_archive_among_photographs_is_named(colorize, photo, tmp_path):
    photo("album/a.jpg")
    with zipfile.ZipFile(tmp_path / "album" / "more.zip", "w") as archive:
        archive.write(tmp_path / "album" / "a.jpg", "b.jpg")
    done = colorize("album", "-o", "out")
    assert done.returncode == 1
    assert "left out album/more.zip: an archive; tintype batch colours the photographs in it" in done.stderr


def test_a_result_whose_name_is_too_long_is_its_own_photographs_outcome(colorize, photo, wire_server, tmp_path):
    wire_server.has_variants = True
    (tmp_path / "out").mkdir()
    photo("album/one.png")
    photo(f"album/{'a' * 250}.png")
    done = colorize("album", "-o", "out", "--variants", "2")
    assert done.returncode == 1
    assert files(tmp_path / "out") == ["one-1.png", "one-2.png"], done.stderr
    assert "cannot be written: File name too long" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_server_is_one_clear_line(colorize, photo, free_port):
    photo("one.jpg")
    done = colorize("one.jpg", "-o", "out", "--timeout", "0.3", server=f"localhost:{free_port}")
    assert done.returncode == 1
    assert done.stderr == f"error: localhost:{free_port} did not answer within 0.3 s\n"


def test_without_a_server_what_is_missing_is_one_clear_line(colorize, photo, tmp_path):
    photo("one.jpg")
    nowhere = {"TINTYPE_GENERATOR": str(tmp_path / "nowhere.zip")}
    done = colorize("one.jpg", "-o", "out", server=None, environment=nowhere)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "no trained generator comes with this installation" in done.stderr
    code = "import sys; sys.modules.update(tensorflow=None, onnxruntime=None); from tintype.cli import main; main()"
    command = [sys.executable, "-c", code, "colorize", "one.jpg", "-o", "out"]
    environment = os.environ | {"TINTYPE_GENERATOR": str(tmp_path / "one.jpg")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "pip install '.[server]' in a clone of Tintype; to colour without it, '.[onnx]'" in done.stderr
    assert "--server HOST:PORT" in done.stderr


def test_a_kept_tint_is_asked_for_by_name(colorize, tmp_path):
    Image.new("RGB", (40, 30), (150, 120, 90)).save(tmp_path / "sepia.png")
    for out, arguments in (("removed.png", []), ("kept.png", ["--keep-tint"])):
        assert colorize("sepia.png", "-o", out, "--strength", "0", *arguments).returncode == 0
    assert Image.open(tmp_path / "kept.png").getpixel((20, 15)) == (150, 120, 90)
    assert len(set(Image.open(tmp_path / "removed.png").getpixel((20, 15)))) == 1


def test_an_empty_folder_is_said(colorize, tmp_path):
    (tmp_path / "album").mkdir()
    done = colorize("album", "-o", "out")
    assert (done.returncode, done.stderr) == (1, "error: no photographs in album\n")


def test_a_photo_goes_through_pipes_and_nothing_else_does(colorize, photo, tmp_path):
    data = photo("one.jpg").read_bytes()
    done = colorize("-", "-o", "-", pipe=data)
    assert (done.returncode, done.stderr) == (0, b"")
    assert decode_photo(done.stdout).format == "JPEG"
    done = colorize("one.jpg", "-o", "-", "--format", "png", pipe=b"")
    assert decode_photo(done.stdout).format == "PNG"
    assert colorize("-", "-o", "out.webp", pipe=data).stdout == b""
    assert decode_photo((tmp_path / "out.webp").read_bytes()).format == "WEBP"
    done = colorize("-", "-o", "-", pipe=b"text")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"error: not a photograph")


def test_variants_are_numbered_and_the_seeds_own(colorize, photo, wire_server, tmp_path):
    wire_server.has_variants = True
    photo("a/x.jpg"), photo("b/x.jpg"), photo("a/x-1.png")
    for out in ("out", "again"):
        done = colorize("a", "b", "-o", out, "--variants", "2", "--seed", "7", "--format", "png", "--no-mark-metadata")
        assert (done.returncode, done.stdout) == (0, f"coloured 3 of 3 photographs into {out}/\n")
        assert files(tmp_path / out) == ["x-1-1.png", "x-1-2.png", "x-1.png", "x-2-1.png", "x-2-2.png", "x-2.png"]
    results = [(tmp_path / out / name).read_bytes() for out in ("out", "again") for name in ("x-1.png", "x-2.png")]
    assert results[:2] == results[2:]
    assert results[0] != results[1]
    wire_server.has_variants = False
    done = colorize("a", "-o", "third", "--variants", "2")
    assert done.returncode == 1
    assert "gives one colouring only" in done.stderr


def test_label_token_and_canary_reach_the_server(colorize, photo, wire_server):
    photo("one.jpg")
    colorize("one.jpg", "-o", "out", "--label", "trial", environment={"TINTYPE_TOKEN": "secret\n"})
    assert set(wire_server.labels) == {"trial"}
    assert wire_server.metadata[-1]["authorization"] == "Bearer secret"
    colorize("one.jpg", "-o", "out", "--overwrite", "--canary-share", "1", "--compression", "gzip")
    assert wire_server.labels[-1] == "canary"


@pytest.mark.parametrize(
    "arguments",
    [
        ["-", "two.jpg", "-o", "out.png"],
        ["-", "-o", "folder"],
        ["one.jpg", "-o", "-", "--variants", "2"],
        ["-", "-o", "out.png", "--format", "jpg"],
        ["one.jpg", "-o", "out", "--canary-share", "0.5", "--label", "stable", "--server", "localhost:1"],
        ["one.jpg", "-o", "out", "--client-cert", "me.pem", "--server", "localhost:1"],
        ["one.jpg", "-o", "out", "--label", "stable"],
        ["one.jpg", "-o", "out", "--tls"],
        ["one.jpg", "-o", "out", "--token", "secret", "--server", "example.org:1"],
        ["one.jpg", "two.jpg", "-o", "out.png"],
        ["one.jpg", "-o", "out.png", "--format", "jpg"],
        ["one.jpg", "-o", "out.gif"],
        ["one.jpg", "-o", "out.HEIC"],
        ["one.jpg", "-o", "out", "--server", "nowhere"],
        ["one.jpg"],
        ["-o", "out"],
    ],
)
def test_wrong_usage_ends_in_two(photo, tmp_path, monkeypatch, arguments):
    monkeypatch.delenv("TINTYPE_SERVER", raising=False)
    from typer.testing import CliRunner

    from tintype.cli import app

    paths = [str(photo(name)) if name.endswith(".jpg") else name for name in arguments]
    result = CliRunner().invoke(app, ["colorize", *paths])
    assert result.exit_code == 2, result.output
    assert "secret" not in result.output


def test_a_kind_that_is_not_written_is_told_with_those_that_are(colorize, photo, tmp_path):
    photo("one.jpg")
    done = colorize("one.jpg", "-o", "out.gif")
    assert done.returncode == 2
    assert all(suffix in done.stderr for suffix in (".jpg", ".png", ".tiff", ".webp", ".bmp"))
    assert not (tmp_path / "out.gif").exists()


def test_a_proxy_is_not_asked_for_this_machine(colorize, photo, free_port):
    photo("one.jpg")
    proxy = dict.fromkeys(("http_proxy", "grpc_proxy", "https_proxy"), f"http://localhost:{free_port}")
    assert colorize("one.jpg", "-o", "out", "--timeout", "20", environment=proxy).returncode == 0


def test_sigterm_leaves_no_temporary_folder_and_no_half_of_a_file(photo, wire_server, tmp_path):
    photo("one.jpg")
    (tmp_path / "tmp").mkdir()
    wire_server.released.clear()
    environment = {"PYTHONPATH": str(Path(__file__).parents[3]), "PATH": "", "TMPDIR": str(tmp_path / "tmp")}
    command = [*TINTYPE, "colorize", "one.jpg", "-o", "out", "--server", wire_server.address]
    with subprocess.Popen(command, cwd=tmp_path, env=environment) as process:
        wire_server.wait_until_held(1)
        process.terminate()
        assert process.wait(30) == 128 + signal.SIGTERM
    assert list((tmp_path / "tmp").iterdir()) == []
    assert not (tmp_path / "out").exists()


def test_help_teaches_by_example(colorize):
    done = colorize("--help")
    assert done.returncode == 0
    assert "tintype colorize album/ -o coloured --server localhost:8500" in done.stdout


HEAVY = "{'tensorflow', 'grpc', 'cv2', 'PIL', 'numpy', 'tfx', 'apache_beam', 'google.protobuf'}"


def test_help_imports_nothing_heavy():
    code = f"""
import sys
from tintype.cli import main
for arguments in (["--help"], ["colorize", "--help"]):
    sys.argv = ["tintype", *arguments]
    try:
        main()
    except SystemExit as end:
        assert end.code == 0, end.code
loaded = {HEAVY} & set(sys.modules)
assert not loaded, loaded
"""
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, timeout=60)


def test_the_client_never_imports_tensorflow():
    code = """
import sys
import serving.client
import tintype
assert not {'grpc', 'cv2', 'numpy'} & set(sys.modules)
assert tintype.Colorizer is serving.client.Colorizer
from photo.decoding import Photo, decode_photo
from photo.errors import ServerUnavailable
assert not any(name.split('.')[0].startswith('tensorflow') for name in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_hint_on_the_command_line_reaches_the_model(colorize, photo, tmp_path, wire_server):
    wire_server.has_guided = True
    photo("a.png")
    done = colorize("a.png", "-o", "out", "--hint", "0,0=#9a6b3c", "--hint", "1,1,0.1=#3c6b9a", "--render", "64")
    assert done.returncode == 0, done.stderr
    assert "(2 hints)" in done.stderr
    assert wire_server.requests.count("guided") == 1
    assert wire_server.hints[0].shape == (1, 64, 64, 3)
    assert wire_server.hints[0][0, 8, 0, 1] > 20  # brown, in the corner of 48 rows of 64


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a.png", "--hint", "0.5,7=#9a6b3c"], "y: expected a number of 0..1"),
        (["a.png", "--hint", "0.5,0.5=brown"], "received 'brown'"),
        (["a.png", "b.png", "--hint", "0.5,0.5=#9a6b3c"], "there are 2 photographs"),
        (["a.png", "--hint", "0.5,0.5=#9a6b3c", "--variants", "2"], "hints give one colouring"),
        (["a.png", "--hints", "typo.json"], "c.png, which is none of the photographs"),
        (["a.png", "--render", "big"], "render: expected a side in pixels"),
    ],
)
def test_wrong_hints_are_wrong_usage_and_named(colorize, photo, tmp_path, arguments, words):
    for name in ("a.png", "b.png"):
        photo(name)
    (tmp_path / "typo.json").write_text('{"c.png": []}')
    done = colorize(*arguments, "-o", "out")
    assert done.returncode == 2
    assert words in " ".join(done.stderr.replace("│", "").split())


def test_hints_of_many_come_from_a_file_or_lie_beside_the_photographs(colorize, photo, tmp_path, wire_server):
    wire_server.has_guided = True
    for name in ("album/a.png", "album/b.png", "album/c.png", "album/d.png"):
        photo(name)
    one = '[{"x": 0.5, "y": 0.5, "color": "#9a6b3c"}]'
    (tmp_path / "hints.json").write_text('{"a.png": ' + one + "}")
    (tmp_path / "album" / "b.png.hints.json").write_text(one)
    (tmp_path / "album" / "c.png.hints.json").write_text('[{"x": 2, "y": 0.5, "color": "#9a6b3c"}]')
    done = colorize("album", "-o", "out", "--hints", "hints.json")
    assert done.returncode == 1
    assert files(tmp_path / "out") == ["a.png", "b.png", "d.png"]
    assert wire_server.requests.count("guided") == 2
    assert "left out album/c.png: album/c.png.hints.json: hint 1: x: expected a number of 0..1" in done.stderr


def test_hints_for_a_model_that_takes_none_are_one_sentence(colorize, photo, tmp_path):
    photo("a.png")
    done = colorize("a.png", "-o", "out", "--hint", "0,0=#9a6b3c")
    assert done.returncode == 1
    assert "takes no hints: it has no signature 'guided'" in done.stderr
    assert "Traceback" not in done.stderr
