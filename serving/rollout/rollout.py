"""Rollouts: moves the labels `stable` and `canary` between the versions of a model, so that a restart keeps them.

TensorFlow Serving keeps labels in its ModelServerConfig, which it reads from `--model_config_file` at its start and
takes by HandleReloadConfigRequest while it runs. A rollout changes both, the server first.
"""

import fcntl
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import Any, Self

import grpc
from google.protobuf import text_format

from photo.errors import ServerRefused, ServerUnavailable, TintypeError
from photo.whole_file import write_whole
from serving.client import wire
from serving.client.flows import DEFAULT_MODEL_NAME, ClientCore
from serving.client.options import Tls

STABLE, CANARY = "stable", "canary"
AVAILABLE = "AVAILABLE"

# A server looks for versions every second, unless --file_system_poll_wait_seconds says otherwise: what it has not
# found, or not begun to load again, after so many seconds is not there or is broken.
_NOTICED_WITHIN = 10.0
_RELOADED_WITHIN = 30.0  # seconds; TensorFlow Serving answers when the models that are new in a config are loaded
_LOOKS_EVERY = 0.2
_TELLS_EVERY = 10.0

_HISTORY = re.compile(r"# tintype rollout: (\{.*\})")
_LONGEST_HISTORY = 100

Tell = Callable[[str], None]


@dataclass(frozen=True)
class VersionState:
    """What a server knows of one version.

    Attributes:
        version: its number.
        state: START, LOADING, AVAILABLE, UNLOADING or END.
        error: why it could not be loaded; empty when there is no error.
    """

    version: int
    state: str
    error: str = ""


@dataclass(frozen=True)
class ServerStatus:
    """The versions of a model on one server.

    Attributes:
        server: its address.
        versions: every version it knows, the newest first.
        labels: the version that answers to each label the server knows.
        without_label: the version that answers requests without a label; None if none does.
    """

    server: str
    versions: list[VersionState]
    labels: dict[str, int]
    without_label: int | None

    def available(self) -> set[int]:
        """The versions that can be asked."""
        return {version.version for version in self.versions if version.state == AVAILABLE}


@dataclass(frozen=True)
class Step:
    """One line of the history in the config file.

    Attributes:
        at: when, in UTC, as ISO 8601.
        model: name of the model.
        action: "promote" or "rollback".
        before: the version labelled stable until then; None if none was.
        after: the version labelled stable since.
    """

    at: str
    model: str
    action: str
    before: int | None
    after: int

    def line(self) -> str:
        """The comment it is written as."""
        return f"# tintype rollout: {json.dumps(vars(self))}"


class Rollout:
    """Moves labels of one model, on every server that serves it, and in the config file they start from.

    The config file is the source of truth: it is sent to the servers as a whole, so all their models must be in it. A
    change goes in steps, and each is first taken by the servers and then written to the file (whole or not at all), so
    that a server that polls the file does not undo it:

      1. the version policy is widened until the version is loaded; a server without the room refuses here;
      2. when every server says AVAILABLE, the labels move, in one moment for each server;
      3. the version policy is narrowed to what is still needed: every labelled version, the one `rollback` would
         return to if it is loaded, and whatever else was asked for that no rollout had brought in.

    `latest(N)`, the default policy, would unload a labelled version as soon as N newer ones are pushed; it becomes
    `specific`: from then on versions come when they are named here. `all` stays as it is. When one of
    the first two steps fails, or is interrupted, servers and file get back what they had.

    What was promoted stands in comments of the config file. Whole-line comments are kept, above the config. Of two
    rollouts at once on one machine the second is refused (a lock file beside the config); a file that somebody else
    changed meanwhile is not overwritten.

        with Rollout(["localhost:8500"], config_file="models.config") as rollout:
            rollout.canary(7)
            rollout.promote()      # the canary becomes stable
            rollout.rollback()     # no, it does not

    Args:
        servers: HOST:PORT of every server that shares the config file.
        model_name: the name they serve the model under.
        config_file: the servers' --model_config_file; without it only `status` works.
        timeout: seconds for one answer.
        load_timeout: seconds a version may take to become AVAILABLE.
        tls: encrypt the connections.
        token: sent as `authorization: Bearer TOKEN`.
        tell: called with a line about what goes on.

    Raises:
        ValueError: for an argument that can never work.
        TintypeError: when a file of `tls` cannot be used.
    """

    def __init__(
        self,
        servers: Sequence[str],
        *,
        model_name: str = DEFAULT_MODEL_NAME,
        config_file: str | PathLike[str] | None = None,
        timeout: float = 10.0,
        load_timeout: float = 120.0,
        tls: Tls | None = None,
        token: str | None = None,
        tell: Tell = lambda line: None,
    ):
        if not servers:
            raise ValueError("expected at least one server")
        for server in servers:
            if server.startswith(("dns:", "ipv4:", "ipv6:")):
                raise ValueError(
                    f"{server} may stand for several servers, and each must take the change: name every one"
                )
        if not load_timeout > 0:
            raise ValueError(f"expected a load_timeout of more than 0 seconds, received {load_timeout}")
        self.model_name = model_name
        self._config_path = None if config_file is None else Path(config_file)
        self._load_timeout = load_timeout
        self._tell = tell
        self._servers = [
            _Server(server, model_name=model_name, timeout=timeout, tls=tls, token=token)
            for server in dict.fromkeys(servers)
        ]

    def __enter__(self) -> Self:
        """Return the rollout itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        for server in self._servers:
            server.close()

    def status(self) -> list[ServerStatus]:
        """Ask every server for its versions and for the ones that answer.

        Raises:
            ServerUnavailable: when one does not answer.
            ServerRefused: when one does not serve the model.
        """
        labels = {STABLE, CANARY}
        if self._config_path is not None:
            labels |= set(self._model_in(_ConfigFile(self._config_path).config).version_labels)
        return [server.status(sorted(labels)) for server in self._servers]

    def policy(self) -> str | None:
        """The version policy in the config file, in words; None without a file."""
        if self._config_path is None:
            return None
        policy = self._model_in(_ConfigFile(self._config_path).config).model_version_policy
        match policy.WhichOneof("policy_choice"):
            case "all":
                return "all"
            case "specific":
                return f"specific {', '.join(map(str, sorted(policy.specific.versions)))}"
            case _:
                return f"latest {max(1, policy.latest.num_versions)}"

    def history(self) -> list[Step]:
        """The promotions and rollbacks of the model that the config file tells of, the oldest first."""
        return [] if self._config_path is None else self._history_in(_ConfigFile(self._config_path))

    def promote(self, version: int | None = None) -> int:
        """Label a version `stable`.

        Args:
            version: None takes the version labelled `canary`, else the newest that is AVAILABLE on every server.

        Returns:
            The version that is stable now.

        Raises:
            TintypeError: nothing to promote, the version does not become AVAILABLE, a server refuses, the file cannot
                be read or written: all is as before, and the message says what is not.
        """
        with self._changing() as change:
            stable = change.labels.get(STABLE)
            if version is None:
                version = self._next_version(change)
            if version == stable and version in change.available:
                self._tell(f"version {version} is {STABLE} already")
                return version
            step = Step(_now(), self.model_name, "promote", stable, version)
            change.make(version, {STABLE: version}, step)
            return version

    def canary(self, version: int) -> int:
        """Label a version `canary`, and load it if it is not; the stable version's number ends a trial.

        Raises:
            TintypeError: as `promote`.
        """
        with self._changing() as change:
            if change.labels.get(CANARY) == version and version in change.available:
                self._tell(f"version {version} is {CANARY} already")
            else:
                change.make(version, {CANARY: version}, None)
            return version

    def rollback(self) -> int:
        """Return to the version that was stable before.

        A version that cannot be loaded any more is passed over for the one before it. Where `canary` names the version
        that is given up, it moves as well: what failed as stable is no good on trial either.

        Returns:
            The version that is stable now.

        Raises:
            TintypeError: no earlier version is known or none can be loaded; else as `promote`.
        """
        with self._changing() as change:
            stable = change.labels.get(STABLE)
            earlier = _earlier_versions(change.history, stable)
            if stable is None or not earlier:
                raise TintypeError(
                    f"no earlier {STABLE} version of {self.model_name!r} to return to: {self._config_path} tells of no "
                    "promotion before; name one: tintype rollout promote VERSION"
                )
            for version in earlier:
                labels = {STABLE: version}
                if change.labels.get(CANARY) == stable:
                    labels[CANARY] = version
                try:
                    change.make(version, labels, Step(_now(), self.model_name, "rollback", stable, version))
                except _NotAvailable as error:
                    if version == earlier[-1]:
                        raise
                    self._tell(f"{error}; going on to the version before it")
                else:
                    return version
        raise AssertionError("the last version either was taken or raised")

    def _next_version(self, change: "_Change") -> int:
        version = change.labels.get(CANARY)
        if version is None:
            if not change.available:
                raise TintypeError(
                    f"no version of {self.model_name!r} is {AVAILABLE} on every server: nothing to promote"
                )
            version = max(change.available)
        elif version == change.labels.get(STABLE) and max(change.available, default=version) != version:
            newest = max(change.available)
            raise TintypeError(
                f"the {CANARY}, version {version}, is {STABLE} already; to promote the newest available one, version "
                f"{newest}, name it: tintype rollout promote {newest}"
            )
        rolled_back = [step for step in change.history if step.after == version or step.before == version]
        if rolled_back and rolled_back[-1].action == "rollback" and rolled_back[-1].before == version:
            raise TintypeError(
                f"version {version} was rolled back at {rolled_back[-1].at}; to promote it all the same name it: "
                f"tintype rollout promote {version}"
            )
        return version

    @contextmanager
    def _changing(self) -> Iterator["_Change"]:
        """Hold the lock of the config file, and give back what was there when the block fails."""
        if self._config_path is None:
            raise ValueError(
                "expected config_file, the servers' --model_config_file: without it a restart forgets labels"
            )
        path = self._config_path.resolve()  # a link stays one
        with _locked(path):
            file = _ConfigFile(path)
            model = self._model_in(file.config)
            statuses = [server.status([]) for server in self._servers]
            change = _Change(
                self._servers, file, model.name, statuses, self._history_in(file), self._load_timeout, self._tell
            )
            try:
                yield change
            except BaseException:
                change.undo()
                raise

    def _model_in(self, config: Any) -> Any:
        for model in config.model_config_list.config:
            if model.name == self.model_name:
                return model
        names = ", ".join(repr(model.name) for model in config.model_config_list.config)
        raise TintypeError(f"{self._config_path} lists no model {self.model_name!r}; it lists {names or 'none'}")

    def _history_in(self, file: "_ConfigFile") -> list[Step]:
        return [step for step in _steps(file.comments) if step.model == self.model_name]


class _NotAvailable(TintypeError):  # noqa: N818
    """A version is not to be had."""


class _ConfigFile:
    """The config file as it was read, and as it is to be."""

    def __init__(self, path: Path):
        self.path = path
        self.data = _read(path)
        text = self.data.decode("utf-8", "replace")
        self.config = wire.ModelServerConfig()
        try:
            text_format.Parse(text, self.config)
        except text_format.ParseError as error:
            raise TintypeError(f"{path} is no ModelServerConfig in text format: {error}") from error
        self.comments = [line.strip() for line in text.splitlines() if line.lstrip().startswith("#")]

    def write(self, config: Any, comments: list[str]) -> None:
        """Replace the file, unless somebody else did since it was read."""
        if _read(self.path) != self.data:
            raise TintypeError(f"somebody else changed {self.path} meanwhile; it was not written")
        data = "".join(f"{line}\n" for line in comments).encode() + text_format.MessageToString(config).encode()
        write_whole(self.path, data)
        self.data, self.config, self.comments = data, config, comments


class _Change:
    """One change of the labels of a model, in steps that can be taken back.

    Attributes:
        labels: of the model, as the config file has them.
        available: the versions AVAILABLE on every server.
        history: the steps of the model.
    """

    def __init__(
        self,
        servers: "list[_Server]",
        file: _ConfigFile,
        model_name: str,
        statuses: list[ServerStatus],
        history: list[Step],
        load_timeout: float,
        tell: Tell,
    ):
        self._servers = servers
        self._file = file
        self._name = model_name
        self._original = (file.data, file.config)
        self._sent = False
        self._load_timeout = load_timeout
        self._patience = max(load_timeout, _RELOADED_WITHIN)
        self._tell = tell
        self._served = set.union(*(status.available() for status in statuses))
        self.available = set.intersection(*(status.available() for status in statuses))
        self.labels = dict(_model(file.config, model_name).version_labels)
        self.history = history

    def make(self, version: int, moved: dict[str, int], step: Step | None) -> None:
        """Load `version`, move the labels, and write them down with the step."""
        policy = _model(self._original[1], self._name).model_version_policy
        kept = self._kept()
        for label in sorted(set(self.labels) - set(kept) - set(moved)):
            self._tell(
                f"the label {label!r} named version {self.labels[label]}, which is not available: it is taken away"
            )
        before, after = kept, kept | moved
        asked = set(policy.specific.versions) if policy.HasField("specific") else self._served
        wide = None if policy.HasField("all") else asked | set(before.values()) | {version}
        if wide is not None and (wide != asked or not policy.HasField("specific")):
            self._apply(before, wide, None)
        self._wait_for(version)
        self._apply(after, wide, step)
        if wide is not None:
            steps = [*self.history, *([step] if step else [])]
            brought = {number for each in steps for number in (each.before, each.after)} | set(self.labels.values())
            back = _earlier_versions(steps, after.get(STABLE))[:1]
            narrow = set(after.values()) | (set(back) & (wide | self.available)) | (asked - brought)
            if narrow != wide:
                try:
                    self._apply(after, narrow, None)
                except TintypeError as error:
                    # The labels have moved, everywhere: that is not to be taken back for a little memory.
                    self._tell(f"versions that are needed no more may still be loaded: {error}")

    def undo(self) -> None:
        """Give servers and file back what they had; what cannot be is told."""
        if not self._sent:
            return
        data, config = self._original
        try:
            if _read(self._file.path) == self._file.data:
                if self._file.data != data:
                    write_whole(self._file.path, data)
            else:
                config = _ConfigFile(self._file.path).config  # another's change is what holds now
        except TintypeError as error:
            self._tell(f"could not be undone in the file: {error}")
        if config is self._original[1]:  # of which a server would refuse labels that have lost their version
            config = _with_labels(config, self._name, self._kept())
        for server in self._servers:
            try:
                server.reload(config, self._patience)
            except TintypeError as error:
                self._tell(f"could not be undone on {server.server}: {error}")
        self._sent = False

    def _kept(self) -> dict[str, int]:
        """The labels as they were, as far as their versions can be asked."""
        return {label: version for label, version in self.labels.items() if version in self.available}

    def _apply(self, labels: dict[str, int], versions: set[int] | None, step: Step | None) -> None:
        config = _with_labels(self._file.config, self._name, labels)
        if versions is not None:
            model = _model(config, self._name)
            del model.model_version_policy.specific.versions[:]
            model.model_version_policy.specific.versions.extend(sorted(versions))
        self._sent = True
        for server in self._servers:
            server.reload(config, self._patience)
        comments = self._file.comments
        if step is not None:
            comments = _with_step(comments, step)
        if config != self._file.config or comments != self._file.comments:
            self._file.write(config, comments)

    def _wait_for(self, version: int) -> None:
        started = time.monotonic()
        told, told_at = None, started
        while True:
            passed = time.monotonic() - started
            states = [server.state_of(version) for server in self._servers]
            if all(state is not None and state.state == AVAILABLE for state in states):
                return
            for server, state in zip(self._servers, states, strict=True):
                if passed > min(_NOTICED_WITHIN, self._load_timeout) and (state is None or state.state == "END"):
                    known = ", ".join(str(each.version) for each in server.versions()) or "none"
                    raise _NotAvailable(
                        f"{server.server} has no version {version} of {self._name!r}: "
                        + (
                            state.error
                            if state and state.error
                            else f"it found none in {passed:.0f} s; it knows {known}"
                        )
                    )
            if passed > self._load_timeout:
                waiting = ", ".join(
                    f"{server.server}: {state.state if state else 'unknown'} {state.error if state else ''}".rstrip()
                    for server, state in zip(self._servers, states, strict=True)
                )
                raise _NotAvailable(
                    f"version {version} of {self._name!r} was not {AVAILABLE} within {passed:.0f} s: {waiting}"
                )
            now = f"version {version}: " + ", ".join(state.state if state else "not found yet" for state in states)
            if now != told or time.monotonic() - told_at > _TELLS_EVERY:
                self._tell(f"{now} ({passed:.0f} s)")
                told, told_at = now, time.monotonic()
            time.sleep(_LOOKS_EVERY)


class _Server(ClientCore):
    """A connection to one server, for questions about versions and for configs; nothing is tried twice."""

    def __init__(self, server: str, **settings: Any):
        super().__init__(server, **settings)
        self._stack = ExitStack()
        self._channel = self._stack.enter_context(self._new_channel(grpc))

    def close(self) -> None:
        self._stack.close()

    def status(self, labels: Iterable[str]) -> ServerStatus:
        versions = self.versions()
        found = {label: self._answering(label) for label in labels}
        return ServerStatus(
            self.server,
            versions,
            {label: version for label, version in found.items() if version is not None},
            self._answering(None),
        )

    def versions(self) -> list[VersionState]:
        request = wire.GetModelStatusRequest()
        self._fill(request.model_spec, None)
        response = self._ask(wire.GET_MODEL_STATUS, request, wire.GetModelStatusResponse.FromString, self.timeout)
        name_of = wire.ModelVersionStatus.DESCRIPTOR.fields_by_name["state"].enum_type.values_by_number
        states = [
            VersionState(each.version, name_of[each.state].name, each.status.error_message)
            for each in response.model_version_status
            if each.state in name_of
        ]
        return sorted(states, key=lambda state: -state.version)

    def state_of(self, version: int) -> VersionState | None:
        return next((state for state in self.versions() if state.version == version), None)

    def reload(self, config: Any, timeout: float) -> None:
        request = wire.ReloadConfigRequest(config=config)
        response = self._ask(wire.RELOAD_CONFIG, request, wire.ReloadConfigResponse.FromString, timeout)
        if response.status.error_code:
            raise ServerRefused(f"{self.server} refused the config: {response.status.error_message}")

    def _answering(self, label: str | None) -> int | None:
        request = wire.GetModelMetadataRequest(metadata_field=["signature_def"])
        self._fill(request.model_spec, label)
        try:
            response = self._ask(
                wire.GET_MODEL_METADATA, request, wire.GetModelMetadataResponse.FromString, self.timeout
            )
        except ServerRefused as refused:
            if refused.code in ("NOT_FOUND", "INVALID_ARGUMENT", "FAILED_PRECONDITION"):
                return None
            raise
        return response.model_spec.version.value

    def _ask(self, method: str, request: Any, parse: Callable[[bytes], Any], timeout: float) -> Any:
        call = self._channel.unary_unary(
            method, request_serializer=type(request).SerializeToString, response_deserializer=parse
        )
        try:
            return call(request, timeout=timeout, metadata=self._metadata, wait_for_ready=True)
        except grpc.RpcError as error:
            failure: Any = error
        code, words = failure.code(), failure.details() or "no reason given"
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            raise ServerUnavailable(f"{self.server} did not answer within {timeout:g} s{self._tls_advice}") from failure
        if code is grpc.StatusCode.UNAVAILABLE:
            raise ServerUnavailable(f"{self.server} was unavailable: {words}") from failure
        raise ServerRefused(f"{self._who()} refused with {code.name}: {words}", code.name) from failure


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock file beside `path`; it stays, because to remove it would let two in."""
    lock = path.with_name(f".{path.name}.lock")
    try:
        file = open(lock, "a")  # noqa: SIM115 - closed below
    except OSError as error:
        raise TintypeError(
            f"{path} cannot be changed: cannot write beside it in {path.parent}: {error.strerror or error}"
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise TintypeError(f"another rollout is at work on {path}; nothing was changed") from error
        yield


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TintypeError(f"cannot read {path}: {error.strerror or error}") from error


def _model(config: Any, name: str) -> Any:
    return next(model for model in config.model_config_list.config if model.name == name)


def _with_labels(config: Any, name: str, labels: dict[str, int]) -> Any:
    changed = wire.ModelServerConfig()
    changed.CopyFrom(config)
    _model(changed, name).version_labels.clear()
    _model(changed, name).version_labels.update(labels)
    return changed


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _steps(comments: Iterable[str]) -> Iterator[Step]:
    """The history among the comments; a line that somebody spoilt is passed over."""
    for line in comments:
        if found := _HISTORY.fullmatch(line):
            try:
                yield Step(**json.loads(found[1]))
            except (ValueError, TypeError):
                continue


def _with_step(comments: list[str], step: Step) -> list[str]:
    others = [line for line in comments if not _HISTORY.fullmatch(line)]
    history = [line for line in comments if _HISTORY.fullmatch(line)]
    return [*others, *[*history, step.line()][-_LONGEST_HISTORY:]]


def _earlier_versions(history: Iterable[Step], stable: int | None) -> list[int]:
    """The versions that were stable before `stable` and were not rolled back, the latest first."""
    good: list[int] = []
    for step in history:
        if step.before is not None and step.before not in good[-1:] and step.action == "promote":
            good.append(step.before)
        if step.action == "rollback":
            good = [version for version in good if version != step.before]
            while good and good[-1] != step.after:
                good.pop()
        if step.after not in good[-1:]:
            good.append(step.after)
    earlier = good[:-1] if good[-1:] == [stable] else good
    return [version for version in dict.fromkeys(reversed(earlier)) if version != stable]
