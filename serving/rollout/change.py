"""One change of a model's labels, on every server and in the config file, in steps that can be taken back."""

import time
from collections.abc import Callable, Sequence

from google.protobuf.message import Message

from photo.errors import TintypeError
from photo.whole_file import write_whole
from serving.rollout.config_file import ConfigFile, model_in, read, with_labels
from serving.rollout.history import Step, earlier_versions, with_step
from serving.rollout.server_status import AVAILABLE, ServerConnection, VersionState

STABLE, CANARY = "stable", "canary"

# A server looks for versions every second, unless --file_system_poll_wait_seconds says otherwise: what it has not
# found, or not begun to load again, after so many seconds is not there or is broken.
_NOTICED_WITHIN = 10.0
_RELOADED_WITHIN = 30.0  # seconds; TensorFlow Serving answers when the models that are new in a config are loaded
_LOOKS_EVERY = 0.2
_TELLS_EVERY = 10.0

Tell = Callable[[str], None]


class VersionNotAvailable(TintypeError):  # noqa: N818
    """A version is not to be had."""


class Change:
    """One change of the labels of a model, in steps that can be taken back.

    Args:
        servers: that are changed.
        file: the config they were started with.
        model_name: of the model.
        load_timeout: seconds a version may take to become AVAILABLE.
        tell: called with a line about what goes on.

    Attributes:
        labels: of the model, as the config file has them.
        available: the versions AVAILABLE on every server.
        history: the steps of the model.
    """

    def __init__(
        self, servers: Sequence[ServerConnection], file: ConfigFile, model_name: str, load_timeout: float, tell: Tell
    ):
        self._servers = servers
        self._file = file
        self._name = model_name
        self._original = (file.data, file.config)
        self._sent = False
        self._load_timeout = load_timeout
        self._patience = max(load_timeout, _RELOADED_WITHIN)
        self._tell = tell
        self.labels = file.labels(model_name)
        self.history = file.history(model_name)
        available = [server.status([]).available() for server in servers]
        self._served = set.union(*available)
        self.available = set.intersection(*available)

    def make(self, version: int, moved: dict[str, int], step: Step | None) -> None:
        """Load `version`, move the labels, and write them down with the step."""
        policy = model_in(self._original[1], self._name).model_version_policy
        kept = self._kept()
        for label in sorted(set(self.labels) - set(kept) - set(moved)):
            self._tell(
                f"the label {label!r} named version {self.labels[label]}, which is not available: it is taken away"
            )
        after = kept | moved
        asked = set(policy.specific.versions) if policy.HasField("specific") else self._served
        wide = None if policy.HasField("all") else asked | set(kept.values()) | {version}
        if wide is not None and (wide != asked or not policy.HasField("specific")):
            self._apply(kept, wide, None)
        self._wait_for(version)
        self._apply(after, wide, step)
        if wide is not None:
            self._narrow(after, asked, wide, step)

    def undo(self) -> None:
        """Give servers and file back what they had; what cannot be is told."""
        if not self._sent:
            return
        data, config = self._original
        try:
            if read(self._file.path) == self._file.data:
                if self._file.data != data:
                    write_whole(self._file.path, data)
            else:
                config = ConfigFile(self._file.path).config  # another's change is what holds now
        except TintypeError as error:
            self._tell(f"could not be undone in the file: {error}")
        if config is self._original[1]:  # of which a server would refuse labels that have lost their version
            config = with_labels(config, self._name, self._kept())
        for server in self._servers:
            try:
                server.reload(config, self._patience)
            except TintypeError as error:
                self._tell(f"could not be undone on {server.server}: {error}")
        self._sent = False

    def _kept(self) -> dict[str, int]:
        """The labels as they were, as far as their versions can be asked."""
        return {label: version for label, version in self.labels.items() if version in self.available}

    def _narrow(self, labels: dict[str, int], asked: set[int], wide: set[int], step: Step | None) -> None:
        """Name only the versions that are still needed: labelled, to return to, or asked for by somebody else."""
        steps = [*self.history, *([step] if step else [])]
        brought = {number for each in steps for number in (each.before, each.after)} | set(self.labels.values())
        back = earlier_versions(steps, labels.get(STABLE))[:1]
        narrow = set(labels.values()) | (set(back) & (wide | self.available)) | (asked - brought)
        if narrow == wide:
            return
        try:
            self._apply(labels, narrow, None)
        except TintypeError as error:
            # The labels have moved, everywhere: that is not to be taken back for a little memory.
            self._tell(f"versions that are needed no more may still be loaded: {error}")

    def _apply(self, labels: dict[str, int], versions: set[int] | None, step: Step | None) -> None:
        config: Message = with_labels(self._file.config, self._name, labels)
        if versions is not None:
            specific = model_in(config, self._name).model_version_policy.specific
            del specific.versions[:]
            specific.versions.extend(sorted(versions))
        self._sent = True
        for server in self._servers:
            server.reload(config, self._patience)
        comments = self._file.comments
        if step is not None:
            comments = with_step(comments, step)
        if config != self._file.config or comments != self._file.comments:
            self._file.write(config, comments)

    def _wait_for(self, version: int) -> None:
        """Return when the version is AVAILABLE on every server; raises VersionNotAvailable when it will not be."""
        started = time.monotonic()
        told, told_at = None, started
        while True:
            passed = time.monotonic() - started
            states = [server.state_of(version) for server in self._servers]
            if all(state is not None and state.state == AVAILABLE for state in states):
                return
            self._give_up(version, states, passed)
            now = f"version {version}: " + ", ".join(state.state if state else "not found yet" for state in states)
            if now != told or time.monotonic() - told_at > _TELLS_EVERY:
                self._tell(f"{now} ({passed:.0f} s)")
                told, told_at = now, time.monotonic()
            time.sleep(_LOOKS_EVERY)

    def _give_up(self, version: int, states: Sequence[VersionState | None], passed: float) -> None:
        """Raise VersionNotAvailable where, after so many seconds, there is no more hope for a version."""
        for server, state in zip(self._servers, states, strict=True):
            if passed > min(_NOTICED_WITHIN, self._load_timeout) and (state is None or state.state == "END"):
                known = ", ".join(str(each.version) for each in server.versions()) or "none"
                error = state.error if state else ""
                raise VersionNotAvailable(
                    f"{server.server} has no version {version} of {self._name!r}: "
                    + (error or f"it found none in {passed:.0f} s; it knows {known}")
                )
        if passed > self._load_timeout:
            waiting = ", ".join(
                f"{server.server}: {state.state if state else 'unknown'} {state.error if state else ''}".rstrip()
                for server, state in zip(self._servers, states, strict=True)
            )
            raise VersionNotAvailable(
                f"version {version} of {self._name!r} was not {AVAILABLE} within {passed:.0f} s: {waiting}"
            )
