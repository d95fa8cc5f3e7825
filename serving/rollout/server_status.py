"""What one server knows of a model's versions, and how it is asked and told."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import Message

from photo.errors import ServerRefused, ServerUnavailable
from serving.client import wire
from serving.client.model_requests import fill_model_spec
from serving.client.options import ConnectionOptions
from serving.client.server_address import ServerAddress

AVAILABLE = "AVAILABLE"


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


class ServerConnection:
    """A connection to one server, for questions about versions and for configs; nothing is tried twice."""

    def __init__(self, server: str, options: ConnectionOptions):
        self.server = server
        self._options = options
        self._address = ServerAddress(server, options)
        self._stack = ExitStack()
        self._channel = self._stack.enter_context(self._address.channel())

    def close(self) -> None:
        """Close it."""
        self._stack.close()

    def status(self, labels: Iterable[str]) -> ServerStatus:
        """Ask for the versions, and for the ones that answer to the labels and without one."""
        versions = self.versions()
        found = {label: self._answering(label) for label in labels}
        return ServerStatus(
            self.server,
            versions,
            {label: version for label, version in found.items() if version is not None},
            self._answering(None),
        )

    def versions(self) -> list[VersionState]:
        """Ask for the states of all versions, the newest first."""
        request = wire.GetModelStatusRequest()
        fill_model_spec(request.model_spec, self._options, None)
        response = self._ask(wire.GET_MODEL_STATUS, request, wire.GetModelStatusResponse.FromString)
        name_of = wire.ModelVersionStatus.DESCRIPTOR.fields_by_name["state"].enum_type.values_by_number
        states = [
            VersionState(each.version, name_of[each.state].name, each.status.error_message)
            for each in response.model_version_status
            if each.state in name_of
        ]
        return sorted(states, key=lambda state: -state.version)

    def state_of(self, version: int) -> VersionState | None:
        """Ask for the state of one version; None where the server knows none of this number."""
        return next((state for state in self.versions() if state.version == version), None)

    def reload(self, config: Message, timeout: float) -> None:
        """Give the server another ModelServerConfig."""
        request = wire.ReloadConfigRequest(config=config)
        response = self._ask(wire.RELOAD_CONFIG, request, wire.ReloadConfigResponse.FromString, timeout)
        if response.status.error_code:
            raise ServerRefused(f"{self.server} refused the config: {response.status.error_message}")

    def _answering(self, label: str | None) -> int | None:
        request = wire.GetModelMetadataRequest(metadata_field=["signature_def"])
        fill_model_spec(request.model_spec, self._options, label)
        try:
            response = self._ask(wire.GET_MODEL_METADATA, request, wire.GetModelMetadataResponse.FromString)
        except ServerRefused as refused:
            if refused.code in ("NOT_FOUND", "INVALID_ARGUMENT", "FAILED_PRECONDITION"):
                return None
            raise
        version: int = response.model_spec.version.value
        return version

    def _ask(
        self, method: str, request: Message, parse: Callable[[bytes], Message], timeout: float | None = None
    ) -> Any:
        timeout = self._options.timeout if timeout is None else timeout
        call = self._channel.unary_unary(
            method, request_serializer=type(request).SerializeToString, response_deserializer=parse
        )
        try:
            return call(request, timeout=timeout, metadata=self._address.headers, wait_for_ready=True)
        except grpc.RpcError as error:
            failure: Any = error
        code, words = failure.code(), failure.details() or "no reason given"
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            advice = self._address.tls_advice
            raise ServerUnavailable(f"{self.server} did not answer within {timeout:g} s{advice}") from failure
        if code is grpc.StatusCode.UNAVAILABLE:
            raise ServerUnavailable(f"{self.server} was unavailable: {words}") from failure
        who = f"model {self._options.model_name!r} at {self.server}"
        raise ServerRefused(f"{who} refused with {code.name}: {words}", code.name) from failure
