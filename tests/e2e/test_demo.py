import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

# More than twice what a slow machine took with other work beside it.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
TINTYPE = Path(sys.executable).with_name("tintype")


# Where .ci/run keeps what the README's `make demo` has just made and printed: the story takes minutes, once is enough.
KEPT = os.environ.get("TINTYPE_KEPT_DEMO")


class Demo(NamedTuple):
    out: Path
    stdout: str
    stderr: str


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The whole story as a user runs it; once for all tests, because it trains."""
    if KEPT:
        return Demo(Path("build/demo"), Path(KEPT, "stdout").read_text(), Path(KEPT, "stderr").read_text())
    out = tmp_path_factory.mktemp("demo")
    run = subprocess.run([TINTYPE, "demo", "--out", str(out)], capture_output=True, text=True, timeout=1700)
    assert run.returncode == 0, run.stdout + run.stderr
    return Demo(out, run.stdout, run.stderr)


def test_scenes_that_were_never_seen_get_their_colours(demo):
    summary = json.loads((demo.out / "summary.json").read_text())
    held_out = summary["held_out_scenes"]
    assert held_out["n_images"] >= 8
    assert held_out["ab_mae_gray"] > 10, "the scenes are colourful, so gray must be far off"
    assert held_out["ab_mae"] <= 0.6 * held_out["ab_mae_gray"]
    metrics = summary["run"]["metrics"]
    assert metrics["ab_mae"] <= 0.6 * metrics["grayscale"]["ab_mae"]


def test_the_picture_shows_colour_where_the_gray_photo_has_none(demo):
    picture = np.asarray(Image.open(demo.out / "result.png").convert("RGB")).astype(int)
    width = picture.shape[1] // 7  # scenes gray, coloured, true; photographs gray, coloured by two models, true
    spread = [
        np.ptp(picture[40:, column * width + 20 : (column + 1) * width - 20], axis=2).mean() for column in range(7)
    ]
    gray, colored, true, photo_gray, _, by_shipped, photo_true = spread
    assert max(gray, photo_gray) < 8
    assert colored > 0.5 * true > 15
    assert by_shipped > 0.2 * photo_true > 5


def test_real_photographs_are_coloured_by_the_generator_that_ships_as_well(demo):
    real = json.loads((demo.out / "summary.json").read_text())["real_photographs"]
    assert real["n_images"] == 4
    assert real["ab_mae_shipped"] < min(real["ab_mae_gray"], real["ab_mae"])


def test_the_demo_says_where_things_are_and_shows_no_noise(demo):
    assert str(demo.out / "result.png") in demo.stdout
    assert "tintype serve --model_base_path=" in demo.stdout
    assert "Pusher done" in demo.stderr
    assert "Traceback" not in demo.stderr
    assert "cudart" not in demo.stderr
