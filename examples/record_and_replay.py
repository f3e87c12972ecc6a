"""Record a stream once, replay it in tests for ever: no network, no waiting, no key.

    OPENAI_API_KEY=... python examples/record_and_replay.py moon.sse
    RECORDING=moon.sse pytest examples/record_and_replay.py

`count_words` stands for code of yours that reads a stream. The recording is the answer's
body, server-sent events in a text file: put it beside your tests. The peer in memory
takes the place of the network; besides what was recorded, it plays what a real server
does only on bad days.
"""

import os
import sys
from pathlib import Path

import pytest

import tokenwire
from tokenwire.testing import EOF, MemoryBackend, answered, requests, streamed

MODEL, PROMPT = "gpt-4.1-mini", "Write a poem about the moon."


def count_words(client: tokenwire.Client) -> int:
    """The code under test. A poem that was cut is told by an exception, and not counted."""
    stream = client.responses.create(model=MODEL, input=PROMPT, stream=True)
    return len("".join(stream.text()).split())


def record(path: Path) -> None:
    with tokenwire.Client() as client:
        stream = client.responses.create(model=MODEL, input=PROMPT, stream=True)
        with stream, path.open("wb") as file:  # now: a request that is refused costs no recording
            for event in stream.raw():
                file.write(event.encode())


# -- The tests -----------------------------------------------------------------


def client_of(peer: MemoryBackend) -> tokenwire.Client:
    return tokenwire.Client(api_key="none", base_url="http://test/v1", backend=peer)


@pytest.fixture
def recording() -> bytes:
    return Path(os.environ["RECORDING"]).read_bytes()


def test_words_are_counted(recording: bytes) -> None:
    peer = MemoryBackend([streamed(recording)])
    assert count_words(client_of(peer)) > 10
    (request,) = requests(peer)
    assert request.target == "/v1/responses"
    assert request.json()["input"] == PROMPT


def test_a_busy_server_is_asked_again(recording: bytes) -> None:
    busy = answered({"error": {"message": "slow down"}}, status=429, headers={"retry-after": "20"})
    peer = MemoryBackend([busy, streamed(recording)])
    assert count_words(client_of(peer)) > 10
    assert peer.slept == [20]  # by the peer's clock: the test did not wait


def test_a_poem_that_was_cut_is_not_counted(recording: bytes) -> None:
    half = recording[: recording.index(b"\n\n", len(recording) // 2) + 2]
    peer = MemoryBackend([streamed([half, EOF])])
    with pytest.raises(tokenwire.StreamTruncatedError):
        count_words(client_of(peer))


if __name__ == "__main__":
    record(Path(sys.argv[1]))
