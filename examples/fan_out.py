"""Fan-out: a hundred prompts, ten at a time, in one nursery.

    OPENAI_API_KEY=... python examples/fan_out.py

The nursery owns every stream. If one fails for good, the rest are cancelled, each
connection is closed, and the error comes out here. The bound is the client's own: a
call waits for a connection, first come first served, and kept-alive connections are
used again, so there are never more than ten.
"""

import trio

import tokenwire

PROMPTS = [f"Say something about the number {number}." for number in range(100)]


async def main() -> None:
    answers: dict[str, str] = {}

    limits = tokenwire.Limits(max_connections=10, pool_timeout=None)
    async with tokenwire.AsyncClient(limits=limits) as client:

        async def ask(prompt: str) -> None:
            async with client.responses.stream(model="gpt-4.1-nano", input=prompt) as stream:
                answers[prompt] = (await stream.get_final_response()).output_text

        async with trio.open_nursery() as nursery:
            for prompt in PROMPTS:
                nursery.start_soon(ask, prompt)

    for prompt in PROMPTS:
        print(f"{prompt} {len(answers[prompt])} characters")


if __name__ == "__main__":
    trio.run(main)
