"""``seq2seq translate``. Knows runs, files, stdin and stdout; the translations are made by ``decoding``."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from seq2seq.cli.arguments import RUNS, Arguments, Parser, Trained, refuse_own_text, runs_and_config
from seq2seq.cli.help import reference
from seq2seq.config.schema import TRANSLATION, DecodeConfig
from seq2seq.errors import UserError
from seq2seq.system.files import write_atomically

if TYPE_CHECKING:
    from seq2seq.decoding.translator import Translation
    from seq2seq.runs.loading import TrainedModel

CHUNK = 2_000  # most lines that are translated at once
DRAWN = 100  # most lines whose attention is kept at once, until it is drawn


def parser() -> Parser:
    taken = Parser("translate", "Translate with a trained run, or an ensemble of several.", reference(TRANSLATION))
    taken.add_argument("arguments", nargs="*", metavar="RUN … key=value …", help=RUNS)
    taken.add_argument("--in", dest="source", metavar="FILE", help="text, one sentence a line (default: stdin)")
    taken.add_argument(
        "--out", metavar="FILE", help="where to write, a line for every line (default: stdout); its folder is made"
    )
    taken.add_argument("--attention", action="store_true", help="draw the attention weights of each target token")
    return taken


def validate(given: Arguments) -> Trained:
    """The runs and the config. Raises ``UserError``, also for a text or an ``--out`` that cannot be."""
    if given.out and Path(given.out).is_dir():
        raise UserError(f"--out {given.out} is a folder: name a file in it")
    refuse_own_text(given.out, **{"--in": given.source})
    if given.source is None and sys.stdin is None:
        raise UserError("standard input is closed: give the text with --in FILE")
    runs, config = runs_and_config(given, TRANSLATION)
    if given.attention and config.decode.nbest > 1:
        raise UserError(f"--attention draws only the best translation: leave decode.nbest={config.decode.nbest} out")
    return runs, config


def run(given: Arguments, valid: Trained) -> int:
    """Translate a file or stdin to a file or stdout, or line by line with a person at the terminal.

    Returns:
        0; 2 if lines were refused for their length.
    """
    from seq2seq.runs.loading import load
    from seq2seq.terminal.progress import progress

    loaded = load(*valid)
    if given.source is None and sys.stdin.isatty():
        _converse(loaded, given.attention)
        return 0
    texts: list[str] = []
    number, lost = 0, False
    most, drawn = DRAWN if given.attention else CHUNK, given.attention
    with _opened(given.source or None, most) as (total, batches), progress("translating", total) as done:
        for batch in batches:
            found = loaded.translator.translate(batch, loaded.config.decode, drawn, done, mean=drawn)
            lost |= _name_too_long(number, found, loaded.config.decode)
            written = [_rendered(n, each, loaded, given.attention) for n, each in enumerate(found, start=number + 1)]
            number += len(batch)
            if given.out is None:
                print("".join(written), end="", flush=True)
            else:
                texts += written
    if given.out is not None:
        out = Path(given.out)
        if not out.parent.exists():
            print(f"making the folder {out.parent}", file=sys.stderr)
        write_atomically(out, "".join(texts), follow=True)
    return 2 if lost else 0


def _name_too_long(before: int, found: Sequence[Sequence[Translation]], options: DecodeConfig) -> bool:
    """Name, on stderr, the lines that were too long, after ``before`` others; returns whether they were refused."""
    refused = options.too_long == "refuse"
    for number, translations in enumerate(found, start=before + 1):
        if translations[0].too_long:
            what = "refused: its translation is an empty line" if refused else "only the first are read"
            print(f"line {number}: more than decode.max_input={options.max_input} tokens: {what}", file=sys.stderr)
    return refused and any(translations[0].too_long for translations in found)


@contextmanager
def _opened(source: str | None, most: int) -> Iterator[tuple[int | None, Iterator[list[str]]]]:
    """The number of lines of a file, None if it is a pipe or standard input, and its lines, ``most`` at once."""
    from seq2seq.data import files, streams
    from seq2seq.data.arriving import batches_of_lines

    if source is None:
        yield None, batches_of_lines(sys.stdin.fileno(), "standard input", most)
    elif not streams.is_regular(source):
        with Path(source).open("rb", buffering=0) as pipe:
            yield None, batches_of_lines(pipe.fileno(), source, most)
    else:
        lines = files.lines(source, cut=True)
        first = list(itertools.islice(lines, most))
        total = files.measure(source, cut=True)[0] if first else 0
        rest = iter(lambda: list(itertools.islice(lines, most)), [])
        yield total, itertools.chain([first] if first else [], rest)


def _rendered(number: int, found: Sequence[Translation], loaded: TrainedModel, attention: bool) -> str:
    """The output for one line: its translation, or with n-best ``number<TAB>score<TAB>translation`` for each."""
    from seq2seq.terminal.attention import attention_grid

    if loaded.config.decode.nbest > 1:
        return "".join(f"{number}\t{each.score:.4f}\t{each.text}\n" for each in found)
    best = found[0]
    if not attention:
        return f"{best.text}\n"
    if best.attention is None:
        nothing = loaded.config.model.sees == "nothing"
        seen = "nothing of the source" if nothing else "the source through one fixed vector"
        return f"{best.text}\n(no attention: this model sees {seen})\n"
    [heads_averaged] = best.attention.unbind(1)  # (T, S)
    return f"{best.text}\n{attention_grid(heads_averaged.tolist(), best.src_tokens, best.tgt_tokens)}"


def _converse(loaded: TrainedModel, attention: bool) -> None:
    """Answer each line of the terminal, which is read as a file's lines are; one that ``is_blank`` ends."""
    from seq2seq.data.arriving import Arriving
    from seq2seq.data.blank import is_blank
    from seq2seq.data.files import lines_of

    lines = lines_of(Arriving(sys.stdin.fileno()), "standard input", cut=True)
    print("type a sentence; an empty line ends", file=sys.stderr)
    for number in itertools.count(1):
        print("> ", end="", file=sys.stderr, flush=True)
        line = next(lines, "")
        if is_blank(line):
            return
        [found] = loaded.translator.translate([line], loaded.config.decode, attention, mean=attention)
        _name_too_long(number - 1, [found], loaded.config.decode)
        print(_rendered(number, found, loaded, attention), end="", flush=True)
