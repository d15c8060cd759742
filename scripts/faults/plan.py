"""The trainings and evaluations behind each fault, and the rows that are made of them. Knows no result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass

from scripts.faults import attention_after, last_state, mixed_batches, padding_in_loss

Fault = Callable[[], AbstractContextManager[None]]
"""Inside the block that it gives, the program has the fault."""


@dataclass(frozen=True)
class Training:
    """A run: an experiment of the package, with faults and options."""

    experiment: str
    faults: tuple[Fault, ...] = ()
    options: tuple[str, ...] = ()
    pace: float = 200.0  # seconds a million target tokens take on a slow core in float32


@dataclass(frozen=True)
class Evaluation:
    """Another evaluation of a run's test: options of the search, and how sentences are batched."""

    options: tuple[str, ...] = ()
    batches: tuple[Fault, ...] = ()


TEST = "test"  # the evaluation that a training ends with: the run's own search, batches by length
EVALUATIONS = {
    "cut": Evaluation(("decode.max_extra=25", "decode.max_ratio=0.000001")),  # fault 5
    "greedy": Evaluation(("decode.beam=1",)),  # fault 6
    "mixed": Evaluation(batches=(mixed_batches.translated, mixed_batches.without_rounding)),
    "alone": Evaluation(batches=(mixed_batches.translated_alone, mixed_batches.without_rounding)),
}

HALF = ("model.embedding=96", "model.encoder.width=84", "model.decoder.width=168", "model.decoder.context_width=168")
WIDER = ("model.decoder.width=328",)  # as many parameters, though the cell reads no context

_MIXED, _LAST_STATE, _LOSS = mixed_batches.trained, last_state.applied, padding_in_loss.applied
_EXACT = mixed_batches.without_rounding
TRAININGS = {
    "lstm": Training("lstm"),
    "lstm-last-state": Training("lstm", (_LAST_STATE, _EXACT)),
    "lstm-loss": Training("lstm", (_LOSS,)),
    "lstm-half": Training("lstm", (), HALF, 120.0),
    "lstm-mixed": Training("lstm", (_MIXED,), (), 600.0),
    "lstm-mixed-last-state": Training("lstm", (_MIXED, _LAST_STATE, _EXACT), (), 600.0),
    "lstm-mixed-loss": Training("lstm", (_MIXED, _LOSS), (), 600.0),
    "bahdanau": Training("bahdanau", pace=335.0),
    "bahdanau-after": Training("bahdanau", (attention_after.applied,), WIDER, 400.0),
    "bahdanau-fed": Training("bahdanau", (), ("model.decoder.order=after",), 335.0),
}
"""By the name of the run's folder."""


@dataclass(frozen=True)
class Source:
    """The translations of an evaluation of a training, and the tokens by which they are scored."""

    training: str
    evaluation: str = TEST
    tokens: str | None = None  # None: sacreBLEU of detokenised text; else "words" or "subwords"


@dataclass(frozen=True)
class Row:
    """A line of the table: what is wrong, and the same without it."""

    fault: str  # its number
    what: str
    wrong: Source
    right: Source


_LAST, _MIXED_LAST = "lstm-last-state", "lstm-mixed-last-state"
ROWS = (
    Row("1", "last state from padding", Source(_LAST), Source("lstm")),
    Row("1", "… tested in mixed batches", Source(_LAST, "mixed"), Source("lstm")),
    Row("1", "… tested one by one", Source(_LAST, "alone"), Source("lstm")),
    Row("1", "… trained and tested in mixed batches", Source(_MIXED_LAST, "mixed"), Source("lstm-mixed")),
    Row("1", "… trained in mixed batches, tested one by one", Source(_MIXED_LAST, "alone"), Source("lstm-mixed")),
    Row("1", "sound: trained in mixed batches", Source("lstm-mixed"), Source("lstm")),
    Row("1", "sound: tested in mixed batches", Source("lstm", "mixed"), Source("lstm")),
    Row("2", "padding in the loss", Source("lstm-loss"), Source("lstm")),
    Row("2", "… trained in mixed batches", Source("lstm-mixed-loss"), Source("lstm-mixed")),
    Row("3", "attention after the step", Source("bahdanau-after"), Source("bahdanau")),
    Row("3", "sound: after the step, fed back", Source("bahdanau-fed"), Source("bahdanau")),
    Row("3", "… against the same, fed back", Source("bahdanau-after"), Source("bahdanau-fed")),
    Row("4", "BLEU of lower-cased words", Source("bahdanau", tokens="words"), Source("bahdanau")),
    Row("4", "BLEU of subwords", Source("bahdanau", tokens="subwords"), Source("bahdanau")),
    Row("5", "cut at 25 tokens", Source("bahdanau", "cut"), Source("bahdanau")),
    Row("6", "no beam", Source("bahdanau", "greedy"), Source("bahdanau")),
    Row("7", "half of the parameters", Source("lstm-half"), Source("lstm")),
)
NUMBERS = tuple(dict.fromkeys(row.fault for row in ROWS))


def inside(faults: tuple[Fault, ...]) -> ExitStack:
    """The faults, all in place."""
    stack = ExitStack()
    for fault in faults:
        stack.enter_context(fault())
    return stack


def rows_of(faults: Sequence[str]) -> list[Row]:
    """The rows of some faults, by their numbers."""
    return [row for row in ROWS if row.fault in faults]


def trainings_of(rows: Sequence[Row]) -> dict[str, list[str]]:
    """The trainings that rows need, each with the names of its evaluations beyond its test."""
    sources = [source for row in rows for source in (row.wrong, row.right)]
    found: dict[str, list[str]] = {source.training: [] for source in sources}
    for training, evaluations in found.items():
        names = dict.fromkeys(source.evaluation for source in sources if source.training == training)
        evaluations += [name for name in names if name != TEST]
    return found
