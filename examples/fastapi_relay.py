"""A FastAPI endpoint that streams on: tokens go to the browser as they come.

    pip install fastapi uvicorn
    OPENAI_API_KEY=... python examples/fastapi_relay.py
    curl --no-buffer http://127.0.0.1:8000/poem?about=moon

The stream is a dependency: FastAPI opens it before the endpoint runs and closes it after
the last byte has left, or as soon as the client has gone. Then the upstream connection
is closed as well, and the model stops. What goes wrong before the first token still has a
status of its own. Backpressure needs no code: a browser that does not read holds the
upstream too, with bounded memory.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI, HTTPException
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


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ.get("PORT", "8000")))
