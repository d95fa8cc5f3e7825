"""How a client reaches a server: its address, the channel to it and the headers of every request."""

import ipaddress
import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Union

import grpc
import grpc.aio

from serving.client.options import ConnectionOptions

if TYPE_CHECKING:
    from serving.client.in_process import ModelAddress
    from serving.model.onnx_model import OnnxModel

DEFAULT_SERVER = "localhost:8500"

_HOST = r"(\[[0-9a-fA-F:.%]+\]|[^\s:/,]+):\d{1,5}"
_SCHEME = re.compile(r"(dns:(//[^/]*/)?|ipv[46]:)")
_SERVER = re.compile(rf"unix:.+|(dns:(//[^/\s]*)?/)?{_HOST}|ipv[46]:{_HOST}(,{_HOST})*")

# Addresses that stand for several servers: every request goes to the next one that is up.
_BALANCED = ("dns:", "ipv4:", "ipv6:")
_ROUND_ROBIN = json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})

# Milliseconds between two attempts to connect. By gRPC's own figures a server that was away for long would be found
# two minutes after its return.
_RECONNECTING = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 2000)]


def may_be_several(server: str) -> bool:
    """Return whether an address may stand for several servers."""
    return server.startswith(_BALANCED)


class ServerAddress:
    """The address of a server, and all that is needed to open a channel to it.

    Attributes:
        server: the address as it was given.
        where: its models are, in words.
        headers: of every request.
        tls_advice: to add to "did not answer", as gRPC keeps to itself why an encrypted connection does not come about.

    Raises:
        ValueError: for an address that can never work.
        TintypeError: when a file of `options.tls` cannot be used.
    """

    def __init__(self, server: str, options: ConnectionOptions):
        if not _SERVER.fullmatch(server):
            raise ValueError(f"expected the server as HOST:PORT, such as {DEFAULT_SERVER}, received {server!r}")
        if options.token and options.tls is None and not _is_this_machine(server):
            raise ValueError(
                f"the token would cross the network to {server} for everybody to read; give tls, or, where something "
                "else encrypts the way, metadata={'authorization': 'Bearer ...'}"
            )
        self.server = server
        self.where = f"at {server}"
        self.headers: Sequence[tuple[str, str]] = tuple(options.headers().items())
        self.tls_advice = ""
        if options.tls:
            self.tls_advice = " (over TLS: does it speak that, and is its authority the one of ca_cert?)"
        self._credentials = options.tls.credentials() if options.tls else None
        self._compression = grpc.Compression.Gzip if options.compression else None
        self._arguments: list[tuple[str, str | int]] = [
            ("grpc.max_send_message_length", min(options.max_message_bytes, 2**31 - 1)),
            ("grpc.max_receive_message_length", min(options.max_message_bytes, 2**31 - 1)),
            *_RECONNECTING,
            *(options.keepalive.channel_options() if options.keepalive else []),
            *(options.tls.channel_options() if options.tls else []),
            *([("grpc.service_config", _ROUND_ROBIN)] if may_be_several(server) else []),
            # A proxy that http_proxy names is asked for other machines only; it knows another "localhost" than ours.
            *([("grpc.enable_http_proxy", 0)] if _is_this_machine(server) else []),
        ]

    def channel(self) -> grpc.Channel:
        """Return a new channel, on which nothing has been sent yet."""
        if self._credentials is None:
            return grpc.insecure_channel(self.server, self._arguments, self._compression)
        return grpc.secure_channel(self.server, self._credentials, self._arguments, self._compression)

    def asynchronous_channel(self) -> grpc.aio.Channel:
        """Return a new channel for the running event loop."""
        if self._credentials is None:
            return grpc.aio.insecure_channel(self.server, self._arguments, self._compression)
        return grpc.aio.secure_channel(self.server, self._credentials, self._arguments, self._compression)


Address = Union[ServerAddress, "ModelAddress"]


def address_of(server: "str | OnnxModel", options: ConnectionOptions) -> Address:
    """Return the address of a server, or that of a model in this process; raises as `ServerAddress`."""
    if isinstance(server, str):
        return ServerAddress(server, options)
    from serving.client.in_process import ModelAddress

    return ModelAddress(server)


def _is_this_machine(server: str) -> bool:
    """Return whether an address, each of those that it lists, is of the loopback interface or a socket's."""
    if server.startswith("unix:"):
        return True
    hosts = (host.rpartition(":")[0].strip("[]") for host in _SCHEME.sub("", server).split(","))
    return all(host == "localhost" or _is_loopback(host) for host in hosts)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
