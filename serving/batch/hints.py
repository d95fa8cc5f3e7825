"""The hints of a batch job's photographs: of one file for all, or of a file beside each photograph."""

from dataclasses import dataclass

from apache_beam.io.filesystems import FileSystems

from photo.archives import FileEntry
from photo.errors import PhotoError, TintypeError
from photo.hints import MAX_FILE_BYTES, SIDECAR_SUFFIX, Hint, HintsByPhoto, hints_from_json
from serving.batch.file_systems import open_file


@dataclass(frozen=True)
class JobHints:
    """Where the hints of each photograph are found.

    Attributes:
        by_photo: of one file for all; it counts before what lies beside a photograph. None where there is none.
    """

    by_photo: HintsByPhoto | None = None

    def of(self, entry: FileEntry) -> tuple[Hint, ...]:
        """Return the hints of a photograph; a member of an archive has those of the file for all alone.

        Raises:
            PhotoError: `wrong_hints`: the file beside it holds none.
        """
        is_member = entry.kind != "file"
        name = entry.name if is_member else entry.location
        if self.by_photo is not None and (found := self.by_photo.of(name)):
            return found
        sidecar = entry.location + SIDECAR_SUFFIX
        if is_member or not FileSystems.exists(sidecar):
            return ()
        try:
            with open_file(sidecar) as file:
                return hints_from_json(file.read(MAX_FILE_BYTES + 1), sidecar)
        except (TintypeError, OSError) as error:
            raise PhotoError("wrong_hints", str(error)) from error


def read_job_hints(location: str | None) -> JobHints:
    """Return the hints of a job whose file for all lies there; raises TintypeError for a file that cannot be used."""
    if location is None:
        return JobHints()
    try:
        with open_file(location) as file:
            return JobHints(HintsByPhoto.from_json(file.read(MAX_FILE_BYTES + 1), location))
    except (OSError, ValueError) as error:  # also of a URL that no file system serves
        raise TintypeError(f"cannot read {location}: {error}") from error
