"""What a client may ask, read from JSON and checked. Knows the limits; knows no HTTP and no model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from seq2seq.errors import nearest, one_line
from seq2seq.serve.limits import Limits, Refusal

KEYS = ("text", "texts", "models", "beam", "alternatives", "attention", "probabilities")


class Wanted(NamedTuple):
    """How texts are translated and what is told of them. Tasks of one model that want the same share a batch."""

    beam: int | None  # None: the run's own
    alternatives: int  # hypotheses that are listed, the best first; 0: none
    attention: bool
    probabilities: bool


@dataclass(frozen=True)
class Asked:
    """A request: texts of one line each, the models' places in the server's list, and what is wanted."""

    texts: tuple[str, ...]
    models: tuple[int, ...]
    wanted: Wanted


def read(body: bytes, names: Sequence[str], limits: Limits) -> Asked:
    """Read the body of a request to models of these ``names``.

    Raises:
        Refusal: 400 for what is no such request, 413 for what is above a limit.
    """
    try:
        given = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "the body is not JSON in UTF-8") from error
    if not isinstance(given, dict):
        raise Refusal(400, 'the body must be an object, such as {"text": "…"}')
    for key in given:
        if key not in KEYS:
            raise Refusal(400, one_line(f"unknown key {key[:80]}{nearest(key[:80], list(KEYS))}"))
    beam = None if given.get("beam") is None else _integer(given, "beam", 1, limits.beam)
    alternatives = _integer(given, "alternatives", 0, limits.beam)
    switches = (_switch(given, name) for name in ("attention", "probabilities"))
    return Asked(_texts(given, limits), _models(given, names), Wanted(beam, alternatives, *switches))


def _texts(given: dict[str, Any], limits: Limits) -> tuple[str, ...]:
    if ("text" in given) == ("texts" in given):
        raise Refusal(400, 'give one of "text", a string, and "texts", a list of strings')
    texts = given["texts"] if "texts" in given else [given["text"]]
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts) or not texts:
        raise Refusal(400, '"text" is a string, "texts" a list of at least one string')
    if len(texts) > limits.texts:
        raise Refusal(413, f"{len(texts)} texts: at most {limits.texts} in a request")
    longest = max(map(len, texts))
    if longest > limits.characters:
        raise Refusal(413, f"a text of {longest:,} characters: at most {limits.characters:,}")
    if any("\ud800" <= sign <= "\udfff" for text in texts for sign in text):
        raise Refusal(400, "half a surrogate pair is no text")
    return tuple(" ".join(text.splitlines()) for text in texts)


def _models(given: dict[str, Any], names: Sequence[str]) -> tuple[int, ...]:
    models = given.get("models")
    if models is None:
        return tuple(range(len(names)))
    listed = isinstance(models, list) and models and all(isinstance(name, str) for name in models)
    if not listed or len(set(models)) < len(models):
        raise Refusal(400, '"models" is a list of names, each once')
    for name in models:
        if name not in names:
            raise Refusal(400, one_line(f"no model {name[:80]}: there are {', '.join(names)}"))
    return tuple(names.index(name) for name in models)


def _integer(given: dict[str, Any], key: str, low: int, high: int) -> int:
    value = given.get(key, low)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise Refusal(400, f'"{key}" is an integer from {low} to {high}')
    return value


def _switch(given: dict[str, Any], key: str) -> bool:
    value = given.get(key, False)
    if not isinstance(value, bool):
        raise Refusal(400, f'"{key}" is true or false')
    return value
