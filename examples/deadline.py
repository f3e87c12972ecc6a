"""A trio app with a deadline: what has come when time is up is the answer.

    OPENAI_API_KEY=... python examples/deadline.py 2.5 "Write a poem about the moon."

The deadline is trio's own. It reaches into whatever await the stream is in; leaving the
`async with` closes the connection at once, so nobody goes on paying for tokens. The
snapshot holds what the events so far add up to.
"""

import sys

import trio

import tokenwire


async def answer_within(seconds: float, prompt: str) -> tuple[str, bool]:
    """The answer's text as far as it came in time, and whether that is all of it."""
    async with tokenwire.AsyncClient() as client:
        text = ""
        with trio.move_on_after(seconds) as deadline:
            stream = await client.chat.completions.create(
                model="gpt-4.1-mini", messages=[{"role": "user", "content": prompt}], stream=True
            )
            async with stream:
                async for piece in stream.text():
                    text += piece
        return text, not deadline.cancelled_caught


async def main() -> None:
    seconds, prompt = float(sys.argv[1]), sys.argv[2]
    text, whole = await answer_within(seconds, prompt)
    print(text)
    print(f"[{'whole' if whole else 'cut by the deadline'}]")


if __name__ == "__main__":
    trio.run(main)
