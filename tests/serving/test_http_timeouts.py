"""What the timeouts of HTTP need of uvicorn; that they work, the tests of the servers show."""

import asyncio

import h11
import uvicorn
from uvicorn.server import ServerState

from serving.http_timeouts import HttpProtocolWithTimeouts, http_protocol_with_timeouts


class ClosedTransport(asyncio.Transport):
    def is_closing(self) -> bool:
        return True

    def close(self) -> None:
        pass


def test_uvicorns_protocol_has_the_attributes_that_the_timeouts_use():
    async def check() -> None:
        config = uvicorn.Config(lambda scope: None, http=http_protocol_with_timeouts(5), lifespan="off")
        config.load()
        protocol = config.http_protocol_class(config, ServerState(), {})
        assert isinstance(protocol, HttpProtocolWithTimeouts)
        assert protocol.patience == 5
        assert protocol.loop is asyncio.get_running_loop()
        transport = ClosedTransport()
        protocol.connection_made(transport)
        assert protocol.transport is transport
        assert protocol.conn.their_state is h11.IDLE
        protocol.connection_lost(None)

    asyncio.run(check())
