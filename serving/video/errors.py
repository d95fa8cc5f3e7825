"""`VideoError`: a film cannot be used; the message says why."""

from photo.errors import TintypeError


class VideoError(TintypeError):
    """A film cannot be used."""
