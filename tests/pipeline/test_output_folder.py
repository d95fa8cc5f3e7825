import os
import subprocess
import sys

import pytest

from photo.errors import TintypeError
from pipeline.output_folder import output_folder, without_wildcards


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_the_second_run_in_a_folder_is_refused_with_the_process_that_holds_it(tmp_path):
    script = """
import sys
from pathlib import Path
from pipeline.output_folder import output_folder
with output_folder(Path(sys.argv[1])):
    print(flush=True)
    sys.stdin.read()
"""
    out = tmp_path / "new" / "run"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        holder.stdout.readline()
        with pytest.raises(TintypeError, match=rf"another run is at work in {out}.*process {holder.pid} on"):
            output_folder(out).__enter__()
        holder.communicate()
    with output_folder(out) as folder:
        assert folder == out


@pytest.mark.parametrize("name", ["runs [1971]", "what?", "*", "{a,b}"])
def test_wildcards_in_its_name_are_hidden_behind_a_link_that_stays_the_same(tmp_path, name):
    out = tmp_path / name
    with output_folder(out) as folder:
        assert not set(str(folder)) & set("*?[]{}")
        (folder / "artifact").write_text("here")
    assert (out / "artifact").read_text() == "here"
    assert without_wildcards(out) == folder


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(TintypeError, match=r"the output folder .*/file/run cannot be written: Not a directory"):
        output_folder(tmp_path / "file" / "run").__enter__()


def test_a_link_that_leads_elsewhere_is_never_followed(tmp_path):
    out = tmp_path / "[a]"
    out.mkdir()
    link = without_wildcards(out)
    link.unlink()
    os.symlink(tmp_path, link)
    with pytest.raises(TintypeError, match="should lead to"):
        without_wildcards(out)
