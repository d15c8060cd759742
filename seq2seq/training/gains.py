"""What a training that began from trained weights has gained and lost, on each test set. Knows run folders."""

from __future__ import annotations

from collections.abc import Mapping

from seq2seq.data.files import all_lines
from seq2seq.evaluation.metrics import USUAL
from seq2seq.evaluation.statistics import difference
from seq2seq.runs import checkpoint
from seq2seq.runs.records import Gain, Scores, Summary
from seq2seq.terminal import tables
from seq2seq.terminal.numbers import number
from seq2seq.training.further_tests import kept_text, run_test
from seq2seq.training.initial import NAME
from seq2seq.training.trainer import Trainer


def measure(trainer: Trainer, scores: Mapping[str, Scores]) -> list[Gain]:
    """Test the weights from which the training began as the run's own were tested; both are kept as evaluations.

    Args:
        scores: of the run, by test set.

    Returns:
        For each test set and metric the scores before and after, with the 95 % confidence interval of the difference,
        over the choice of sentences.

    Raises:
        UserError: the text of a test set is gone from the run.
    """
    config, run, gains = trainer.config, trainer.run, list[Gain]()
    language = config.data.language
    checkpoint.load_weights(run.checkpoint(NAME), trainer.eval_model)
    for name, since in scores.items():
        text = kept_text(run, name)
        before = run_test(trainer, text, f"{name}-{NAME}", f"testing the beginning on {name}", step=0)
        after = all_lines(str(run.evaluation(name) / "hypotheses.txt"))
        for metric in USUAL:
            texts = (after, [best[0].text for best in before.translations])
            new, old = ([metric.statistics(lines, text[1], language)] for lines in texts)
            gain = difference(new, old, metric)
            both = metric.of(before.scores), metric.of(since)
            gains.append(
                Gain(test=name, metric=metric.label, before=both[0], after=both[1], low=gain.low, high=gain.high)
            )
    return gains


def print_gains(summary: Summary) -> None:
    """The table of gains and losses, if the training began from trained weights."""
    if gains := summary.get("gains"):
        columns = ("test set", "metric", "before", "after", "change", "95 % interval")
        title = "what this training changed (before: the weights it began from)"
        rows = [_row(gain) for gain in gains]
        tables.print_table(title, columns, rows, left=columns[:2])


def _row(gain: Gain) -> tuple[str, ...]:
    change = gain["after"] - gain["before"]
    interval = f"{number(gain['low'], 2, True)} to {number(gain['high'], 2, True)}"
    scores = (number(gain[when], 2) for when in ("before", "after"))
    return gain["test"], gain["metric"], *scores, number(change, 2, True), interval
