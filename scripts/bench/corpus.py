"""The corpora of the benchmark, in the files that every contender reads. Knows text, tokens and ids; starts no worker.

One subword model, trained by our own ``prepare``, serves all: its tokens are written as text and their ids as arrays.
Pairs longer than 128 tokens on a side are dropped from train, so that all train on the same pairs.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.bench.worker import ROOT

if TYPE_CHECKING:
    from seq2seq.config.schema import DataConfig
    from seq2seq.data.encoded import Corpus

CACHE = ROOT / "data" / "bench"
EMBEDDED = ["data=embedded", "data.grammar.version=1"]
VOCABULARY = 8_000  # subwords of the text corpus
VERSION = 2  # of the files written below


@dataclass(frozen=True)
class Text:
    """A corpus on disk: its folder, and the arguments with which our own command line reads the same text."""

    name: str
    folder: Path
    arguments: list[str]
    meta: dict[str, Any]

    @property
    def vocabulary(self) -> int:
        """Tokens in the vocabulary, the special ones included."""
        return int(self.meta["pieces"])


def text_folder() -> Path | None:
    """The folder of real text: $SEQ2SEQ_BENCH_TEXT, else ../shared/data/multi30k, else None (the embedded corpus)."""
    chosen = os.environ.get("SEQ2SEQ_BENCH_TEXT")
    if chosen:
        if not list(Path(chosen).glob("train.*")):
            raise SystemExit(f"SEQ2SEQ_BENCH_TEXT={chosen}: no train.* there")
        return Path(chosen).resolve()
    for folder in (ROOT.parent / "shared" / "data" / "multi30k", ROOT / "shared" / "data" / "multi30k"):
        if (folder / "train.en").exists():
            return folder
    return None


def text_arguments(folder: Path) -> list[str]:
    """Arguments of ``seq2seq train`` for a folder of train.en, train.de, val(id).*, test*.*."""
    languages = sorted((path.suffix[1:] for path in folder.glob("train.*")), key=lambda name: (name != "en", name))
    if len(languages) < 2:
        raise SystemExit(f"{folder}: two files train.* are needed, one a language")
    src, tgt = languages[:2]
    arguments = ["data=text", "data.name=bench", f"data.src={src}", f"data.tgt={tgt}"]
    for split, pattern in (("train", "train"), ("valid", "val*"), ("test", "test*")):
        found = sorted(folder.glob(f"{pattern}.{src}"))
        if found:
            arguments += [f"data.{split}.src={found[0]}", f"data.{split}.tgt={found[0].with_suffix('.' + tgt)}"]
    return arguments


def text() -> Text:
    """The main corpus, with a joint vocabulary of 8,000 subwords (fewer, with a notice, if the text is too small)."""
    folder = text_folder()
    arguments = text_arguments(folder) if folder else EMBEDDED
    return _ready("text", [*arguments, f"data.cache={CACHE}"], VOCABULARY)


def embedded() -> Text:
    """Version 1 of the embedded corpus, on which all figures were taken, with the preset's vocabulary of 2,000."""
    return _ready("embedded", [*EMBEDDED, f"data.cache={ROOT / 'data'}"], None)


def of_name(name: str) -> Text:
    """The corpus called ``text`` or ``embedded``."""
    return {"text": text, "embedded": embedded}[name]()


def _ready(name: str, arguments: list[str], size: int | None) -> Text:
    from seq2seq.config.compose import compose
    from seq2seq.data.encoded import prepare
    from seq2seq.errors import UserError

    for _ in range(2):
        sized = [*arguments, f"data.subwords.vocab_size={size}"] if size else arguments
        config = compose(sized)
        try:
            corpus = prepare(config.data)
            break
        except UserError as error:  # the text is too small for so many subwords
            possible = re.search(r"set it to (\d+) or less", str(error))
            if not possible:
                raise
            size = int(possible[1])
            print(f"the text allows {size:,} subwords, not {VOCABULARY:,}")
    folder = CACHE / f"{name}-{corpus.folder.name}-v{VERSION}"
    if not (folder / "meta.json").exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=CACHE))
        try:
            write(corpus, config.data, temporary)
            shutil.rmtree(folder, ignore_errors=True)
            temporary.chmod(0o755)  # mkdtemp keeps it to its owner
            temporary.replace(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    return Text(name, folder, sized, meta)


def write(corpus: Corpus, data: DataConfig, folder: Path) -> None:
    """Write text, tokens, ids and vocabulary of a prepared ``Corpus``, whose options are ``data``, into ``folder``.

    Raises:
        ValueError: the pairs kept here are not those of the prepared corpus.
    """
    import numpy as np

    from seq2seq.data import filters
    from seq2seq.data.sources import open_source

    source = open_source(data)
    subwords, size = corpus.subwords, corpus.subwords.sizes[0]
    vocabulary = subwords.src_tokens(range(size))
    lines = {}
    for split in ("train", "valid", "test"):
        pairs = list(source.pairs(split))
        if split == "train":
            pairs = list(filters.drop_empty_and_duplicates(iter(pairs), data.filters, Counter()))
        src, tgt = ([line for line, _ in pairs], [line for _, line in pairs])
        ids = [subwords.encode_src(src), subwords.encode_tgt(tgt)]
        if split == "train":
            lengths = [np.array([len(row) for row in side]) for side in ids]
            kept = np.flatnonzero(filters.within_limits(lengths[0], lengths[1], data.filters, Counter())).tolist()
            if len(kept) != len(corpus.splits["train"]):
                raise ValueError(f"{len(kept):,} pairs kept, {len(corpus.splits['train']):,} in the prepared corpus")
            src, tgt = [src[n] for n in kept], [tgt[n] for n in kept]
            ids = [[side[n] for n in kept] for side in ids]
        for name, text, side in (("src", src, ids[0]), ("tgt", tgt, ids[1])):
            _write_lines(folder / f"{split}.{name}", (" ".join(line.split()) for line in text))
            _write_lines(folder / f"{split}.tokens.{name}", (" ".join(vocabulary[i] for i in row[:-1]) for row in side))
        lines[split] = ids
    _write_lines(folder / "vocab.txt", ["<pad>", "<unk>", "<s>", "</s>", *vocabulary[4:]])
    arrays: dict[str, Any] = {}
    for name, side in zip(("src", "tgt"), lines["train"], strict=True):
        arrays[name] = np.fromiter((i for row in side for i in row), np.int64)
        arrays[f"{name}_offsets"] = np.cumsum([0, *(len(row) for row in side)])
    np.savez(folder / "train.ids.npz", **arrays)
    (folder / "subwords.model").write_bytes(subwords.models[0])
    meta = {
        "pairs": len(lines["train"][0]),
        "pieces": size,
        "src_language": data.src,
        "tgt_language": data.tgt,
        "mean_src": float(np.mean([len(row) for row in lines["train"][0]])),
        "mean_tgt": float(np.mean([len(row) for row in lines["train"][1]])),
        "source": data.train.src or data.source,
    }
    (folder / "meta.json").write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)
