"""What the gateway takes of uvicorn that its documentation does not promise."""

import inspect

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol


def test_a_server_can_be_given_connections_that_others_accepted():
    server = uvicorn.Server(uvicorn.Config(lambda scope: None, lifespan="off"))
    server.config.load()
    lifespan = server.config.lifespan_class(server.config)
    protocol = server.config.http_protocol_class(
        config=server.config, server_state=server.server_state, app_state=lifespan.state
    )
    assert callable(protocol.data_received)
    assert {"config", "server_state", "app_state"} <= set(inspect.signature(H11Protocol).parameters)
    assert all(inspect.iscoroutinefunction(method) for method in (server.startup, server.shutdown))
