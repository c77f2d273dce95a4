"""Where the gateway is asked for public events."""

from typing import Final, cast

from fastapi import FastAPI, Request, Response, WebSocket

from libs.kit.errors import ServiceError
from services.gateway.admin import render_service_error
from services.gateway.door import Door
from services.gateway.settings import Settings
from services.gateway.subscriptions.feed import Feed
from services.gateway.subscriptions.socket import Sockets
from services.gateway.subscriptions.sse import sse_handler

PATH: Final = "/v1/events"


def add_routes(app: FastAPI, feed: Feed, door: Door, settings: Settings) -> None:
    """Both ways to listen, at one path."""
    beat_s, stall_s = settings.event_beat_s, settings.client_stall_s
    handler = sse_handler(feed, door, beat_s=beat_s, stall_s=stall_s)
    app.add_api_route(PATH, handler, methods=["GET"], response_model=None)
    app.add_api_websocket_route(PATH, Sockets(feed, door, _render, beat_s=beat_s, stall_s=stall_s).serve)


def _render(socket: WebSocket, error: ServiceError) -> Response:
    # Only headers are read of it, and both have them.
    return render_service_error(cast("Request", socket), error)
