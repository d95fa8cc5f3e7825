"""Reads on for a moment where an upload was refused, so that a browser gets to see why."""

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# What of a refused upload is read before the connection is closed. Browsers read an answer only once they have sent
# all, or report a broken connection; nginx calls it lingering_close.
_LINGERING_SECONDS, _LINGERING_BYTES = 3.0, 64 * 2**20


class DrainRefusedUploads:
    """Reads on where a request was answered before its body was there, then closes the connection."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers()
        if "transfer-encoding" not in headers and headers.get("content-length", "0") == "0":
            await self._app(scope, receive, send)
            return
        has_ended = False

        async def note_end() -> Message:
            nonlocal has_ended
            message = await receive()
            has_ended = has_ended or not message.get("more_body", False)
            return message

        async def drain_before_last(message: Message) -> None:
            if message["type"] == "http.response.start" and not has_ended:
                MutableHeaders(scope=message)["Connection"] = "close"
            is_last = message["type"] == "http.response.body" and not message.get("more_body", False)
            # Who announces 100-continue sends nothing before it is asked to.
            if not is_last or has_ended or "expect" in headers:
                await send(message)
                return
            await send({**message, "more_body": True})
            left = _LINGERING_BYTES
            with anyio.move_on_after(_LINGERING_SECONDS):
                while not has_ended and left > 0:
                    left -= len((await note_end()).get("body", b""))
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self._app(scope, note_end, drain_before_last)
