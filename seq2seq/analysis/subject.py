"""A finished run, loaded so that it can be asked questions. Knows run folders and texts; measures nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from seq2seq.config.overrides import override
from seq2seq.config.schema import Config
from seq2seq.data.sources import open_source
from seq2seq.decoding.translator import Translator
from seq2seq.errors import UserError
from seq2seq.evaluation.alignment import Links, parse_links
from seq2seq.models.interface import Seq2Seq
from seq2seq.runs.loading import load, saved_split, unzip
from seq2seq.runs.run import Run, find


@dataclass(frozen=True)
class Subject:
    """One run with its test split (whole), its validation split, and the test pairs' gold alignment if there is one."""

    run: Run
    config: Config
    translator: Translator
    src: list[str]
    references: list[str]
    valid: tuple[list[str], list[str]]
    gold: list[Links] | None

    @property
    def model(self) -> Seq2Seq:
        """The one model of the run."""
        return self.translator.models[0]

    @classmethod
    def open(cls, folder: Path, cache: str | None = None) -> Subject:
        """Load a finished run; the validation split and the gold come from its corpus (``cache``: where that is now).

        Raises:
            UserError: no finished run there, or its corpus is gone.
        """
        run, checkpoint = find(folder)
        test = saved_split(run, "test")
        if not run.finished or test is None:
            raise UserError(f"{folder}: not finished: start the same `seq2seq train` again")
        config = override(run.load_config(), [])
        if cache is not None:
            config = replace(config, data=replace(config.data, cache=cache))
        source = open_source(config.data)
        links = source.alignment_file("test")
        gold = None
        if links is not None and unzip(source.pairs("test")) == test:  # else the grammar has changed since
            gold = [parse_links(line) for line in links.read_text("utf-8").splitlines()]
        loaded = load([(run, checkpoint)], config)
        return cls(run, config, loaded.translator, *test, unzip(source.pairs("valid")), gold)
