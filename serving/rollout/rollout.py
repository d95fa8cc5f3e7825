"""Rollouts: moves the labels `stable` and `canary` between the versions of a model, so that a restart keeps them.

TensorFlow Serving keeps labels in its ModelServerConfig, which it reads from `--model_config_file` at its start and
takes by HandleReloadConfigRequest while it runs. A rollout changes both, the server first.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import Self

from photo.errors import TintypeError
from photo.locks import locked
from serving.client.options import ConnectionOptions
from serving.client.server_address import may_be_several
from serving.rollout.change import CANARY, STABLE, Change, Tell, VersionNotAvailable
from serving.rollout.config_file import ConfigFile
from serving.rollout.history import Step, earlier_versions
from serving.rollout.server_status import AVAILABLE, ServerConnection, ServerStatus

# For `connection`: seconds that an operator waits for one answer.
DEFAULT_CONNECTION = ConnectionOptions(timeout=10.0)


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
        connection: which model, and how to ask; labels, retries and the like in it have no effect.
        config_file: the servers' --model_config_file; without it only `status` works.
        load_timeout: seconds a version may take to become AVAILABLE.
        tell: called with a line about what goes on.

    Raises:
        ValueError: for an argument that can never work.
        TintypeError: when a file of `connection.tls` cannot be used.
    """

    def __init__(
        self,
        servers: Sequence[str],
        connection: ConnectionOptions = DEFAULT_CONNECTION,
        *,
        config_file: str | PathLike[str] | None = None,
        load_timeout: float = 120.0,
        tell: Tell = lambda line: None,
    ):
        if not servers:
            raise ValueError("expected at least one server")
        for server in servers:
            if may_be_several(server):
                raise ValueError(
                    f"{server} may stand for several servers, and each must take the change: name every one"
                )
        if not load_timeout > 0:
            raise ValueError(f"expected a load_timeout of more than 0 seconds, received {load_timeout}")
        self.model_name = connection.model_name
        self._config_path = None if config_file is None else Path(config_file)
        self._load_timeout = load_timeout
        self._tell = tell
        self._servers = [ServerConnection(server, connection) for server in dict.fromkeys(servers)]

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
            labels |= set(ConfigFile(self._config_path).labels(self.model_name))
        return [server.status(sorted(labels)) for server in self._servers]

    def policy(self) -> str | None:
        """The version policy in the config file, in words; None without a file."""
        return None if self._config_path is None else ConfigFile(self._config_path).policy(self.model_name)

    def history(self) -> list[Step]:
        """The promotions and rollbacks of the model that the config file tells of, the oldest first."""
        return [] if self._config_path is None else ConfigFile(self._config_path).history(self.model_name)

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
            earlier = earlier_versions(change.history, stable)
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
                except VersionNotAvailable as error:
                    if version == earlier[-1]:
                        raise
                    self._tell(f"{error}; going on to the version before it")
                else:
                    return version
        raise AssertionError("the last version either was taken or raised")

    def _next_version(self, change: Change) -> int:
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
    def _changing(self) -> Iterator[Change]:
        """Hold the lock of the config file, and give back what was there when the block fails."""
        if self._config_path is None:
            raise ValueError(
                "expected config_file, the servers' --model_config_file: without it a restart forgets labels"
            )
        path = self._config_path.resolve()  # a link stays one
        with _locked(path):
            change = Change(self._servers, ConfigFile(path), self.model_name, self._load_timeout, self._tell)
            try:
                yield change
            except BaseException:
                change.undo()
                raise


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock file beside `path`."""
    lock = path.with_name(f".{path.name}.lock")
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(lock, busy=f"another rollout is at work on {path}; nothing was changed"))
        except OSError as error:
            raise TintypeError(
                f"{path} cannot be changed: cannot write beside it in {path.parent}: {error.strerror or error}"
            ) from error
        yield
