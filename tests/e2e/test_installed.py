"""`pip install` of `.[onnx]` and `.[server]` in empty environments, then a photograph coloured: no more is named."""

import contextlib
import importlib.metadata
import io
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from PIL import Image
from skimage import data

from photo.color import colorfulness, rgb_to_lightness
from serving.model.onnx_graphs import onnx_graphs
from serving.model.packing import pack
from tests.tiny_models import write_tiny_model

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")
PACKAGES = ("tintype", "pipeline", "components", "serving", "photo")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The project's wheel, with a small generator in the place of the one that is shipped."""
    source = tmp_path_factory.mktemp("source")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    model = write_tiny_model(tmp_path_factory.mktemp("generator") / "model")
    pack(model, source / "serving/model/colorizer.zip", onnx_graphs(str(model)))
    subprocess.run(
        [sys.executable, "setup.py", "-q", "bdist_wheel", "-d", "dist"], cwd=source, check=True, capture_output=True
    )
    [wheel] = (source / "dist").iterdir()
    return wheel


@pytest.fixture(scope="module")
def environment(tmp_path_factory, wheel) -> Path:
    return environment_with("server", wheel, tmp_path_factory.mktemp("environment"))


def environment_with(extra: str, wheel: Path, folder: Path) -> Path:
    """A fresh virtual environment with the wheel in it and, of this environment's packages, those an extra asks for.

    They are linked here, because a test downloads nothing: that the versions can be installed together is the lock
    file's proof. What this one shows is that the wheel is complete, and that its extra names all that it needs.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    packages = folder / "lib/python3.11/site-packages"
    for distribution in _wanted(wheel, extra):
        for file in distribution.files or []:
            origin, link = Path(file.locate()), packages / file
            if ".." not in file.parts and "__pycache__" not in file.parts and origin.exists():
                link.parent.mkdir(parents=True, exist_ok=True)
                if not link.exists():  # two distributions may share a file, as google/__init__.py
                    link.symlink_to(origin)
    install = [UV, "pip", "install", "-q", "--offline", "--no-deps", "--python", folder / "bin/python", wheel]
    subprocess.run(install, check=True)
    return folder


def _wanted(wheel: Path, extra: str) -> list[importlib.metadata.Distribution]:
    """Return what the wheel asks for with an extra, and what that asks for in its turn."""
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        asked = Parser().parsestr(archive.read(name).decode()).get_all("Requires-Dist")
    found: dict[str, importlib.metadata.Distribution] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(requirement, extra) for requirement in asked]
    while waiting:
        text, extra = waiting.pop()
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        found[name] = distribution = importlib.metadata.distribution(name)
        for wanted in ("", *requirement.extras):
            if (name, wanted) not in seen:
                seen.add((name, wanted))
                waiting += [(text, wanted) for text in distribution.requires or []]
    return list(found.values())


def own_variables(home: Path) -> dict[str, str]:
    """None that leads back to this environment."""
    return {"HOME": str(home), "PATH": "", "TINTYPE_KEEP_MINUTES": "0"}


def write_gray_photograph(path: Path) -> np.ndarray:
    gray = (data.astronaut() @ np.array([0.2126, 0.7152, 0.0722])).astype(np.uint8)
    Image.fromarray(gray).save(path)
    return np.repeat(gray[..., None], 3, axis=2)


def test_the_light_installation_colours_without_tensorflow(wheel, tmp_path):
    environment = environment_with("onnx", wheel, tmp_path / "environment")
    packages = environment / "lib/python3.11/site-packages"
    code = "import importlib.util; print(*map(importlib.util.find_spec, ('tensorflow', 'tensorflow_serving', 'keras')))"
    found = subprocess.run([environment / "bin/python", "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "None None None\n"
    assert sum(file.stat().st_size for file in packages.rglob("*") if file.is_file()) < 500e6
    shown = write_gray_photograph(tmp_path / "grandfather.png")
    done = subprocess.run(
        [environment / "bin/tintype", "colorize", "grandfather.png", "-o", "out/"],
        cwd=tmp_path, env=own_variables(tmp_path / "home"), capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "coloured 1 of 1 photograph into out/\n"), done.stderr
    colored = np.asarray(Image.open(tmp_path / "out/grandfather.png"))
    assert colorfulness(colored) > 10
    assert np.abs(rgb_to_lightness(colored) - rgb_to_lightness(shown)).max() < 1
    assert not (tmp_path / "home").exists()  # nothing is unpacked, nothing is kept
    assert not _running(environment)


def test_a_photograph_is_coloured_right_after_the_installation(environment, tmp_path):
    own = own_variables(tmp_path / "home")
    (tmp_path / "home").mkdir()

    def run(*command, **options):
        return subprocess.run(command, cwd=tmp_path, env=own, capture_output=True, timeout=400, **options)

    code = "import importlib.util, serving; print(serving.__file__, importlib.util.find_spec('skimage'))"
    where = run(environment / "bin/python", "-c", code)
    assert where.stdout.decode() == f"{environment}/lib/python3.11/site-packages/serving/__init__.py None\n"
    shown = write_gray_photograph(tmp_path / "grandfather.png")

    done = run(environment / "bin/tintype", "colorize", "grandfather.png", "-o", "out/")
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == b"coloured 1 of 1 photograph into out/\n"
    colored = np.asarray(Image.open(tmp_path / "out/grandfather.png"))
    assert colored.shape == (512, 512, 3)
    assert colorfulness(colored) > 10
    assert np.abs(rgb_to_lightness(colored) - rgb_to_lightness(shown)).max() < 1
    [kept] = (tmp_path / "home/.cache/tintype").glob("*/colorizer/1/saved_model.pb")

    # The second time through a pipe, with what is unpacked, from a folder where a package's namesake lies.
    (tmp_path / "serving").mkdir()
    (tmp_path / "serving" / "__init__.py").touch()
    before = kept.stat()
    done = run(
        environment / "bin/tintype", "colorize", "-", "-o", "-", input=Path(tmp_path / "grandfather.png").read_bytes()
    )
    assert done.returncode == 0, done.stderr.decode()
    assert (np.asarray(Image.open(io.BytesIO(done.stdout))) == colored).all()
    assert (done.stderr, kept.stat()) == (b"starting the generator ...\n", before)
    assert not _running(environment)


def _running(environment: Path) -> list[bytes]:
    """Return the commands of the processes that were started from there."""
    commands = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            commands.append((process / "cmdline").read_bytes())
    return [command for command in commands if bytes(environment) in command]
