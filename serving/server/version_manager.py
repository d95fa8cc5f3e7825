"""Loads, lends and unloads the versions of a model, from what lies under its base path."""

import gc
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from serving.malloc_settings import give_memory_back
from serving.model.version_folders import SAVED_MODEL_FILE, versions_under
from serving.server.errors import words_of
from serving.server.version_policy import VersionPolicy, latest, next_action
from serving.server.version_status import ServableState, VersionStatus

log = logging.getLogger(__name__)

_UNKNOWN_ERROR = 2  # google.rpc.Code.UNKNOWN: an error that does not come from TensorFlow

ServableT = TypeVar("ServableT")


class VersionUnavailableError(LookupError):
    """No version is available, or not the one that was asked for."""


@dataclass(eq=False)
class _Version(Generic[ServableT]):
    number: int
    path: str
    aspired: bool = True
    state: ServableState = ServableState.START
    servable: ServableT | None = None
    in_flight: int = 0
    is_attempting: bool = False  # False while LOADING: between two attempts
    error_code: int = 0
    error_message: str = ""
    # Set when the version is no longer wanted: ends the waiting between two attempts to load it.
    unwanted: threading.Event = field(default_factory=threading.Event)

    def status(self) -> VersionStatus:
        return VersionStatus(self.number, self.state, self.error_code, self.error_message)


class VersionManager(Generic[ServableT]):
    """Keeps the versions under a base path served that its policy asks for, as TensorFlow Serving does.

    WHAT IS ASPIRED. Every poll looks for `<base path>/<integer>/saved_model.pb` (or `.pbtxt`), and the policy chooses
    from what is found: the greatest number (`latest()`, the default), the N greatest, all, or a set of numbers; a
    number asked for and not found is said in the log. All other versions are not aspired. Entries whose name is not
    purely decimal digits, whose number does not fit an int64, or that lack that file do not exist for the manager, so
    a model may be copied under another name and renamed into place. A base path that is not there or cannot be read
    says nothing: what was aspired stays so. The content of a version is read once; files changed under a number already
    loaded are not noticed, and neither is another base path that holds the same number. `reconfigure()` changes base
    path and policy and polls at once.

    IN WHICH ORDER IT ACTS (TensorFlow Serving's AvailabilityPreservingPolicy). One action at a time, unloading first,
    because it frees memory:
      1. A version that is not aspired is unloaded when any other version is available, or none is aspired; the lowest
         number goes first.
      2. Otherwise the greatest aspired version that was not tried yet is loaded.
    So with the policy `latest()` a new version is loaded and warmed up before the old one is retired, and memory
    holds both for that moment. One attempt to load runs at a time, in a thread of its own; polls, requests and
    unloading go on meanwhile.

    WHAT IS UNLOADED. An available version is not unloaded while it is aspired, nor while the one that is to follow it
    is not available: a broken version never replaces one that works. When the folder of the newest version vanishes
    and an older one is left, the older is loaded, and only then the vanished one unloaded: removing a folder rolls
    back. When all folders vanish, or the policy asks only for versions that are not there, nothing is aspired, and
    everything is unloaded. With `keep_last` that is taken for an accident: the last available version stays (what
    TensorFlow Serving calls `servable_versions_always_present`). `retire()` unloads everything.

    FAILED LOADS. A load that fails is tried again, `max_num_load_retries` times, `load_retry_interval` seconds apart;
    the version stays LOADING all that time, and other versions are loaded while it waits. The waiting ends early when
    the version is no longer aspired, because a newer one came or its folder vanished. After the last attempt the
    version is END with the error, for good: it is tried anew only when it is not aspired at one poll and aspired at a
    later one, because its folder vanished and came back or the policy changed, or when the base path changed. What
    was available stays so. With `latest()` an older version is not loaded in place of a broken one, on a fresh start
    as little as later: aspired is the newest.

    REQUESTS. `serve()` lends an available version for the time of one request; without a number the greatest available
    one. A version that is to be unloaded is UNLOADING at once: no new request gets it, the running ones finish, and
    only when the last has given it back is the servable dropped and the version END. No lock is held while it is lent.

    STATES go START -> LOADING -> AVAILABLE -> UNLOADING -> END, or LOADING -> END with an error. The status of a
    version outlives the version, so that one can ask what became of it. Every change is logged.

    Args:
        model_name: only for the log.
        base_path: the folder of the versions, or its address on a file system that TensorFlow knows.
        load: makes the servable from a version's folder, warm-up included; any exception is a failed load.
        policy: chooses the aspired versions among those found.
        poll_wait_seconds: time between two polls; 0 polls once, at the start.
        max_num_load_retries: attempts after the first.
        load_retry_interval: seconds between two attempts.
        keep_last: never unload the last available version but by `retire()`.
        on_change: called at every change of a state, from the thread that makes it and with the manager's lock held:
            it must return at once and must not call the manager.
    """

    def __init__(
        self,
        model_name: str,
        base_path: str,
        load: Callable[[str], ServableT],
        *,
        policy: VersionPolicy | None = None,
        poll_wait_seconds: float = 1.0,
        max_num_load_retries: int = 5,
        load_retry_interval: float = 60.0,
        keep_last: bool = False,
        on_change: Callable[[], None] = lambda: None,
    ):
        self._model_name = model_name
        self._base_path = base_path
        self._policy = policy or latest()
        self._load_servable = load
        self._poll_wait_seconds = poll_wait_seconds
        self._max_num_load_retries = max_num_load_retries
        self._load_retry_interval = load_retry_interval
        self._keep_last = keep_last
        self._on_change = on_change
        self._polling = threading.Lock()  # taken before `_changed`; guards the base path and the policy
        self._changed = threading.Condition()  # guards everything below; notified at every change of state
        self._versions: dict[int, _Version[ServableT]] = {}
        self._stopping = False
        self._retired = False
        self._must_act = False
        self._last_poll_complaint: str | None = None
        self._loaders: set[threading.Thread] = set()
        self._thread = threading.Thread(target=self._run, name=f"versions-of-{model_name}", daemon=True)

    def start(self) -> None:
        """Poll for the first time, then go on polling and begin to act, in a thread of its own."""
        self._poll()
        self._thread.start()

    def reconfigure(self, base_path: str, policy: VersionPolicy) -> None:
        """Take another base path and another policy, and poll; both may be what they were."""
        with self._polling:
            self._base_path = base_path
            self._policy = policy
        self._poll()
        with self._changed:
            self._wake()

    def retire(self) -> None:
        """Unload every version, the last available one too, each after its last request; then poll and act no more."""
        with self._polling, self._changed:
            self._retired = True
            self._aspire({})
            self._wake()

    def stop(self, timeout: float = 10.0) -> bool:
        """Stop polling, give up a load that is waiting to be tried again, drop every servable.

        Args:
            timeout: seconds to wait for a load that is running; it cannot be interrupted.

        Returns:
            Whether all threads of the manager ended in that time.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            self._stopping = True
            for version in self._versions.values():
                version.unwanted.set()
            self._changed.notify_all()
            threads = [thread for thread in (self._thread, *self._loaders) if thread.is_alive()]
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        with self._changed:
            for version in self._versions.values():
                if version.state in (ServableState.START, ServableState.AVAILABLE, ServableState.UNLOADING):
                    version.servable = None
                    self._enter(version, ServableState.END)
        return not any(thread.is_alive() for thread in threads)

    @contextmanager
    def serve(self, number: int | None = None) -> Iterator[tuple[int, ServableT]]:
        """Lend the available version `number`, or the greatest available one, for the time of one request.

        Yields:
            The version's number and its servable; the servable must not be kept.

        Raises:
            VersionUnavailableError: that version is not available, or none is.
        """
        with self._changed:
            version = self._available(number)
            version.in_flight += 1
            servable = version.servable
        assert servable is not None
        try:
            yield version.number, servable
        finally:
            with self._changed:
                version.in_flight -= 1
                if version.in_flight == 0 and version.state is ServableState.UNLOADING:
                    self._wake()

    def statuses(self) -> list[VersionStatus]:
        """Every version ever seen, in the order of their numbers."""
        with self._changed:
            return [self._versions[number].status() for number in sorted(self._versions)]

    def wait_for(self, condition: Callable[[list[VersionStatus]], bool], timeout: float) -> bool:
        """Wait until `condition` holds for the statuses; returns whether it did within `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: condition(self.statuses()), timeout)

    def _available(self, number: int | None) -> _Version[ServableT]:
        if number is None:
            available = [version for version in self._versions.values() if version.state is ServableState.AVAILABLE]
            if not available:
                raise VersionUnavailableError
            return max(available, key=lambda version: version.number)
        found = self._versions.get(number)
        if found is None or found.state is not ServableState.AVAILABLE:
            raise VersionUnavailableError
        return found

    def _run(self) -> None:
        wait = self._poll_wait_seconds if self._poll_wait_seconds > 0 else None
        next_poll = time.monotonic() + (wait or 0.0)
        while True:
            if wait is not None and time.monotonic() >= next_poll:
                self._poll()
                next_poll = time.monotonic() + wait
            self._act()
            with self._changed:
                if self._retired and all(version.state is ServableState.END for version in self._versions.values()):
                    return
                self._changed.wait_for(
                    lambda: self._must_act or self._stopping,
                    None if wait is None else max(0.0, next_poll - time.monotonic()),
                )
                if self._stopping:
                    return
                self._must_act = False

    def _poll(self) -> None:
        with self._polling:
            if self._retired:
                return
            try:
                found = versions_under(self._base_path)
            except Exception as error:  # of a file system of TensorFlow's it is none of Python's
                self._complain(f"cannot read the base path {self._base_path} of {self._model_name}: {words_of(error)}")
                return
            wanted = self._policy(found)
            if not found:
                self._complain(
                    f"no versions of {self._model_name} found under base path {self._base_path}; "
                    f"waiting for a folder named by a number with a {SAVED_MODEL_FILE} in it"
                )
            elif missing := sorted(wanted - set(found)):
                self._complain(
                    f"the version policy of {self._model_name} asks for {', '.join(map(str, missing))}, "
                    f"not found under base path {self._base_path}"
                )
            else:
                self._complain(None)
            with self._changed:
                self._aspire({number: found[number] for number in wanted if number in found})

    def _complain(self, complaint: str | None) -> None:
        # Once each time it begins, not at every poll.
        if complaint is not None and complaint != self._last_poll_complaint:
            log.warning("%s", complaint)
        self._last_poll_complaint = complaint

    def _aspire(self, paths: dict[int, str]) -> None:
        for version in self._versions.values():
            if version.aspired and version.number not in paths:
                version.aspired = False
                version.unwanted.set()
                self._changed.notify_all()
                if version.state is ServableState.START:
                    self._enter(version, ServableState.END)
        for number, path in paths.items():
            known = self._versions.get(number)
            if known is None or (known.state is ServableState.END and (not known.aspired or known.path != path)):
                self._versions[number] = _Version(number, path)
                self._enter(self._versions[number], ServableState.START)
            elif known.state is ServableState.AVAILABLE:
                known.aspired = True
            # A version still loading though unwanted, or unloading, is looked at again when it got to its end.

    def _act(self) -> None:
        while True:
            with self._changed:
                if self._stopping:
                    return
                action = next_action(self._versions.values(), keep_last=self._keep_last and not self._retired)
                if action is not None:
                    kind, version = action
                    if kind == "unload":
                        self._enter(version, ServableState.UNLOADING)
                    else:
                        self._enter(version, ServableState.LOADING)
                        version.is_attempting = True
                        loader = threading.Thread(
                            target=self._load, args=[version], name=f"load-version-{version.number}", daemon=True
                        )
                        self._loaders.add(loader)
                        loader.start()
                drained = [
                    version
                    for version in self._versions.values()
                    if version.state is ServableState.UNLOADING and version.in_flight == 0
                ]
            if drained:
                for version in drained:
                    version.servable = None
                gc.collect()  # a loaded SavedModel is full of reference cycles; its memory is wanted now
                give_memory_back()
                with self._changed:
                    for version in drained:
                        self._enter(version, ServableState.END)
            if action is None:
                return

    def _load(self, version: _Version[ServableT]) -> None:
        servable = None
        for attempt in range(1 + self._max_num_load_retries):
            try:
                servable = self._load_servable(version.path)
                break
            except Exception as error:
                with self._changed:
                    version.error_code = getattr(error, "error_code", None) or _UNKNOWN_ERROR
                    version.error_message = words_of(error)
            retries_left = self._max_num_load_retries - attempt
            log.error(
                "%s version %d: load failed (%s): %s",
                self._model_name,
                version.number,
                f"next attempt in {self._load_retry_interval:g} s, {retries_left} left" if retries_left else "gave up",
                version.error_message,
            )
            if not retries_left or not self._may_try_again(version):
                break
        with self._changed:
            version.is_attempting = False
            self._loaders.discard(threading.current_thread())
            if servable is not None:
                version.error_code, version.error_message = 0, ""
            if servable is not None and not self._stopping:
                version.servable = servable
                self._enter(version, ServableState.AVAILABLE)
            else:
                self._enter(version, ServableState.END)
            self._wake()

    def _may_try_again(self, version: _Version[ServableT]) -> bool:
        """Wait for the next attempt's time and for its turn; returns whether the version is still wanted."""
        with self._changed:
            version.is_attempting = False
            self._wake()
        version.unwanted.wait(self._load_retry_interval)
        with self._changed:
            self._changed.wait_for(
                lambda: version.unwanted.is_set() or not any(v.is_attempting for v in self._versions.values())
            )
            version.is_attempting = not version.unwanted.is_set()
            return version.is_attempting

    def _enter(self, version: _Version[ServableT], state: ServableState) -> None:
        version.state = state
        log.info("%s version %d: %s", self._model_name, version.number, state.name)
        self._changed.notify_all()
        self._on_change()

    def _wake(self) -> None:
        self._must_act = True
        self._changed.notify_all()
