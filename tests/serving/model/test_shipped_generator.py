import errno
import os
import subprocess
import sys
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from photo.errors import TintypeError
from serving.model import shipped_generator as module
from serving.model.shipped_generator import shipped_generator, unpack, unpacked_model


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_it_is_unpacked_once_and_then_needs_no_tensorflow(packed, cache, monkeypatch):
    base_path = unpack(packed)
    assert base_path.parent.parent == cache
    assert base_path.name == "colorizer"
    assert [path.name for path in base_path.iterdir()] == ["1"]
    assert (cache.stat().st_mode & 0o777, base_path.parent.stat().st_mode & 0o777) == (0o700, 0o700)
    before = (base_path / "1" / "saved_model.pb").stat()
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    assert unpack(packed) == base_path
    assert (base_path / "1" / "saved_model.pb").stat() == before


def test_of_several_at_once_one_unpacks_and_all_have_it(packed, cache, monkeypatch):
    write_model, written = module.write_model, []

    def slowly(*arguments):
        written.append(threading.get_ident())
        write_model(*arguments)
        time.sleep(0.2)

    monkeypatch.setattr(module, "write_model", slowly)
    with ThreadPoolExecutor(4) as threads:
        found = set(threads.map(unpack, [packed] * 4))
    assert len(found) == len(written) == 1
    assert names(cache) == [found.pop().parent.name]


def test_what_a_killed_process_left_is_removed_and_does_not_count(packed, cache):
    code = f"""
import os, signal
from pathlib import Path
from serving.model import shipped_generator as module
def halfway(content, folder, file):
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
module.write_model = halfway
module.unpack(Path({str(packed)!r}))
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == -9
    assert [name.endswith(".part") for name in names(cache)] == [True]
    home = unpack(packed).parent
    assert names(cache) == [home.name]
    assert module.is_whole(home)


@pytest.mark.parametrize("damage", ["shorter", "other", "gone", "sums"])
def test_what_was_damaged_in_the_cache_is_unpacked_anew(packed, cache, damage):
    home = unpack(packed).parent
    whole = files(home)
    file = home / ("SHA256SUMS" if damage == "sums" else "colorizer/1/variables/variables.data-00000-of-00001")
    match damage:
        case "shorter" | "sums":
            os.truncate(file, file.stat().st_size // 2)
        case "other":
            file.write_bytes(file.read_bytes()[::-1])
        case "gone":
            file.unlink()
    assert unpack(packed).parent == home
    assert files(home) == whole
    assert names(cache) == [home.name]


def _zip(members: dict[str, bytes]):
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in members.items():
                archive.writestr(name, data)

    return write


def _flipped_in_the_middle(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


MODEL = {"saved_model.pb": b"x", "variables/a.npy": b"no array"}


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: os.truncate(path, path.stat().st_size // 2), "not a zip file"),
        (lambda path: path.write_bytes(b""), "not a zip file"),
        (lambda path: path.write_bytes(_flipped_in_the_middle(path.read_bytes())), "damaged"),
        (_zip({"readme": b"hello"}), "holds no model"),
        (_zip(MODEL), "damaged"),
        (_zip(MODEL | {"../outside": b"x"}), r"a member is named '\.\./outside'"),
        (_zip(MODEL | {"/outside": b"x"}), "a member is named '/outside'"),
    ],
)
def test_a_damaged_generator_is_named_and_leaves_nothing(packed, cache, tmp_path, damage, words):
    file = tmp_path / "colorizer.zip"
    file.write_bytes(packed.read_bytes())
    damage(file)
    with pytest.raises(TintypeError, match=words) as caught:
        unpack(file)
    assert f"the generator {file} is damaged" in str(caught.value)
    assert names(cache) == []
    assert not (tmp_path / "outside").exists()


def test_a_bomb_is_refused_before_it_is_unpacked(packed, cache, monkeypatch):
    monkeypatch.setattr(module, "_MAX_UNPACKED_BYTES", 1000)
    with pytest.raises(TintypeError, match="it claims more than 1,000 bytes"):
        unpack(packed)


def _no_home(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "file").touch()
    return {"XDG_CACHE_HOME": str(tmp_path / "file")}


def _home_of_all(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "tintype").mkdir()
    (tmp_path / "tintype").chmod(0o777)
    return {"XDG_CACHE_HOME": str(tmp_path)}


@pytest.mark.parametrize(
    "environment",
    [
        _no_home,
        _home_of_all,
        lambda _: {"XDG_CACHE_HOME": "/proc"},
        lambda _: {"XDG_CACHE_HOME": "", "HOME": "relative"},
    ],
    ids=["a file", "anybody may write", "read-only", "no home"],
)
def test_where_nothing_can_be_kept_it_goes_into_a_private_folder_for_now(packed, tmp_path, monkeypatch, environment):
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    at_exit = []
    monkeypatch.setattr(module.atexit, "register", lambda *call: at_exit.append(call))
    base_path = unpack(packed)
    [(remove, folder, *arguments)] = at_exit
    assert base_path.is_relative_to(folder)
    assert Path(folder).stat().st_mode & 0o777 == 0o700
    assert (base_path / "1" / "saved_model.pb").is_file()
    remove(folder, *arguments)
    assert not Path(folder).exists()


def test_without_xdg_the_home_keeps_it_and_a_relative_path_is_ignored(packed, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert unpack(packed).is_relative_to(tmp_path / ".cache" / "tintype")


def test_a_full_disk_is_said_and_leaves_nothing(packed, cache, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(TintypeError, match=f"cannot unpack the generator into {cache}: No space left on device"):
        unpack(packed)
    assert names(cache) == []


def test_a_generator_that_is_not_there_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("TINTYPE_GENERATOR", str(tmp_path / "nowhere.zip"))
    with pytest.raises(TintypeError, match=r"TINTYPE_GENERATOR names .*nowhere\.zip, which is no file"):
        shipped_generator()
    monkeypatch.delenv("TINTYPE_GENERATOR")
    monkeypatch.setattr(module, "GENERATOR_FILE", tmp_path / "colorizer.zip")
    with pytest.raises(TintypeError, match="no trained generator comes with this installation"):
        shipped_generator()


def test_a_model_may_be_named_as_the_shipped_one_or_as_a_packed_file(packed, cache, monkeypatch):
    assert unpacked_model(str(packed)) == str(unpack(packed) / "1")
    monkeypatch.setenv("TINTYPE_GENERATOR", str(packed))
    assert unpacked_model("shipped") == unpacked_model(str(packed))
    assert unpacked_model(str(packed.parent)) is None
    assert unpacked_model("nowhere") is None
