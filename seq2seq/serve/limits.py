"""What a server takes at most, and how long it waits. Knows numbers and refusals; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass

MODELS = 3
"""Most models side by side."""
LONGEST_INPUT = 256
"""Most tokens of a text where ``decode.max_input`` is not given: attention takes memory by the square of the length."""
CONNECTIONS = 512
"""Most open connections; more are answered 503."""


@dataclass(frozen=True)
class Limits:
    """Upper bounds of requests and of waiting. Seconds are wall time."""

    texts: int = 64  # of a request
    characters: int = 2_000  # of a text
    tokens: int = 4_000  # of all texts of a request, by each model
    weights: int = 1 << 20  # between the source tokens of a request, in all maps; of more their mean is told, or none
    body: int = 256 * 1024  # bytes of a request
    beam: int = 16  # hypotheses of the search
    queue: int = 128  # tasks that wait: of a request, one for each of its models
    sending: float = 10.0  # a client may take to send a request
    reading: float = 20.0  # and to take ``slowest`` bytes more of the answer, or its rest
    slowest: int = 1 << 18
    answering: float = 60.0  # a request may wait for its answer
    ending: int = 20  # requests have to be finished when the server is asked to stop


class Refusal(Exception):
    """A request that is not answered: the status and a line that says why."""

    def __init__(self, status: int, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status, self.retry_after = status, retry_after
