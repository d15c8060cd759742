"""One training with its faults, and its evaluations: ``python -m scripts.faults.worker NAME EVALUATIONS key=value …``.

The faults are in place for the whole process, as they are in a program that has them.
"""

from __future__ import annotations

import sys

from scripts.faults.plan import EVALUATIONS, TRAININGS, inside
from seq2seq.cli.main import main as seq2seq
from seq2seq.config.compose import compose
from seq2seq.config.overrides import override
from seq2seq.evaluation.evaluate import evaluate
from seq2seq.runs import loading
from seq2seq.runs.run import Run, find, run_of


def evaluate_as(run: Run, name: str) -> None:
    """Translate the run's test again and keep it as its evaluation ``name``, unless that is there."""
    if (run.evaluation(name) / "scores.json").exists():
        return
    evaluation = EVALUATIONS[name]
    texts = loading.saved_split(run, "test")
    assert texts is not None, "a finished run has its test's text"
    config = override(run.load_config(), [*evaluation.options])
    translator = loading.load([find(run.folder)], config).translator
    with inside(evaluation.batches):
        evaluate(translator, *texts, config.data.language, config.decode).save(run.evaluation(name))


def main(arguments: list[str]) -> int:
    """Train, or go on, and make the evaluations (``cut,greedy``); the exit code is that of ``seq2seq train``."""
    name, evaluations, *options = arguments
    training = TRAININGS[name]
    options = [f"experiment={training.experiment}", *options, *training.options]
    with inside(training.faults):
        if code := seq2seq(["train", *options]):
            return code
        for evaluation in filter(None, evaluations.split(",")):
            evaluate_as(run_of(compose(options)), evaluation)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
