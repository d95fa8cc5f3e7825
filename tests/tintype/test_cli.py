import subprocess
import sys
from pathlib import Path

import pytest

import tintype as tintype_package
from photo.errors import REFUSED_BY_GATE, TintypeError
from tintype import __version__, cli

ROOT = Path(__file__).parents[2]
TINTYPE = Path(sys.executable).with_name("tintype")


def tintype(*arguments, **options):
    return subprocess.run([TINTYPE, *map(str, arguments)], capture_output=True, text=True, timeout=120, **options)


def test_help_lists_every_command():
    answer = tintype("--help")
    assert answer.returncode == 0
    assert tintype("-h").stdout == answer.stdout
    assert tintype("colorize", "-h").returncode == 0
    for command in ("demo", "run", "train", "compare", "serve", "colorize", "batch", "web", "rollout"):
        assert command in answer.stdout


def test_the_version_stands_in_one_place():
    assert [tintype(flag).stdout for flag in ("--version", "-V")] == [f"tintype {__version__}\n"] * 2
    setup = subprocess.run([sys.executable, "setup.py", "--version"], cwd=ROOT, capture_output=True, text=True)
    assert setup.stdout.splitlines()[-1] == __version__


def test_the_front_door_gives_what_it_names_and_loads_nothing_before():
    script = (
        "import sys, tintype\n"
        "assert not {'grpc', 'numpy', 'typer', 'tensorflow'} & set(sys.modules)\n"
        "assert [name for name in tintype.__all__ if getattr(tintype, name) is None] == []\n"
        "assert issubclass(tintype.PhotoError, tintype.TintypeError)\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)
    with pytest.raises(AttributeError, match="no attribute 'Colourizer'"):
        tintype_package.Colourizer  # noqa: B018


def test_a_wrong_config_ends_in_one_line_a_field_without_a_traceback(tmp_path):
    answer = tintype("run", "--config", "sn_unet_lab_128", "--data", tmp_path, "--set", "data.size=100")
    assert answer.returncode == 1
    assert "data.size must be a multiple of 128 for sn_unet_lab_128, got 100" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_gate_that_refuses_has_an_exit_code_of_its_own(monkeypatch, capsys):
    class RefusedError(TintypeError):
        exit_code = REFUSED_BY_GATE

    def refuse():
        raise RefusedError("the data does not pass")

    monkeypatch.setattr(cli, "app", refuse)
    monkeypatch.setattr(cli.signal, "signal", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == REFUSED_BY_GATE == 3
    assert "error: the data does not pass" in capsys.readouterr().err


def test_wrong_usage_has_exit_code_two():
    assert tintype("run").returncode == 2
    assert tintype("no-such-command").returncode == 2
    assert tintype("colorize", "--no-such-flag").returncode == 2


@pytest.mark.parametrize(("module", "extra"), [("pydantic", "pipeline"), ("tensorflow", "server")])
def test_what_a_plain_install_lacks_is_named_with_the_extra_that_brings_it(tmp_path, module, extra):
    command = {
        "pydantic": ["run", "--data", str(tmp_path)],
        "tensorflow": ["serve", "--model_base_path", str(tmp_path), "--port=0"],
    }[module]
    script = (
        f"import sys; sys.modules[{module!r}] = None; sys.argv[1:] = {command!r}; from tintype.cli import main; main()"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert answer.returncode == 1
    assert f"pip install '.[{extra}]'" in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.slow
def test_data_that_cannot_be_used_is_named(tmp_path, run_here):
    (tmp_path / "empty").mkdir()
    for data, message in ((tmp_path / "nowhere", "nowhere"), (tmp_path / "empty", "no photograph")):
        answer = run_here("run", "--config", "demo", "--data", data, "--out", tmp_path / "out")
        assert answer.returncode == 1
        assert message in answer.stderr
        assert "Traceback" not in answer.stderr


def test_compare_lists_its_ready_made_questions():
    answer = tintype("compare", "--questions")
    assert answer.returncode == 0
    assert "generator_alone        The generator alone against the GAN" in answer.stdout.splitlines()
