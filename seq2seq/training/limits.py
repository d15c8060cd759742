"""How long a training is to be and how long it will take. Knows sizes of corpora and counters; no model.

What is chosen here is saved with the run's config, so that a training that goes on has the same limits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from seq2seq.config.schema import TrainerConfig
from seq2seq.terminal import tables
from seq2seq.training.progress import TrainState

PASSES, LEAST_PASSES = 24, 5  # over a corpus of tens of thousands of pairs, as trainer=multi30k makes; over a large one
MOST_TOKENS = 20_000_000  # target tokens, unless the corpus needs more for LEAST_PASSES
LEAST_UPDATES = 500  # below them even a tiny corpus is not learned
WARMUP = 0.1  # share of the training
WARMUP_OF_HOURS = 400  # updates, where hours are the only limit


@dataclass(frozen=True)
class Size:
    """A training split as its trainer sees it: target tokens, and updates in a pass.

    Of one that is streamed it is the size of its first pairs, which tell the tokens of an update but not how long a
    pass is: then it is not ``whole``.
    """

    tokens: int
    updates: float
    whole: bool = True


def choose_limits(options: TrainerConfig, size: Size) -> TrainerConfig:
    """The options with a ``max_tokens`` and a warm-up by the size of the corpus, where none is given."""
    if options.needs_budget:
        wanted = max(min(PASSES * size.tokens, MOST_TOKENS), LEAST_PASSES * size.tokens)
        least = LEAST_UPDATES * size.tokens / size.updates
        options = replace(options, max_tokens=max(round(max(wanted, least)) // 1_000 * 1_000, 1_000))
    if options.optimizer.warmup_steps is None:
        updates = updates_of(options, size)
        steps = WARMUP_OF_HOURS if updates is None else max(round(WARMUP * updates), 1)
        options = replace(options, optimizer=replace(options.optimizer, warmup_steps=steps))
    return options


def updates_of(options: TrainerConfig, size: Size) -> int | None:
    """About how many updates the training has; None where no limit tells it, as hours do not."""
    limits = [
        options.max_steps,
        size.whole and options.max_epochs and options.max_epochs * size.updates,
        options.max_tokens and options.max_tokens / size.tokens * size.updates,
    ]
    return max(round(min(limit for limit in limits if limit)), 1) if any(limits) else None


def notices(given: TrainerConfig, options: TrainerConfig, size: Size) -> Iterator[str]:
    """A line on what was chosen in place of ``given``, and a warning where the training ends inside its warm-up."""
    updates, warmup = updates_of(options, size), options.optimizer.warmup_steps or 0
    if given.needs_budget and options.max_tokens:
        passes = options.max_tokens / size.tokens
        yield f"no limit given: trainer.max_tokens={options.max_tokens}, {passes:,.0f} passes over the corpus"
    if given.optimizer.warmup_steps is None:
        yield f"no warm-up given: trainer.optimizer.warmup_steps={warmup}"
    if updates and updates <= warmup:
        yield (
            f"warning: the training ends after about {updates:,} updates, inside its warm-up of {warmup:,}: the "
            f"learning rate never gets to its peak; set trainer.optimizer.warmup_steps={int(WARMUP * updates)}, or "
            "train longer"
        )


class Pace:
    """Says once, from the first updates of this process, about how long the training will take."""

    SETTLING, UPDATES, SECONDS = 5, 20, 3.0  # updates left out, for kernels compile; at least measured

    def __init__(self, step: int) -> None:
        self.first = step + self.SETTLING
        self.start: tuple[float, float] | None = None  # progress and seconds at the first update that counts
        self.said = False

    def line(self, state: TrainState, progress: float) -> str | None:
        """The line, when enough updates have been measured. ``progress``: share of the training done, 0 to 1."""
        if self.said or state.step < self.first:
            return None
        if self.start is None:
            self.start = progress, state.seconds
        share, seconds = progress - self.start[0], state.seconds - self.start[1]
        updates = state.step - self.first
        if updates < self.UPDATES or seconds < self.SECONDS or share <= 0:
            return None
        self.said = True
        left = tables.duration(seconds / share * (1 - progress))
        return f"about {left} to go (measured over {updates} updates; validations are extra)"
