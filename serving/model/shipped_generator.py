"""Unpacks the generator that comes with the package: once for each user, into a folder that servers can serve."""

import atexit
import contextlib
import errno
import hashlib
import io
import os
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photo.errors import TintypeError
from photo.locks import locked

# The packed form is a zip: the SavedModel's own files under their names, and below VARIABLES a member for each tensor
# of its checkpoint, named by its key: numbers as .npy (float32 as float16), strings as a serialised TensorProto. Below
# GRAPHS lies a graph of ONNX for each signature that has one; its weights are those members.
VARIABLES = "variables/"
GRAPHS = "onnx/"
ARRAY_SUFFIX, STRINGS_SUFFIX = ".npy", ".tensor"

GENERATOR_FILE = Path(__file__).with_name("colorizer.zip")
GENERATOR_VARIABLE = "TINTYPE_GENERATOR"
"""An environment variable that names another packed generator."""

MODEL_NAME = "colorizer"

_VERSION = "1"
_SUMS = "SHA256SUMS"
_LOCK = ".lock"
_PART = ".part"
_MAX_UNPACKED_BYTES = 1 << 28

# Stands for the generator that comes along, where a model is named.
SHIPPED = "shipped"

# A zip that is damaged, or none, shows itself by any of these.
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, KeyError, NotImplementedError, RuntimeError, ValueError)

# The machine has no room; elsewhere there might be some, but who set the cache up wants to know.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def shipped_generator() -> Path:
    """Return the packed generator that comes with the package, or the one that TINTYPE_GENERATOR names.

    Raises:
        TintypeError: there is none.
    """
    named = os.environ.get(GENERATOR_VARIABLE)
    file = Path(named) if named else GENERATOR_FILE
    if not file.is_file():
        where = f"{GENERATOR_VARIABLE} names {file}, which is no file" if named else f"there is no {file}"
        raise TintypeError(f"no trained generator comes with this installation ({where}); name a server or a model")
    return file


def unpack(file: Path) -> Path:
    """Return the base path of an unpacked generator, a folder that holds `1/saved_model.pb`.

    It lies in `$XDG_CACHE_HOME/tintype/<hash of the file>/colorizer`, XDG_CACHE_HOME being ~/.cache if it is not set.
    What is there is checked by the SHA-256 of every file and used; otherwise it is unpacked, which imports TensorFlow.
    Of several processes at once one unpacks and the others wait; the folder appears whole or not at all, and what a
    killed process left is removed. Where nothing can be kept (no home, a read-only one, one that others may write to),
    it goes into a private folder that is removed when this process ends.

    Raises:
        TintypeError: the file is damaged, or the disk is full.
    """
    content = _content(file)
    name = hashlib.sha256(content).hexdigest()[:16]
    cache = cache_folder()
    if cache is not None and is_whole(cache / name):
        return cache / name / MODEL_NAME
    try:
        with _locked(cache) as folder:
            if not is_whole(folder / name):  # another process may have unpacked it meanwhile
                _unpack_into(folder, name, content, file)
            return folder / name / MODEL_NAME
    except OSError as error:
        where = cache or tempfile.gettempdir()
        raise TintypeError(f"cannot unpack the generator into {where}: {error.strerror or error}") from error


def has_graphs(file: Path) -> bool:
    """Return whether onnxruntime can be asked for a packed generator; not where the file is damaged."""
    try:
        with zipfile.ZipFile(file) as archive:
            return any(name.startswith(GRAPHS) for name in archive.namelist())
    except (*_DAMAGED, OSError):
        return False


def packed_members(file: Path) -> tuple[dict[str, bytes], dict[str, NDArray[Any]]]:
    """Return what is packed without unpacking it: the graphs of ONNX by their names, and the weights by their keys.

    Raises:
        TintypeError: the file is damaged.
    """
    try:
        _, variables, graphs = _members(_content(file))
        weights = {
            _key(name): np.load(io.BytesIO(data), allow_pickle=False)
            for name, data in variables.items()
            if name.endswith(ARRAY_SUFFIX)
        }
    except _DAMAGED as error:
        raise _damaged(file, error) from error
    return {PurePosixPath(name).stem: data for name, data in graphs.items()}, weights


def unpacked_model(source: str) -> str | None:
    """The SavedModel's folder of a packed generator: SHIPPED, or the path of a file. None for anything else.

    Raises:
        TintypeError: the file is damaged, or the disk is full.
    """
    if source == SHIPPED:
        return str(unpack(shipped_generator()) / "1")
    return str(unpack(Path(source)) / "1") if Path(source).is_file() else None


def cache_folder() -> Path | None:
    """Return this user's folder of unpacked generators and links; None where there is none that can be trusted."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    try:
        # A relative path is to be ignored: XDG Base Directory Specification 0.8. So says platformdirs, too; but where
        # the home is none it names another folder than the user's.
        root = Path(named) if os.path.isabs(named) else Path.home() / ".cache"
        if not root.is_absolute():
            return None
        folder = root / "tintype"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except (OSError, RuntimeError) as error:
        if isinstance(error, OSError) and error.errno in _FULL:
            raise TintypeError(f"cannot make {folder}: {error.strerror}") from error
        return None
    # A model is a program: whoever may write here may run something as this user.
    is_own = status.st_uid in (0, os.getuid()) and not status.st_mode & stat.S_IWOTH
    return folder if is_own else None


def _private_folder() -> Path:
    folder = tempfile.mkdtemp(prefix="tintype-generator-")
    atexit.register(_remove_own, folder, os.getpid())
    return Path(folder)


def _remove_own(folder: str, process: int) -> None:
    if os.getpid() == process:  # and not a fork of it
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _locked(cache: Path | None) -> Iterator[Path]:
    """Yield the cache once no other process unpacks into it, or a private folder where it cannot be written or locked.

    The lock of a process that is killed falls by itself.
    """
    with contextlib.ExitStack() as stack:
        try:
            folder = _private_folder() if cache is None else cache
            stack.enter_context(locked(folder / _LOCK))
        except OSError as error:
            if cache is None or error.errno in _FULL:
                raise
            folder = _private_folder()
        yield folder


def is_whole(home: Path) -> bool:
    """Return whether every file that was unpacked there is there as it was written."""
    try:
        sums = (home / _SUMS).read_text()
        return bool(sums) and sums == _sums(home)
    except (OSError, ValueError):
        return False


def _sums(home: Path) -> str:
    """Return the SHA-256 of every file there, as `sha256sum` writes and checks them."""
    lines = []
    for path in sorted(home.rglob("*")):
        if path.is_file() and path != home / _SUMS:
            with open(path, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            lines.append(f"{digest}  {path.relative_to(home).as_posix()}\n")
    return "".join(lines)


def _unpack_into(folder: Path, name: str, content: bytes, file: Path) -> None:
    """Write the model beside its place and rename it; the caller holds the folder's lock."""
    for left_behind in folder.glob(f".*{_PART}"):
        shutil.rmtree(left_behind, ignore_errors=True)
    part, damaged = Path(tempfile.mkdtemp(prefix=f".{name}-", suffix=_PART, dir=folder)), folder / f".damaged{_PART}"
    try:
        write_model(content, part / MODEL_NAME / _VERSION, file)
        (part / _SUMS).write_text(_sums(part))
        if (folder / name).exists():
            (folder / name).rename(damaged)
        part.rename(folder / name)
    finally:
        for left_over in (part, damaged):
            shutil.rmtree(left_over, ignore_errors=True)


def write_model(content: bytes, folder: Path, file: Path) -> None:
    """Write the SavedModel of a packed generator; raises TintypeError when it is damaged, OSError as the disk does."""
    try:
        files, variables, _ = _members(content)
    except _DAMAGED as error:
        raise _damaged(file, error) from error

    import tensorflow as tf

    # On the processor, so that no memory of an accelerator is taken for it.
    with tf.device("CPU:0"):
        try:
            tensors = [
                tf.io.parse_tensor(data, tf.string) if name.endswith(STRINGS_SUFFIX) else tf.constant(_array(data))
                for name, data in variables.items()
            ]
        except (*_DAMAGED, tf.errors.OpError) as error:
            raise _damaged(file, error) from error
        (folder / VARIABLES).mkdir(parents=True)
        for name, data in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        keys = [_key(name) for name in variables]
        prefix, whole = f"{folder / VARIABLES}/variables", [""] * len(keys)
        try:
            tf.raw_ops.SaveV2(prefix=prefix, tensor_names=keys, shape_and_slices=whole, tensors=tensors)
        except tf.errors.OpError as error:
            raise OSError(errno.EIO, error.message) from error


def _damaged(file: Path, error: Exception) -> TintypeError:
    return TintypeError(f"the generator {file} is damaged ({error}); install Tintype again")


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise TintypeError(f"cannot read the generator {file}: {error.strerror or error}") from error


def _key(member: str) -> str:
    return member.removeprefix(VARIABLES).rpartition(".")[0]


def _members(content: bytes) -> tuple[dict[str, bytes], dict[str, bytes], dict[str, bytes]]:
    """Return the model's own files, the tensors of its checkpoint, and the graphs of ONNX, by their members' names."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > _MAX_UNPACKED_BYTES:
            raise ValueError(f"it claims more than {_MAX_UNPACKED_BYTES:,} bytes")
        read = {member.filename: archive.read(member) for member in members}  # this checks their CRC-32, too
    for name in read:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or "\\" in name:
            raise ValueError(f"a member is named {name!r}")
    variables, graphs = (
        {name: data for name, data in read.items() if name.startswith(folder)} for folder in (VARIABLES, GRAPHS)
    )
    files = {name: data for name, data in read.items() if name not in variables and name not in graphs}
    if "saved_model.pb" not in files or not variables:
        raise ValueError("it holds no model")
    return files, variables, graphs


def _array(data: bytes) -> NDArray[Any]:
    array: NDArray[Any] = np.load(io.BytesIO(data), allow_pickle=False)
    return array.astype(np.float32) if array.dtype == np.float16 else array
