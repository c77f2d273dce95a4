"""`GET /v1/events`: public events as server-sent events, and by WebSocket."""
