"""``seq2seq align``. Knows runs, files and tables; alignments and their error rate are ``evaluation``'s."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seq2seq.cli.arguments import (
    CORPUS,
    Arguments,
    Parser,
    Trained,
    is_own_split,
    pairs_of,
    refuse_own_text,
    runs_and_config,
)
from seq2seq.config.schema import Config
from seq2seq.errors import UserError
from seq2seq.runs.evaluations import name_of
from seq2seq.runs.run import Run, find
from seq2seq.system.files import write_atomically

FILE = "alignment.pharaoh"


def parser() -> Parser:
    taken = Parser("align", "Word alignments from a run's attention, and their error rate (AER).")
    taken.add_argument("arguments", nargs="+", metavar="RUN key=value …", help="a run, options as for evaluate")
    taken.add_argument("--src", metavar="FILE", help="source text, words between spaces, instead of the run's split")
    taken.add_argument("--ref", metavar="FILE", help="its translations, line by line")
    taken.add_argument("--corpus", action="store_true", help=CORPUS)
    taken.add_argument("--gold", metavar="FILE", help="gold alignment in Pharaoh format (default: the grammar's own)")
    taken.add_argument("--one-based", action="store_true", help="the gold alignment counts words from 1")
    taken.add_argument("--by-spaces", action="store_true", help="words are between spaces in every script")
    taken.add_argument("--heads", action="store_true", help="score each layer and head as well")
    number = "write the alignment of one map, from 1 (default: the mean)"
    taken.add_argument("--map", type=int, metavar="N", help=number)
    taken.add_argument("--out", metavar="FILE", help="where to write the alignments instead of into the run")
    return taken


def validate(given: Arguments) -> Trained:
    """The run, in a list, and the config. Raises ``UserError``, also for a model without attention."""
    if given.out and Path(given.out).is_dir():
        raise UserError(f"--out {given.out} is a folder: name a file in it")
    refuse_own_text(given.out, **{"--src": given.src, "--ref": given.ref, "--gold": given.gold})
    runs, config = runs_and_config(given)
    if given.one_based and not given.gold:
        raise UserError("--one-based says how --gold counts: give --gold FILE")
    if len(runs) != 1:
        raise UserError("an alignment comes from one model: give one run")
    maps = config.model.attention_maps
    if not maps:
        seen = "nothing of the source" if config.model.sees == "nothing" else "the source through one vector"
        raise UserError(f"{runs[0][0].folder}: there is nothing to align: this model sees {seen}")
    if given.map is not None and not 1 <= given.map <= len(maps):
        raise UserError(f"--map {given.map}: the model has maps 1 to {len(maps)}")
    return runs, config


def run(given: Arguments, valid: Trained) -> int:
    """Write the word alignment of the references by a run's attention; print its error rate where there is a gold one.

    Raises:
        UserError: files that do not fit.
    """
    from seq2seq.analysis.attention_maps import most_attended_words
    from seq2seq.data.lengths import CHARACTERS, WORDS, unit_of
    from seq2seq.evaluation.alignment import agreements, links_of, map_names, read_gold
    from seq2seq.evaluation.evaluate import check_lengths
    from seq2seq.evaluation.words import encode_pairs, splitter
    from seq2seq.runs.loading import load
    from seq2seq.terminal.progress import progress

    runs, config = valid
    [(folder, _)] = runs
    src, references = pairs_of(given, folder, config)
    gold_path = given.gold or (None if given.src else _gold_of_grammar(folder, config, (src, references)))
    cuts = ((unit_of(side).split if given.src else splitter(config, side)) for side in (src, references))
    splits = [WORDS.split if given.by_spaces else cut for cut in cuts]
    for side, split in zip(("source", "target"), splits, strict=True):
        if split is CHARACTERS.split:
            print(f"the {side} has no spaces between words: the alignment counts its characters", file=sys.stderr)
    src_words, tgt_words = ([each(line) for line in side] for each, side in zip(splits, (src, references), strict=True))
    gold = read_gold(gold_path, src_words, tgt_words, given.one_based) if gold_path else None
    names = map_names(config.model.attention_maps)
    number = min(given.map or 0, len(names) - 1)  # a single map is its own mean
    translator = load(runs, config).translator
    for notice in check_lengths(translator.subwords, src, references, config.decode):
        print(notice, file=sys.stderr)
    pairs = encode_pairs(translator.subwords, src, references, splits[0], config.decode.max_input, splits[1])
    with progress("aligning", len(src)) as done:
        choices = most_attended_words(translator, pairs, done)
    found = (sorted(links_of(choice[0, number])) for choice in choices)
    lines = "".join(" ".join(f"{i}-{j}" for i, j in links) + "\n" for links in found)
    out = Path(given.out) if given.out else folder.evaluation(_name(given, valid, number, (src, references))) / FILE
    write_atomically(out, lines, follow=bool(given.out))
    if gold is None:
        print("no gold alignment to compare with: give --gold FILE", file=sys.stderr)
    else:
        shown = range(len(names)) if given.heads else sorted({0, number})
        chosen = [choice[:, list(shown)] for choice in choices]
        _print(agreements(chosen, tgt_words, gold, [names[n] for n in shown]), str(folder.folder))
    print(f"{len(src):,} alignments ({names[number]['map']}) in {out}")
    return 0


def _name(given: Arguments, valid: Trained, number: int, pairs: tuple[list[str], list[str]]) -> str:
    """The folder of an alignment: the test's own for that of the weights which were tested and the mean of the maps."""
    [(folder, checkpoint)], config = valid
    own = is_own_split(given, folder, config)
    if own and number == 0 and find(folder.folder)[1] == checkpoint:
        return config.data.split
    text = Path(given.src).name if given.src else config.data.split
    options = {"map": number} if number else {}
    return name_of(text, [str(folder.checkpoint(checkpoint))], options, () if own else pairs)


def _gold_of_grammar(folder: Run, config: Config, pairs: tuple[list[str], list[str]]) -> str | None:
    """The file of the grammar's alignment; None, with a warning, if the run has other ``pairs`` than it makes now."""
    from seq2seq.runs.loading import gold_file

    found = gold_file(config, config.data.split, pairs)
    if found is None and config.data.source == "grammar":
        print(f"{folder.folder}: the grammar makes other sentences by now, so its gold is no use", file=sys.stderr)
    return None if found is None else str(found)


def _print(rows: Sequence[Mapping[str, Any]], title: str) -> None:
    from seq2seq.terminal.tables import print_table

    title = f"{title}\nword alignment by attention; *: target punctuation left out"
    columns = ("map", "step", "AER", "prec.", "recall", "AER*", "prec.*", "recall*")
    figures = [key + ending for ending in ("", "_words") for key in ("aer", "precision", "recall")]
    cells = [(row["map"], row["state"], *(f"{row[figure]:.3f}" for figure in figures)) for row in rows]
    print_table(title, columns, cells, left=("map", "step"))
