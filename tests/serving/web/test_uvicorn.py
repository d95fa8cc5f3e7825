"""What the gateway takes of uvicorn that its documentation does not promise."""

import asyncio
import inspect

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol


def test_a_server_can_be_given_connections_that_others_accepted():
    async def protocol() -> asyncio.Protocol:
        server = uvicorn.Server(uvicorn.Config(lambda scope: None, lifespan="off"))
        server.config.load()
        lifespan = server.config.lifespan_class(server.config)
        return server.config.http_protocol_class(
            config=server.config, server_state=server.server_state, app_state=lifespan.state
        )

    assert isinstance(asyncio.run(protocol()), asyncio.Protocol)
    assert {"config", "server_state", "app_state"} <= set(inspect.signature(H11Protocol).parameters)
    assert all(inspect.iscoroutinefunction(method) for method in (uvicorn.Server.startup, uvicorn.Server.shutdown))
