"""Test sets of a run: further ones are read before training; all are tested after it, and shown. Knows run folders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from seq2seq.config.schema import Config
from seq2seq.data import filters
from seq2seq.data.encoded import Corpus
from seq2seq.data.sources import open_source
from seq2seq.errors import UserError
from seq2seq.evaluation.evaluate import Evaluation
from seq2seq.evaluation.metrics import USUAL
from seq2seq.evaluation.placeholders import note_placeholders
from seq2seq.runs.loading import has_other_text, save_split, saved_split, unzip
from seq2seq.runs.records import Scores, Summary
from seq2seq.runs.run import Run
from seq2seq.terminal import tables
from seq2seq.terminal.progress import progress
from seq2seq.training.following import evaluate_together
from seq2seq.training.trainer import Trainer

Text = tuple[list[str], list[str]]
"""Sources and references."""
Texts = dict[str, Text]
"""Sources and references by the name of a split or of a further test set."""


def scored_texts(config: Config, corpus: Corpus) -> Texts:
    """The text that a run is scored on beside the test: the validation split and the further test sets.

    Raises:
        UserError: a file of a further test set cannot be read.
    """
    valid = corpus.splits["valid"]
    further = {name: unzip(open_source(config.data, name).pairs(name)) for name in config.data.tests}
    return {"valid": (valid.lines(0), valid.lines(1)), **further}


def overlaps(config: Config, texts: Texts) -> Iterator[str]:
    """A warning for each further test set of which pairs occur in the training text, as there is one for the test."""
    keys = {name: [filters.key(pair) for pair in zip(*texts[name], strict=True)] for name in config.data.tests}
    if not keys:
        return
    asked = set().union(*keys.values())
    known = {key for pair in open_source(config.data, "train").pairs("train") if (key := filters.key(pair)) in asked}
    for name, own in keys.items():
        met = sum(key in known for key in own)
        if met:
            yield (
                f"warning: {met:,} of the {len(own):,} pairs of the test set {name} occur in train: "
                "their scores flatter the model"
            )


def keep_texts(run: Run, texts: Texts) -> None:
    """Write the texts into the run, in which it can be scored again anywhere."""
    for name, text in texts.items():
        save_split(run, name, *text)


def check_texts(run: Run, texts: Texts) -> None:
    """Raise ``UserError`` where an unfinished run was begun with other text of a further test set."""
    for name, text in texts.items():
        if has_other_text(run, name, *text):
            raise UserError(
                f"{run.folder} was begun with other text of {name}: put it back, or start it anew with overwrite=true"
            )


def test_further(trainer: Trainer, step: int) -> dict[str, Scores]:
    """Test the weights of update ``step`` on further test sets. Raises ``UserError`` where the text of one is gone."""
    texts = {name: kept_text(trainer.run, name) for name in trainer.config.data.tests}
    return {name: run_test(trainer, text, name, f"testing {name}", step).scores for name, text in texts.items()}


def kept_text(run: Run, name: str) -> Text:
    """The text of a test set as the run keeps it. Raises ``UserError`` where it is gone."""
    text = saved_split(run, name)
    if text is None:
        raise UserError(f"{run.evaluation(name)}: the text of this test set is gone: start with overwrite=true")
    return text


def run_test(trainer: Trainer, text: Text, name: str, doing: str, step: int) -> Evaluation:
    """Test the trainer's weights on a text, by the run's own search, and keep the scores as its evaluation ``name``.

    ``step``: the updates after which the weights were saved.
    """
    config, (src, references) = trainer.config, text
    with progress(doing, len(src)) as done:
        evaluation = evaluate_together(
            trainer.translator, src, references, config.data.language, config.decode, by_length=True, done=done
        )
    note_placeholders(evaluation, config.data.subwords.keep, src)
    evaluation.scores["decode"] = asdict(config.decode)
    evaluation.scores["steps"] = [step]
    evaluation.save(trainer.run.evaluation(name))
    return evaluation


def print_tests(summary: Summary) -> None:
    """A table of all test sets, if there are more than one."""
    further = summary.get("tests", {})
    if further:
        columns = ("test set", "sentences", *(metric.label for metric in USUAL), "loss", "perplexity")
        rows = [_row(name, scores) for name, scores in {"test": summary["test"], **further}.items()]
        tables.print_table("all test sets", columns, rows)


def _row(name: str, scores: Scores) -> tuple[str, ...]:
    figures = [f"{metric.of(scores):.2f}" for metric in USUAL]
    return name, f"{scores['sentences']:,}", *figures, f"{scores['nll']:.3f}", f"{scores['ppl']:.2f}"
