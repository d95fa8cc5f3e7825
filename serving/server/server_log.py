"""What a silent model server has written, for whoever has to say why it ended."""

import os
from pathlib import Path

_LINES, _BYTES = 12, 1 << 14


class ServerLog:
    """The files `stdout` and `stderr` of a server's folder; None where it writes to the terminal."""

    def __init__(self, folder: Path | None):
        self._folder = folder

    def tail(self) -> str:
        """Return the last lines, those on standard error at the end."""
        lines = f"{self.of('stdout')}\n{self.of('stderr')}".splitlines()
        return "\n".join([line for line in lines if line.strip()][-_LINES:]) or "it has logged nothing"

    def last_error(self) -> str:
        """Return the last line of standard error, without the mark of an error; nothing where there is none."""
        return self.of("stderr").strip().rpartition("\n")[2].removeprefix("error: ")

    def of(self, stream: str) -> str:
        """Return the end of what was written to one of the two."""
        if self._folder is None:
            return ""
        try:
            with open(self._folder / stream, "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - _BYTES))
                return file.read().decode(errors="replace")
        except OSError:  # a server that has ended as it should has removed them
            return ""
