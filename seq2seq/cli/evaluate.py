"""``seq2seq evaluate``. Knows runs, files and tables; the scores are computed by ``evaluation``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from seq2seq.cli.arguments import EVALUATION, Parser, check_src_and_ref, runs_and_config
from seq2seq.cli.help import reference
from seq2seq.config.schema import Config
from seq2seq.runs.run import Run

if TYPE_CHECKING:
    from seq2seq.runs.loading import TrainedModel
    from seq2seq.runs.records import Scores


def parser() -> Parser:
    """The arguments of the verb."""
    taken = Parser("evaluate", "Score a trained run, or an ensemble of several.", reference(EVALUATION))
    taken.add_runs("*")
    taken.add_argument("--src", metavar="FILE", help="source text, one sentence a line, instead of the run's split")
    taken.add_argument("--ref", metavar="FILE", help="its reference translations, line by line")
    taken.add_argument("--ter", action="store_true", help="TER as well (slow)")
    taken.add_argument("--json", action="store_true", help="print the scores as JSON")
    taken.add_argument("--out", metavar="FOLDER", help="write scores and hypotheses there instead of into the run")
    return taken


def validate(given: argparse.Namespace) -> tuple[list[tuple[Run, str]], Config]:
    """The runs and the config. Raises ``UserError``."""
    check_src_and_ref(given)
    return runs_and_config(given.arguments)


def run(given: argparse.Namespace, valid: tuple[list[tuple[Run, str]], Config]) -> int:
    """Score a split of the run's corpus, or new files; write scores and hypotheses; print a table or JSON."""
    from dataclasses import asdict

    from seq2seq.evaluation.evaluate import evaluate
    from seq2seq.evaluation.metrics import TER, USUAL
    from seq2seq.runs.loading import load
    from seq2seq.terminal.progress import progress

    loaded = load(*valid)
    config = loaded.config
    name, src, references = _text(loaded, given)
    metrics = (*USUAL, TER) if given.ter else USUAL
    with progress("evaluating", len(src)) as done:
        evaluation = evaluate(
            loaded.translator, src, references, config.data.tgt, config.decode, metrics, by_length=True, done=done
        )
    models = "ensemble" if len(loaded.models) > 1 else loaded.checkpoint
    folder = Path(given.out) if given.out else loaded.run.evaluation(f"{name}-{models}")
    evaluation.scores["models"] = loaded.models
    evaluation.scores["decode"] = asdict(config.decode)
    evaluation.save(folder)
    if given.json:
        print(json.dumps(evaluation.scores, indent=2, ensure_ascii=False))
    else:
        _print(evaluation.scores, folder)
    return 0


def _text(loaded: TrainedModel, given: argparse.Namespace) -> tuple[str, list[str], list[str]]:
    """A name for the text, its source lines and its references."""
    from seq2seq.data.files import text_files
    from seq2seq.runs.loading import saved_split, split_of_source, unzip

    if given.src:
        return Path(given.src).name, *unzip(text_files(given.src, given.ref).pairs())
    config, name = loaded.config, loaded.config.data.split
    as_trained = config.data.split_options(name) == loaded.run.load_config().data.split_options(name)
    saved = saved_split(loaded.run, name) if as_trained else None
    return name, *(saved or split_of_source(config, name))


def _print(scores: Scores, folder: Path) -> None:
    from seq2seq.evaluation.evaluate import figures_by_length
    from seq2seq.evaluation.metrics import TER, USUAL
    from seq2seq.terminal.tables import duration, print_figures, say

    metrics = [metric for metric in (*USUAL, TER) if metric.key in scores]
    figures = {
        **{metric.label: f"{metric.of(scores):.2f}" for metric in metrics},
        **figures_by_length(scores),
        "loss (nats a token)": f"{scores['nll']:.3f}",
        "perplexity": f"{scores['ppl']:.2f}",
        "bits a character": f"{scores['bits_per_character']:.3f}",
        "token accuracy": f"{scores['token_accuracy']:.2%}",
        "length ratio": f"{scores['length_ratio']:.3f}",
        "time": duration(scores["seconds"]),
        "sentences/s": f"{scores['sentences_per_second']:.1f}",
    }
    print_figures(f"{scores['sentences']:,} sentences", figures)
    for metric in metrics:
        say(f"{metric.label} signature  {metric.signature_of(scores)}")
    say(f"scores and hypotheses in {folder}")
