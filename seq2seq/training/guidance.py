"""Gold alignments of the training pairs as links between tokens, on which ``trainer.guided_attention`` trains.

The tokens of a word share its links. The links are made once from the corpus's alignments, and kept beside the prepared
corpus. Knows corpora, words and tokens; no model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from seq2seq.config.schema import Config
from seq2seq.data import files
from seq2seq.data.encoded import Corpus, Split
from seq2seq.data.preparing import chunks
from seq2seq.data.ragged import RaggedArray, RaggedWriter
from seq2seq.data.sources import ADVICE, open_source
from seq2seq.errors import UserError
from seq2seq.evaluation.alignment import Links, parse_links
from seq2seq.evaluation.words import Pair, encode_pairs, splitter
from seq2seq.system.continued import one_at_a_time
from seq2seq.system.files import new_folder, remove_unfinished
from seq2seq.terminal.progress import progress

NAME = "links"
CHUNK = 1_000  # pairs segmented at once


def training_links(config: Config, corpus: Corpus) -> RaggedArray:
    """The links of each training pair, as ``Split.links`` has them.

    Raises:
        UserError: the corpus has no alignments, or other pairs than were prepared, or its folder cannot be written.
    """
    folder, dtype = corpus.folder / NAME, _type_of(config.data.filters.max_length)
    if not folder.is_dir():
        with one_at_a_time(folder, ADVICE):
            if not folder.is_dir():
                remove_unfinished(corpus.folder)
                with new_folder(folder, shared=True, advice=ADVICE) as work:
                    writer = RaggedWriter(work, NAME, dtype)
                    for some in chunks_of_links(config, corpus):
                        writer.extend(some)
                    writer.close()
    try:
        found = RaggedArray(folder, NAME, dtype)
    except (OSError, EOFError, ValueError) as error:
        raise UserError(f"{folder} is damaged ({error}): delete it and start the same command again") from error
    if len(found) != len(corpus.splits["train"]):
        raise UserError(f"{folder} has links of other pairs: delete it and start the same command again")
    return found


def _type_of(max_length: int) -> str:
    """The type that holds a place in a pair of at most so many tokens; a prepared corpus has one ``max_length``."""
    return "uint16" if max_length <= 1 << 16 else "uint32"


def chunks_of_links(config: Config, corpus: Corpus) -> Iterator[list[list[int]]]:
    """The links of the training pairs that were kept, in their order.

    The source also yields pairs that the filters dropped. A pair is the next one that was kept if it has that one's
    ids; one that was dropped, because it is too long, empty or a repetition, never has them.
    """
    source, train, row = open_source(config.data, "train"), corpus.splits["train"], 0
    file = source.alignment_file("train")
    if file is None:
        raise UserError(f"{source.describe('train')} has no gold alignments: leave trainer.guided_attention out")
    texts = zip(source.pairs("train"), files.lines(str(file)), strict=False)
    with progress("aligning tokens", len(train)) as done:
        for chunk in chunks(texts, CHUNK):
            src, tgt = zip(*(pair for pair, _ in chunk), strict=True)
            longest = config.data.filters.max_length + 1  # one token more, so that a line that is too long stays so
            pairs = encode_pairs(
                corpus.subwords, src, tgt, splitter(config, src), longest, split_tgt=splitter(config, tgt)
            )
            found = []
            for pair, (_, line) in zip(pairs, chunk, strict=True):
                if row < len(train) and _is(pair, train, row):
                    found.append(token_links(pair, parse_links(line)))
                    row += 1
            yield found
            done(len(found))
    if row < len(train):
        raise UserError(f"{file}: its pairs are others than those of {corpus.folder}: delete that and start again")


def _is(pair: Pair, train: Split, row: int) -> bool:
    return np.array_equal(train.src[row], pair.src_ids) and np.array_equal(train.tgt[row], pair.tgt_ids)


def token_links(pair: Pair, links: Links) -> list[int]:
    """The places of a target and of a source token, one after the other, for all tokens of the words of each link."""
    places: list[int] = []
    src, tgt = (_tokens_of_words(side.of_token) for side in (pair.src, pair.tgt))
    for i, j in sorted(links):
        places += (place for t in tgt.get(j, ()) for s in src.get(i, ()) for place in (t, s))
    return places


def _tokens_of_words(of_token: Sequence[int | None]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for token, word in enumerate(of_token):
        if word is not None:
            found.setdefault(word, []).append(token)
    return found
