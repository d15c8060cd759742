"""``data.reverse``: the config of the other direction. Knows configs; reads no file."""

from __future__ import annotations

from dataclasses import replace

from seq2seq.config.schema import Config, SplitConfig
from seq2seq.errors import UserError


def directed(config: Config) -> Config:
    """The config that a run is made of: with ``data.reverse`` the two sides have changed places, everywhere.

    Only the config of a command has ``reverse``; that of a run says what its source and target are, so that whatever
    reads it later need not know of it. The corpus gets another name, and so does the folder of the run.
    """
    data = config.data
    if not data.reverse:
        return config
    src, tgt = data.codes
    splits = (data.train, data.valid, data.test, *data.tests.values())
    if data.source == "text" and any(split.file for split in splits) and not (src and tgt):
        raise UserError("data.reverse=true: a file that holds both sides needs data.src and data.tgt to tell them")
    numbers = ("1", "2") if data.source == "tsv" else (None, None)  # other tables have columns named by the codes
    reversed_ = replace(
        data,
        reverse=False,
        name=f"{data.name}-{tgt}-{src}" if src and tgt else f"{data.name}-reversed",
        src=tgt,
        tgt=src,
        src_column=data.tgt_column or numbers[1],
        tgt_column=data.src_column or numbers[0],
        train=_swapped(data.train),
        valid=_swapped(data.valid),
        test=_swapped(data.test),
        tests={name: _swapped(test) for name, test in data.tests.items()},
    )
    return replace(config, data=reversed_)


def _swapped(split: SplitConfig) -> SplitConfig:
    return replace(split, src=split.tgt, tgt=split.src)
