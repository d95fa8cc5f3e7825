"""What ends a batch job."""

from photo.errors import TintypeError


class BatchStopped(TintypeError):  # noqa: N818
    """The job cannot go on; what it has done is kept, and the same command goes on from there."""
