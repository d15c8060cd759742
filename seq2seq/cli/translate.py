"""``seq2seq translate``. Knows runs, files, stdin and stdout; the translations are made by ``decoding``."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from seq2seq.cli.arguments import RUNS, TRANSLATION, Arguments, Parser, Trained, runs_and_config
from seq2seq.cli.help import reference
from seq2seq.errors import UserError
from seq2seq.system.files import write_atomically

if TYPE_CHECKING:
    from seq2seq.decoding.translator import Translation
    from seq2seq.runs.loading import TrainedModel

CHUNK = 2_000  # lines translated at once from a file or a pipe


def parser() -> Parser:
    taken = Parser("translate", "Translate with a trained run, or an ensemble of several.", reference(TRANSLATION))
    taken.add_argument("arguments", nargs="*", metavar="RUN … key=value …", help=RUNS)
    taken.add_argument("--in", dest="source", metavar="FILE", help="text, one sentence a line (default: stdin)")
    taken.add_argument("--out", metavar="FILE", help="where to write, a line for every line (default: stdout)")
    taken.add_argument("--attention", action="store_true", help="draw the attention weights of each target token")
    return taken


validate = runs_and_config


def run(given: Arguments, valid: Trained) -> int:
    """Translate a file or stdin to a file or stdout, or line by line with a person at the terminal."""
    from seq2seq.runs.loading import load
    from seq2seq.terminal.progress import progress

    loaded = load(*valid)
    if given.source is None and sys.stdin.isatty():
        _converse(loaded, given.attention)
        return 0
    total, lines = _opened(given.source) if given.source else (None, stdin_lines())
    texts: list[str] = []
    numbers = itertools.count(1)
    with progress("translating", total) as done:
        while chunk := list(itertools.islice(lines, CHUNK)):
            found = loaded.translator.translate(chunk, loaded.config.decode, given.attention, done)
            written = [_rendered(next(numbers), each, loaded, given.attention) for each in found]
            if given.out is None:
                print("".join(written), end="", flush=True)
            else:
                texts += written
    if given.out is not None:
        write_atomically(Path(given.out), "".join(texts))
    return 0


def _opened(source: str) -> tuple[int, Iterator[str]]:
    """The number of lines of a file, and the lines; an empty file has none."""
    from seq2seq.data import files

    path = Path(source)
    if path.exists() and not path.is_file() and not path.is_dir():
        raise UserError(f"{source}: not a regular file: pipe it into standard input instead")
    if path.is_file() and path.stat().st_size == 0:
        return 0, iter(())
    return files.measure(source)[0], files.lines(source)


def stdin_lines() -> Iterator[str]:
    """Lines of standard input, split at the line feed alone. Raises ``UserError`` for one that is not UTF-8."""
    for number, line in enumerate(sys.stdin.buffer, start=1):
        try:
            yield line.removesuffix(b"\n").removesuffix(b"\r").decode()
        except UnicodeDecodeError as error:
            raise UserError(f"standard input:{number}: not UTF-8: convert the text to UTF-8") from error


def _rendered(number: int, found: Sequence[Translation], loaded: TrainedModel, attention: bool) -> str:
    """The output for one line: its translation, or with n-best ``number<TAB>score<TAB>translation`` for each."""
    from seq2seq.terminal.attention import attention_grid

    if loaded.config.decode.nbest > 1:
        return "".join(f"{number}\t{each.score:.4f}\t{each.text}\n" for each in found)
    best = found[0]
    if not attention:
        return f"{best.text}\n"
    if best.attention is None:
        return f"{best.text}\n(no attention: this model sees the source through one fixed vector)\n"
    heads_averaged = best.attention.mean(1).tolist()  # (T, S)
    return f"{best.text}\n{attention_grid(heads_averaged, best.src_tokens, best.tgt_tokens)}"


def _converse(loaded: TrainedModel, attention: bool) -> None:
    print("type a sentence; an empty line ends", file=sys.stderr)
    for number in itertools.count(1):
        try:
            print("> ", end="", file=sys.stderr, flush=True)
            line = input()
        except EOFError:
            return
        if not line.strip():
            return
        [found] = loaded.translator.translate([line], loaded.config.decode, attention)
        sys.stdout.write(_rendered(number, found, loaded, attention))
