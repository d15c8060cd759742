"""The level of BLEU from which on models are compared. Knows scores and intervals; knows no run and no page.

A model that has learned nothing still gets some BLEU, and differences between such models say nothing of their
architectures. So a model is compared only if the lower end of the 95 % interval of its test BLEU is above a level:
``FLOOR``, and ``MARGIN`` more than the best of what needs no model gets on the same test.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from seq2seq.evaluation.statistics import Estimate
from seq2seq.terminal.numbers import number

FLOOR = 5.0  # BLEU
MARGIN = 2.0  # BLEU above translations that need no model
SEED = 12345  # of the shuffled references


def trivial_translations(src: Sequence[str], references: Sequence[str]) -> dict[str, list[str]]:
    """Translations of a test that need no model, by their names."""
    shuffled = list(references)
    random.Random(SEED).shuffle(shuffled)
    counts = Counter(references)
    by_length = sorted(references, key=len)
    middle = by_length[len(by_length) // 2]
    constant = max(dict.fromkeys([middle, *references]), key=counts.__getitem__)  # the first of the most frequent
    return {
        "the source copied": list(src),
        "one reference for all": [constant] * len(references),
        "the references shuffled": shuffled,
    }


@dataclass(frozen=True)
class Level:
    """BLEU of each model with its interval, and of what needs no model, on one test."""

    models: Mapping[str, Estimate]
    trivial: Mapping[str, float]

    @property
    def needed(self) -> float:
        """BLEU that the lower end of a model's interval must be above."""
        return max(FLOOR, MARGIN + max(self.trivial.values()))

    @property
    def below(self) -> list[str]:
        """Models that have not learned enough to be compared."""
        return [model for model, bleu in self.models.items() if not bleu.low > self.needed]

    def reached(self, *models: str) -> bool:
        """Whether all of the models have learned enough to be compared."""
        return not set(models) & set(self.below)

    def notice(self) -> list[str]:
        """What the page says first where a model is below the level; empty where none is."""
        if not self.below:
            return []
        found = [f"{model} ({shown(self.models[model])} BLEU)" for model in self.below]
        trivial = ", ".join(f"{name} {number(bleu)}" for name, bleu in self.trivial.items())
        named = " and ".join([", ".join(found[:-1]), found[-1]] if found[1:] else found)
        has, their = ("it has", "its") if len(found) == 1 else ("they have", "their")
        return [
            f"No verdict on {named}: {has} not learned enough to be compared. Sentences that would judge "
            f"or compare {'it' if len(found) == 1 else 'them'} are left out of this page.",
            f"A model is compared if the lower end of the 95 % interval of its test BLEU is above {number(self.needed)}"
            f": at least {FLOOR:g}, and {MARGIN:g} more than the best of what needs no model gets on this test "
            f"({trivial}). Train longer, or look at {their} translations and the learning rate.",
        ]


def shown(estimate: Estimate) -> str:
    """A value with its interval, e.g. ``91.2 [90.1, 92.3]``."""
    return f"{number(estimate.value)} [{number(estimate.low)}, {number(estimate.high)}]"
