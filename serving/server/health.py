"""The health protocol of gRPC: whether the server answers, for load balancers and Kubernetes."""

import threading
from collections.abc import Callable
from typing import Any

import grpc
from grpc_health.v1.health import HealthServicer
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

_SERVICES = ("", "PredictionService", "ModelService")  # the names that TensorFlow Serving gives them

SendResponse = Callable[[HealthCheckResponse | None], None]


class Health(HealthServicer):  # type: ignore[misc]  # the library comes without types
    """grpc.health.v1 of the whole server and of both services, which are always the same; NOT_SERVING at first."""

    def __init__(self) -> None:
        super().__init__()
        self._telling = threading.Lock()
        self._is_serving: bool | None = None
        self._watchers: set[SendResponse] = set()
        self.tell(False)

    def tell(self, serving: bool) -> None:
        """Say whether requests are served; watchers hear of changes only."""
        with self._telling:
            if serving == self._is_serving:
                return
            self._is_serving = serving
            for service in _SERVICES:
                self.set(service, HealthCheckResponse.SERVING if serving else HealthCheckResponse.NOT_SERVING)

    def shut_down(self) -> None:
        """Say for good that nothing is served, and end the calls of watchers: a server waits for open calls."""
        with self._telling:
            self.enter_graceful_shutdown()
            watchers = list(self._watchers)
        for end in watchers:
            end(None)

    def Watch(  # noqa: N802 - the protocol's name
        self, request: HealthCheckRequest, context: grpc.ServicerContext, send_response_callback: SendResponse
    ) -> Any:
        """Send the status now and at every change, until the caller or `shut_down` ends the call."""
        with self._telling:
            self._watchers.add(send_response_callback)
        if not context.add_callback(lambda: self._forget(send_response_callback)):
            self._forget(send_response_callback)
        return super().Watch(request, context, send_response_callback)

    def _forget(self, watcher: SendResponse) -> None:
        with self._telling:
            self._watchers.discard(watcher)
