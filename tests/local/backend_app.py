"""A backend for the tests: tells who it is, and can be slow or end."""

import asyncio
import json
import os

READY_AFTER_S = float(os.environ.get("READY_AFTER_S", "0"))


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    path, status = scope["path"], 200
    if path == "/exit":
        os._exit(7)
    if path == "/slow":
        print("asked for /slow", flush=True)
        await asyncio.sleep(1.0)
    if path == "/health" and os.environ.get("ILL"):
        status = 503
    body = json.dumps({"pid": os.getpid(), "env": dict(os.environ)}).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _lifespan(receive, send):
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await asyncio.sleep(READY_AFTER_S)
            await send({"type": "lifespan.startup.complete"})
        else:
            await send({"type": "lifespan.shutdown.complete"})
            return
