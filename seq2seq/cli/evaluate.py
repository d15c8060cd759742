"""``seq2seq evaluate``. Knows runs, files and tables; the scores are computed by ``evaluation``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from seq2seq.cli.arguments import (
    CORPUS,
    RUNS,
    Arguments,
    Parser,
    Trained,
    is_own_split,
    pairs_of,
    runs_and_config,
)
from seq2seq.cli.help import reference
from seq2seq.config.schema import EVALUATION
from seq2seq.errors import UserError
from seq2seq.runs.evaluations import EVALUATION_FILES, changed_options, kept, name_of
from seq2seq.runs.records import Scores
from seq2seq.runs.run import Run
from seq2seq.system.typed_json import read_record

if TYPE_CHECKING:
    from seq2seq.runs.loading import TrainedModel


def parser() -> Parser:
    taken = Parser("evaluate", "Score a trained run, or an ensemble of several.", reference(EVALUATION))
    taken.add_argument("arguments", nargs="*", metavar="RUN … key=value …", help=RUNS)
    taken.add_argument("--src", metavar="FILE", help="source text, one sentence a line, instead of the run's split")
    taken.add_argument("--ref", metavar="FILE", help="its reference translations, line by line")
    taken.add_argument("--corpus", action="store_true", help=CORPUS)
    taken.add_argument("--ter", action="store_true", help="TER as well (slow)")
    taken.add_argument("--json", action="store_true", help="print the scores as JSON")
    taken.add_argument("--out", metavar="FOLDER", help="write scores and hypotheses there instead of into the run")
    listed = "list the evaluations that a run keeps, and score nothing"
    taken.add_argument("--list", action="store_true", dest="listed", help=listed)
    return taken


def validate(given: Arguments) -> Trained:
    """The runs and the config. Raises ``UserError``, also if ``--out`` names a file, or beside ``--list`` a score."""
    scoring = {"--src": given.src, "--ref": given.ref, "--ter": given.ter, "--out": given.out, "--corpus": given.corpus}
    if given.listed and (idle := [flag for flag, value in scoring.items() if value]):
        raise UserError(f"--list scores nothing: leave {idle[0]} out")
    if given.out:
        _check_place(Path(given.out))
    return runs_and_config(given)


def _check_place(folder: Path) -> None:
    """Raise ``UserError`` for a file, and for a folder with files that an evaluation would replace and are of none."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--out {folder} is a file: name a folder")
    taken = [name for name in EVALUATION_FILES if (folder / name).exists()]
    if taken:
        try:
            read_record(folder / EVALUATION_FILES[-1], Scores, "scores file", "name another folder")
        except UserError as error:
            raise UserError(f"--out {folder}: {taken[0]} there is of no evaluation: name another folder") from error


def run(given: Arguments, valid: Trained) -> int:
    """Score a split of the run's corpus, or new files; write scores and hypotheses; print a table or JSON."""
    if given.listed:
        return _list([run for run, _ in valid[0]], given.json)
    from seq2seq.evaluation.evaluate import check_lengths, evaluate
    from seq2seq.evaluation.languages import form_notices, read_language, word_notices
    from seq2seq.evaluation.metrics import TER, USUAL, tokenizer_notices
    from seq2seq.evaluation.placeholders import note_placeholders
    from seq2seq.runs.loading import load
    from seq2seq.terminal.progress import progress

    tokenizer_notices(valid[1].data.language)  # what is not whole is refused before a model is loaded
    loaded = load(*valid)
    src, references = pairs_of(given, loaded.run, loaded.config)
    tgt, notice = read_language(loaded.config.data.codes[1], references, "data.tgt")
    if notice and tgt:  # else training has said it
        print(notice, file=sys.stderr)
    config = replace(loaded.config, data=replace(loaded.config.data, tgt=tgt))
    loaded = replace(loaded, config=config)
    metrics = (*USUAL, TER) if given.ter else USUAL
    told = check_lengths(loaded.translator.subwords, src, references, config.decode, metrics)
    for notice in (
        *told,
        *tokenizer_notices(config.data.language),
        *word_notices(config.data.language, references, "data.tgt"),
        *form_notices({"references": references}),
    ):
        print(notice, file=sys.stderr)
    with progress("evaluating", len(src)) as done:
        evaluation = evaluate(
            loaded.translator, src, references, config.data.language, config.decode, metrics, by_length=True, done=done
        )
    note_placeholders(evaluation, config.data.subwords.keep, src)
    own_split = is_own_split(given, loaded.run, config)
    folder = _note(given, loaded, evaluation.scores, () if own_split else (src, references))
    evaluation.save(folder)
    if given.json:
        from seq2seq.system.files import to_json

        print(to_json(evaluation.scores, indent=2))
    else:
        _print(evaluation.scores, folder)
    return 0


def _note(given: Arguments, loaded: TrainedModel, scores: Scores, content: Sequence[Sequence[str]]) -> Path:
    """Note in ``scores`` what was scored and how; returns the folder for them (``content``: see ``name_of``)."""
    options, split = changed_options(loaded.run, loaded.config), loaded.config.data.split
    scores["date"] = datetime.now().astimezone().isoformat(timespec="seconds")
    scores["text"] = f"{given.src} {given.ref}" if given.src else split
    scores["options"] = options
    scores["models"] = loaded.models
    scores["steps"] = loaded.steps
    scores["decode"] = asdict(loaded.config.decode)
    name = name_of(Path(given.src).name if given.src else split, loaded.models, options, content)
    return Path(given.out or loaded.run.evaluation(name))


def _list(runs: Sequence[Run], as_json: bool) -> int:
    """Print the evaluations of each run, as a table or as JSON by run folder."""
    from seq2seq.evaluation.metrics import TER, USUAL
    from seq2seq.system.files import to_json
    from seq2seq.terminal.tables import print_table

    found = {str(run.folder): kept(run) for run in runs}
    if as_json:
        print(to_json(found, indent=2))
        return 0
    metrics = (*USUAL, TER)
    for folder, evaluations in found.items():
        rows = [
            (
                each["date"][:16].replace("T", " "),
                each["name"],
                *(f"{metric.of(each['scores']):.2f}" if metric.key in each["scores"] else "" for metric in metrics),
                f"{each['scores']['nll']:.3f}",
                ", ".join("?" if step is None else f"{step:,}" for step in each["scores"].get("steps", [])),
            )
            for each in evaluations
        ]
        columns = ("date", "evaluation", *(metric.label for metric in metrics), "loss", "updates")
        print_table(folder, columns, rows, left=("date", "evaluation"))
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
