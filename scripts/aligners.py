"""Attention's word alignment beside that of an aligner people use: ``python -m scripts.aligners RUN [RUN …]``.

eflomal (Östling and Tiedemann 2016) is installed into an environment of its own, aligns the runs' training pairs and
their test pairs in both directions, and is compared with the test's gold alignment, as each run's attention is; so are
the best alignment that has one link a word, and the diagonal. The runs are of the embedded grammar, which has gold.
eflomal draws its alignments and has no seed: its figures differ a little from one run to the next.

Knows eflomal's command line and files, runs and gold alignments.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from scripts.bench import environments
from scripts.bench.worker import Failed
from seq2seq.analysis.attention_maps import bounds, most_attended_words
from seq2seq.data import files
from seq2seq.errors import UserError
from seq2seq.evaluation.alignment import Gold, Judge, Links, agreements, map_names, parse_links, read_gold
from seq2seq.evaluation.words import encode_pairs
from seq2seq.grammar import words
from seq2seq.runs.loading import corpus_of, gold_file, load, saved_split
from seq2seq.runs.records import WordAgreement
from seq2seq.runs.run import Run, find
from seq2seq.terminal.progress import progress
from seq2seq.terminal.tables import print_table

NEIGHBOURS = [(-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1)]


def grow_diag_final_and(forward: Links, reverse: Links) -> Links:
    """One alignment of a pair from those of both directions (Koehn et al. 2003, section 4; "final-and").

    It begins with the links that both have. Links of either are added beside one that is there, while one of their
    words has none; then those whose words have both none.
    """
    union, found = forward | reverse, forward & reverse
    added = True
    while added:
        added = False
        for i, j in sorted(found):
            for place in ((i + di, j + dj) for di, dj in NEIGHBOURS):
                if place in union - found and _free(place, found, any):
                    found.add(place)
                    added = True
    for side in (forward, reverse):
        for place in sorted(side - found):
            if _free(place, found, all):
                found.add(place)
    return found


def _free(place: tuple[int, int], found: Links, of_its_words: Callable[[Iterable[bool]], bool]) -> bool:
    taken = {i for i, _ in found}, {j for _, j in found}
    return of_its_words(word not in side for word, side in zip(place, taken, strict=True))


MERGED: dict[str, Callable[[Links, Links], Links]] = {
    "forward": lambda forward, _: forward,
    "reverse": lambda _, reverse: reverse,
    "intersection": set.intersection,
    "grow-diag-final-and": grow_diag_final_and,
}
"""What is made of the links of both directions."""


@dataclass(frozen=True)
class GoldTest:
    """The test of a run: its pairs, their words, and the gold alignment of these."""

    pairs: tuple[list[str], list[str]]
    words: tuple[list[list[str]], list[list[str]]]
    gold: list[Gold]

    @classmethod
    def of(cls, run: Run) -> GoldTest:
        """Read what a run was tested on. Raises ``UserError``: it has no gold alignment."""
        config, pairs = run.load_config(), saved_split(run, "test")
        file = gold_file(config, "test", pairs) if pairs else None
        if pairs is None or file is None:
            raise UserError(f"{run.folder}: its test has no gold alignment: give a run trained on the embedded grammar")
        src, tgt = ([words(line) for line in side] for side in pairs)
        return cls(pairs, (src, tgt), read_gold(str(file), src, tgt))


def by_eflomal(program: Path, training: Iterable[tuple[str, str]], test: GoldTest) -> tuple[list[Links], list[Links]]:
    """The test's links by eflomal in both directions; it learns from the training pairs and the test's.

    Raises:
        Failed: eflomal ends with an error.
    """
    src, tgt = ([" ".join(words(line)) for line in side] for side in zip(*training, strict=True))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name, lines, of_test in (("src", src, test.words[0]), ("tgt", tgt, test.words[1])):
            both = [*lines, *map(" ".join, of_test)]
            (folder / name).write_text("".join(f"{line}\n" for line in both), encoding="utf-8")
        told = {"-s": "src", "-t": "tgt", "-f": "forward", "-r": "reverse"}
        command = [str(program), *(part for flag, name in told.items() for part in (flag, str(folder / name)))]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or [""])[-1]
            raise Failed(f"eflomal ended with {done.returncode}: {last}")
        found = ([parse_links(line) for line in files.all_lines(str(folder / name))] for name in ("forward", "reverse"))
        forward, reverse = (links[-len(test.gold) :] for links in found)
    return forward, reverse


def by_attention(found: tuple[Run, str], test: GoldTest) -> list[tuple[str, str, WordAgreement]]:
    """The agreement of a run's attention, the mean of its maps, at the step that predicts a word and at the next.

    ``found`` is the run and the name of its checkpoint.
    """
    config = found[0].load_config()
    translator = load([found], config).translator
    pairs = encode_pairs(translator.subwords, *test.pairs, words, config.decode.max_input)
    with progress(f"aligning by {config.model.name}", len(pairs)) as done:
        choices = most_attended_words(translator, pairs, done)
    rows = agreements(choices, test.words[1], test.gold, map_names(config.model.attention_maps)[:1])
    return [(config.model.name, f"attention {row['state']} the word", row) for row in rows]


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN", type=Path)
    parser.add_argument("--pairs", type=int, help="training pairs that eflomal reads (default: all)")
    given = parser.parse_args()
    if given.pairs is not None and given.pairs < 1:
        parser.error(f"--pairs {given.pairs}: give at least 1")
    try:
        chosen = [find(path) for path in given.runs]
        runs = [run for run, _ in chosen]
        tests = [GoldTest.of(run) for run in runs]
        if any(test != tests[0] for test in tests):
            raise UserError("the runs were tested on different pairs: give runs of one corpus")
        for run in runs:
            if not run.load_config().model.attention_maps:
                raise UserError(f"{run.folder}: this model has no attention: leave it out")
        test, training = tests[0], corpus_of(runs[0].load_config(), "train").pairs("train")
        program = environments.interpreter("eflomal").parent / "eflomal-align"
        began = time.monotonic()
        forward, reverse = by_eflomal(program, islice(training, given.pairs), test)
        seconds = time.monotonic() - began
        found = [row for each in chosen for row in by_attention(each, test)]
    except (UserError, Failed) as error:
        print(error, file=sys.stderr)
        return 2
    judge = Judge(test.gold, test.words[1])
    bound = bounds(test.gold, *test.words)
    rows: list[tuple[str, str, WordAgreement]] = [
        *(("eflomal", name, judge.agreement(list(map(merge, forward, reverse)))) for name, merge in MERGED.items()),
        *found,
        *(("", row["map"], row) for row in bound),
    ]
    title = f"word alignment of {len(test.gold):,} test pairs; *: target punctuation left out\n"
    title += f"eflomal learned from the training pairs in {seconds:.0f} s"
    columns = ("by", "links", "AER", "prec.", "recall", "AER*")
    figures = [[row["aer"], row["precision"], row["recall"], row["aer_words"]] for *_, row in rows]
    cells = [(by, links, *map("{:.3f}".format, of)) for (by, links, _), of in zip(rows, figures, strict=True)]
    print_table(title, columns, cells, left=columns[:2])
    return 0


if __name__ == "__main__":
    sys.exit(main())
