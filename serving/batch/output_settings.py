"""How colourings are named and encoded, and which ways of encoding give the same pixels; quick to import."""

import hashlib
import json
import os
import posixpath
import string
from dataclasses import dataclass, field

from photo.coloring_options import ColoringOptions
from photo.folders import name_of_kind
from photo.formats import FORMAT_OF_SUFFIX, PhotoFormat
from photo.hints import Hint

# What the job itself keeps lies in a folder of this name below the output.
OWN_FOLDER = ".tintype"


@dataclass(frozen=True)
class OutputSettings(ColoringOptions):
    """How colourings are named and encoded, and how strong their colour is.

    `ColorizePhotos` must have been told the same `keep_tint`, which says which outputs of an earlier run are as wanted.

    Attributes:
        name: pattern of file names: {stem} of the photograph's, {suffix} with its dot, {folder} that it lies in.
        suffix: of all outputs, with its dot; None takes that of `format`, or keeps each photograph's own.
    """

    name: str = field(default="{stem}{suffix}", metadata={"help": "Pattern of names: {stem}, {folder}, {suffix}."})
    suffix: str | None = field(
        default=None,
        metadata={
            "help": "jpg, png, webp, tiff or bmp. [default: each photograph's]",
            "flag": "--format",
            "convert": ".{}".format,
        },
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.suffix is not None and self.suffix not in FORMAT_OF_SUFFIX:
            known = ", ".join(suffix[1:] for suffix in FORMAT_OF_SUFFIX)
            raise ValueError(f"expected a format of {known}, received {self.suffix[1:]!r}")
        if self.suffix is not None and self.format not in (None, FORMAT_OF_SUFFIX[self.suffix]):
            raise ValueError(f"expected a suffix of the format {self.format}, received {self.suffix!r}")
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

    def output_name(self, name: str, own_suffix: str = "") -> str:
        """Return where the colouring of `name`, a path with forward slashes, lies below the output; never outside.

        Args:
            name: of the photograph.
            own_suffix: that fits it where its name has none of a photograph; "" takes .png.
        """
        parts = [part for part in name.replace("\0", "").split("/") if part not in ("", ".", "..")]
        parts = [f"_{part}" if part.lower() == OWN_FOLDER else part for part in parts]
        *folders, last = parts or ["photo"]
        stem, suffix = posixpath.splitext(last)
        if suffix.lower() not in FORMAT_OF_SUFFIX:
            stem, suffix = posixpath.splitext(name_of_kind(last, own_suffix or ".png"))
        suffix = self.suffix or (self.format.suffix if self.format is not None else suffix)
        folder = folders[-1] if folders else ""
        return "/".join([*folders, self.name.format(stem=stem, suffix=suffix, folder=folder)])

    def encoding_of(self, output_name: str) -> PhotoFormat:
        """Return the format to encode a colouring of this name in."""
        return FORMAT_OF_SUFFIX[posixpath.splitext(output_name)[1].lower()]

    def digest(self, output_name: str, has_tint: bool | None = None, hints: tuple[Hint, ...] = ()) -> str:
        """Return what, besides photograph and model, decides the bytes of this output.

        Args:
            output_name: as `output_name` returns it.
            has_tint: whether the photograph has a tint, which was kept; None where it was not looked for.
            hints: colours that were asked for.
        """
        tint = {None: "", False: " no tint", True: " tint kept"}[has_tint]
        other = "" if self.mark_metadata else " not marked"
        other += " visibly marked" if self.mark else ""
        other += " signed" if self.credentials else ""
        other += f" {self.tiff_compression}" if self.tiff_compression else ""
        other += f" {self.palette_words}" if self.palette_words else ""
        other += f" render {','.join(map(str, sorted(self.render)))}" if self.render else ""
        other += f" {_digest_of_hints(hints)}" if hints else ""
        return f"{self.encoding_of(output_name)} quality {self.quality} strength {self.strength:g}{other}{tint}"

    def digests_as_good(self, output_name: str, hints: tuple[Hint, ...] = ()) -> frozenset[str]:
        """Return every digest whose output has the pixels that these settings would give: a tint matters to toned ones.

        With `keep_tint` the one without a word on the tint is not among them, though it is as good for an untoned one.
        """
        tints = (False, self.keep_tint or None)
        return frozenset(self.digest(output_name, has_tint, hints) for has_tint in tints)


def _digest_of_hints(hints: tuple[Hint, ...]) -> str:
    """Return how many hints there are, and hexadecimal digits that change with any of them."""
    text = json.dumps([hint.document() for hint in hints])
    return f"{len(hints)} hint{'s' if len(hints) > 1 else ''} {hashlib.sha256(text.encode()).hexdigest()[:12]}"
