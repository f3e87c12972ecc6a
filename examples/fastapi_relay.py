"""FastAPI endpoints that stream on: tokens to a browser, and the API's own events to its clients.

    pip install fastapi uvicorn
    OPENAI_API_KEY=... python examples/fastapi_relay.py
    curl --no-buffer http://127.0.0.1:8000/poem?about=moon
    OPENAI_API_KEY=any tokenwire chat --base-url http://127.0.0.1:8000/v1 --model gpt-4.1-mini "About the moon."

The stream is a dependency: FastAPI opens it before the endpoint runs and closes it after
the last byte has left, or as soon as the client has gone. Then the upstream connection
is closed as well, and the model stops. What goes wrong before the first token still has a
status of its own; what goes wrong later is an error event where events are relayed, so
that no cut answer looks whole. Backpressure needs no code: a browser that does not read
holds the upstream too, with bounded memory.
"""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import uvicorn
from fastapi import Body, Depends, FastAPI, HTTPException
from fastapi.responses import StreamingResponse

import tokenwire


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with tokenwire.AsyncClient() as app.state.client:
        yield


app = FastAPI(lifespan=lifespan)


async def poem(about: str) -> AsyncIterator[tokenwire.AsyncStream[Any]]:
    try:
        stream = await app.state.client.chat.completions.create(
            model="gpt-4.1-mini",
            messages=[{"role": "user", "content": f"Write a poem about the {about}."}],
            stream=True,
        )
    except tokenwire.APIStatusError as error:
        raise HTTPException(502, f"the model's server says {error.status_code}: {error.message}") from error
    async with stream:
        yield stream


@app.get("/poem")
async def get_poem(stream: Annotated[tokenwire.AsyncStream[Any], Depends(poem)]) -> StreamingResponse:
    return StreamingResponse(stream.text(), media_type="text/plain; charset=utf-8")


async def gateway(question: Annotated[dict[str, Any], Body()]) -> AsyncIterator[tokenwire.AsyncStream[Any]]:
    try:
        stream = await app.state.client.chat.completions.create(**{**question, "stream": True})
    except tokenwire.APIStatusError as error:
        raise HTTPException(error.status_code, error.body) from error
    except tokenwire.APIError as error:  # no connection, too slow
        raise HTTPException(502, error.message) from error
    async with stream:
        yield stream


async def events_of(stream: tokenwire.AsyncStream[Any]) -> AsyncIterator[bytes]:
    try:
        async for event in stream.raw():
            yield event.encode()
    except tokenwire.APIError as error:
        yield f"data: {json.dumps({'error': {'message': error.message}})}\n\n".encode()


@app.post("/v1/chat/completions")
async def relay(stream: Annotated[tokenwire.AsyncStream[Any], Depends(gateway)]) -> StreamingResponse:
    return StreamingResponse(events_of(stream), media_type="text/event-stream")


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ.get("PORT", "8000")))
