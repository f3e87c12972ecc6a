"""A tool-call loop: plain functions are the tools, and the model calls them until it can answer.

    python examples/tool_loop.py "How warm is it in Oslo?"

A function's name, docstring and annotations become the tool's schema; the arguments come
back read and checked as those annotations say. Text is shown as it comes, in every round.
Runs without a key: the model is a handler of tokenwire.server, in the same process, that
knows one trick. With OPENAI_API_KEY set, it is a real one.
"""

import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Annotated, Any

import msgspec
import trio

import tokenwire
from tokenwire import server

PLACES = {"Oslo": (59.9, 10.7), "Cairo": (30.0, 31.2)}


def locate(place: Annotated[str, msgspec.Meta(description="a city's name")]) -> tuple[float, float]:
    """Latitude and longitude of a place, in degrees."""
    return PLACES[place]


def temperature(latitude: float, longitude: float) -> float:
    """The temperature there, in degrees Celsius."""
    return round(30 - latitude / 3, 1)


TOOLS: dict[str, Callable[..., object]] = {"locate": locate, "temperature": temperature}


async def answer(client: tokenwire.AsyncClient, question: str) -> int:
    """Print the answer as it comes. Returns the number of rounds that it took."""
    messages: list[Any] = [{"role": "user", "content": question}]
    for turn in range(1, 9):  # a model may go round in circles
        async with client.chat.completions.stream(
            model="gpt-4.1-mini", messages=messages, tools=TOOLS.values()
        ) as stream:
            async for event in stream:
                if event.type == "content.delta":
                    print(event.delta, end="", flush=True)
            message = (await stream.get_final_completion()).choices[0].message
        if not message.tool_calls:
            print()
            return turn
        messages.append(message.to_dict())
        for call in message.tool_calls:
            assert call.type == "function"
            try:
                arguments = call.function.parsed_arguments
                print(f"[{call.function.name}({', '.join(map(repr, arguments.values()))})]")
                result = json.dumps(TOOLS[call.function.name](**arguments))
            except Exception as error:  # the model is told, and may try something else
                result = f"error: {error!r}"
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    raise RuntimeError("the model calls tools without end")


async def weather_model(request: server.Request) -> AsyncIterator[server.Token]:
    """What stands in for a model: it finds the place, then its temperature, then says so."""
    results = [message.text for message in request.messages if message.role == "tool"]
    place = request.prompt.rstrip("?").split()[-1]
    match results:
        case []:
            yield server.ToolCall("locate", json.dumps({"place": place}))
        case [*_, problem] if problem.startswith("error: "):
            yield f"I do not know {place}: "
            yield problem.removeprefix("error: ") + "."
        case [where]:
            latitude, longitude = json.loads(where)
            yield server.ToolCall("temperature", json.dumps({"latitude": latitude, "longitude": longitude}))
        case [_, degrees]:
            yield f"It is {degrees} "
            yield f"degrees in {place}."


async def main(questions: list[str]) -> None:
    async with trio.open_nursery() as nursery:
        key, url = os.environ.get("OPENAI_API_KEY"), None
        if key is None:
            serving = await nursery.start(partial(server.serve, weather_model, port=0))
            key, url = "none", serving.url
        async with tokenwire.AsyncClient(api_key=key, base_url=url) as client:
            for question in questions:
                print(f"[{await answer(client, question)} rounds]")
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main, sys.argv[1:])
