"""Where colourings go and how they are written: their names below the output, and whole files on any filesystem."""

import contextlib
import errno
import os
import posixpath
import re
import secrets
import string
from dataclasses import dataclass
from pathlib import Path

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from photo.errors import TintypeError
from photo.formats import FORMAT_OF_SUFFIX
from photo.whole_file import write_whole
from serving.batch.file_systems import is_local

# What the job itself keeps lies in a folder of this name below the output.
OWN_FOLDER = ".tintype"

# Object stores show an object when it is whole; elsewhere a name appears when the file is opened.
_WHOLE_BY_THEMSELVES = frozenset({"gs", "s3", "azfs"})

# Faults of the place, not of the photograph: the next one would meet them, too.
_FAULTS_OF_THE_PLACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO})


class BatchStopped(TintypeError):  # noqa: N818
    """The job cannot go on; what it has done is kept, and the same command goes on from there."""


@dataclass(frozen=True)
class OutputSettings:
    """How colourings are named and encoded.

    Attributes:
        format: suffix without its dot, as "png"; None keeps each photograph's own.
        name: pattern of file names: {stem} of the photograph's, {suffix} with its dot, {folder} that it lies in.
        quality: 1..100, of JPEG and WebP.
        strength: factor on the colour: 0 gray, 1 as the model says.
        keep_tint: the tint of toned photographs was kept by `ColorizePhotos`; says which outputs an earlier run's are.
    """

    format: str | None = None
    name: str = "{stem}{suffix}"
    quality: int = 92
    strength: float = 1.0
    keep_tint: bool = False

    def __post_init__(self) -> None:
        if self.format is not None and f".{self.format}" not in FORMAT_OF_SUFFIX:
            known = ", ".join(suffix[1:] for suffix in FORMAT_OF_SUFFIX)
            raise ValueError(f"expected a format of {known}, received {self.format!r}")
        try:
            fields = {field for _, field, _, _ in string.Formatter().parse(self.name) if field is not None}
        except ValueError as error:
            raise ValueError(f"{self.name!r} is no pattern of a name: {error}") from error
        if not {"stem", "suffix"} <= fields <= {"stem", "suffix", "folder"} or not self.name.endswith("{suffix}"):
            raise ValueError(
                f"expected a pattern with {{stem}}, if wanted {{folder}}, and {{suffix}} at its end, "
                f"received {self.name!r}"
            )
        if "/" in self.name or os.sep in self.name:
            raise ValueError(f"expected a pattern of a file's name, without folders, received {self.name!r}")
        if not 1 <= self.quality <= 100:
            raise ValueError(f"expected a quality of 1..100, received {self.quality}")
        if not 0 <= self.strength < float("inf"):
            raise ValueError(f"expected a strength of at least 0, received {self.strength}")

    def output_name(self, name: str) -> str:
        """Return where the colouring of `name`, a path with forward slashes, lies below the output; never outside."""
        parts = [part for part in name.replace("\0", "").split("/") if part not in ("", ".", "..")]
        parts = [f"_{part}" if part.lower() == OWN_FOLDER else part for part in parts]
        *folders, last = parts or ["photo"]
        stem, suffix = posixpath.splitext(last)
        if suffix.lower() not in FORMAT_OF_SUFFIX:
            stem, suffix = last, ".png"
        if self.format is not None:
            suffix = f".{self.format}"
        folder = folders[-1] if folders else ""
        return "/".join([*folders, self.name.format(stem=stem, suffix=suffix, folder=folder)])

    def encoding_of(self, output_name: str) -> str:
        """Return the format to encode a colouring of this name in, as `encode_photo` calls it."""
        return FORMAT_OF_SUFFIX[posixpath.splitext(output_name)[1].lower()]

    def digest(self, output_name: str, has_tint: bool | None = None) -> str:
        """Return what, besides photograph and model, decides the bytes of this output.

        Args:
            output_name: as `output_name` returns it.
            has_tint: whether the photograph has a tint, which was kept; None where it was not looked for.
        """
        tint = {None: "", False: " no tint", True: " tint kept"}[has_tint]
        return f"{self.encoding_of(output_name)} quality {self.quality} strength {self.strength:g}{tint}"

    def digests_as_good(self, output_name: str) -> frozenset[str]:
        """Return every digest whose output has the pixels that these settings would give: a tint matters to toned ones.

        With `keep_tint` the one without a word on the tint is not among them, though it is as good for an untoned one.
        """
        return frozenset(
            {self.digest(output_name, has_tint=False), self.digest(output_name, has_tint=self.keep_tint or None)}
        )


def join(output: str, name: str) -> str:
    """Return the location of `name`, a path with forward slashes, below `output`."""
    return os.path.join(output, *name.split("/")) if is_local(output) else f"{output.rstrip('/')}/{name}"


def write_file(location: str, data: bytes) -> None:
    """Write a file that appears whole or not at all; missing folders are made, what stood there before is replaced.

    Raises:
        BatchStopped: no file can be written there: the disk is full, or the place forbids it.
        TintypeError: this file cannot be written.
    """
    try:
        if is_local(location):
            write_whole(Path(location), data)
        else:
            _write_remote(location, data)
    except (TintypeError, OSError, ValueError) as error:
        cause = error.__cause__ if isinstance(error, TintypeError) else error
        message = str(error) if isinstance(error, TintypeError) else f"cannot write {location}: {error}"
        if getattr(cause, "errno", None) in _FAULTS_OF_THE_PLACE:
            raise BatchStopped(message) from error
        raise TintypeError(message) from error


def _write_remote(location: str, data: bytes) -> None:
    if FileSystems.get_scheme(location) in _WHOLE_BY_THEMSELVES:
        _create(location, data)
        return
    folder = location.rpartition("/")[0]
    with contextlib.suppress(OSError):  # it is there already
        FileSystems.mkdirs(folder)
    temporary = f"{folder}/.{secrets.token_hex(8)}.part"
    _create(temporary, data)
    if FileSystems.exists(location):
        FileSystems.delete([location])
    FileSystems.rename([temporary], [location])


def _create(location: str, data: bytes) -> None:
    with FileSystems.create(location, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        file.write(data)


def size_of(location: str) -> int | None:
    """Return the size of a file in bytes; None when it is not there."""
    if is_local(location):
        try:
            return os.stat(location).st_size
        except OSError:
            return None
    found = FileSystems.match([re.sub(r"([*?\[])", r"[\1]", location)])[0].metadata_list
    return next((file.size_in_bytes for file in found if file.path == location), None)
