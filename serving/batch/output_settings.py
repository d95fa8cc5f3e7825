"""How colourings are named and encoded, and which of two ways of encoding give the same pixels."""

import os
import posixpath
import string
from dataclasses import dataclass

from photo.formats import FORMAT_OF_SUFFIX
from serving.batch.outputs import OWN_FOLDER


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
