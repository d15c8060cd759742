"""``seq2seq evaluate``. Knows runs, files and tables; the scores are computed by ``evaluation``."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

from seq2seq.cli.arguments import CORPUS, EVALUATION, RUNS, Arguments, Parser, Trained, pairs_of, runs_and_config
from seq2seq.cli.help import reference
from seq2seq.runs.records import Scores


def parser() -> Parser:
    taken = Parser("evaluate", "Score a trained run, or an ensemble of several.", reference(EVALUATION))
    taken.add_argument("arguments", nargs="*", metavar="RUN … key=value …", help=RUNS)
    taken.add_argument("--src", metavar="FILE", help="source text, one sentence a line, instead of the run's split")
    taken.add_argument("--ref", metavar="FILE", help="its reference translations, line by line")
    taken.add_argument("--corpus", action="store_true", help=CORPUS)
    taken.add_argument("--ter", action="store_true", help="TER as well (slow)")
    taken.add_argument("--json", action="store_true", help="print the scores as JSON")
    taken.add_argument("--out", metavar="FOLDER", help="write scores and hypotheses there instead of into the run")
    return taken


validate = runs_and_config


def run(given: Arguments, valid: Trained) -> int:
    """Score a split of the run's corpus, or new files; write scores and hypotheses; print a table or JSON."""
    from seq2seq.evaluation.evaluate import check_lengths, evaluate
    from seq2seq.evaluation.metrics import TER, USUAL
    from seq2seq.evaluation.placeholders import note_placeholders
    from seq2seq.runs.loading import load
    from seq2seq.terminal.progress import progress

    loaded = load(*valid)
    config = loaded.config
    src, references = pairs_of(given, loaded.run, config)
    name = Path(given.src).name if given.src else config.data.split
    metrics = (*USUAL, TER) if given.ter else USUAL
    for notice in check_lengths(loaded.translator.subwords, src, references, config.decode, metrics):
        print(notice, file=sys.stderr)
    with progress("evaluating", len(src)) as done:
        evaluation = evaluate(
            loaded.translator, src, references, config.data.tgt, config.decode, metrics, by_length=True, done=done
        )
    models = "ensemble" if len(loaded.models) > 1 else loaded.checkpoint
    folder = Path(given.out) if given.out else loaded.run.evaluation(f"{name}-{models}")
    note_placeholders(evaluation, config.data.subwords.keep, src)
    evaluation.scores["models"] = loaded.models
    evaluation.scores["decode"] = asdict(config.decode)
    evaluation.save(folder)
    if given.json:
        from seq2seq.system.files import to_json

        print(to_json(evaluation.scores, indent=2))
    else:
        _print(evaluation.scores, folder)
    return 0


def _print(scores: Scores, folder: Path) -> None:
    from seq2seq.evaluation.evaluate import figures_by_length
    from seq2seq.evaluation.metrics import TER, USUAL
    from seq2seq.evaluation.placeholders import print_placeholders
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
    print_placeholders(scores)
    for metric in metrics:
        say(f"{metric.label} signature  {metric.signature_of(scores)}")
    say(f"scores and hypotheses in {folder}")
