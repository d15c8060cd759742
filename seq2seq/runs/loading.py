"""From run folders to models that translate. Knows checkpoints; searches nothing itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from seq2seq.config.overrides import override
from seq2seq.config.schema import Config, SplitConfig
from seq2seq.data import files
from seq2seq.data.sources import TextCorpus, open_source
from seq2seq.data.subwords import Subwords
from seq2seq.decoding.translator import Translation, Translator
from seq2seq.errors import UserError
from seq2seq.models.build import build
from seq2seq.models.interface import Seq2Seq
from seq2seq.runs import checkpoint
from seq2seq.runs.run import ONNX, Run
from seq2seq.system.devices import autocast, choose_device, choose_precision, prepare_process, use_threads
from seq2seq.system.files import write_atomically

Done = Callable[[int], None]  # called after each batch with the number of lines that it finished


@dataclass(frozen=True)
class TrainedModel:
    """One trained model, or several of one vocabulary whose probabilities are averaged (an ensemble).

    Attributes:
        translator: text in, text out.
        config, run, checkpoint: of the first model.
        models: the checkpoints' files.
        steps: of each, the updates after which its weights were saved; None where the file does not say.
    """

    translator: Translator
    config: Config
    run: Run
    checkpoint: str
    models: list[str]
    steps: list[int | None]

    def translate(
        self, lines: Sequence[str], *, attention: bool = False, done: Done = lambda n: None, **search: Any
    ) -> list[Translation]:
        """The best translation of each line, in the order of the lines; an empty line gives an empty text.

        Args:
            lines: detokenised sentences; they are batched by length. Of one of more than ``decode.max_input`` tokens
                the first are read, or none (``decode.too_long``), and its ``Translation.too_long`` is True.
            attention: keep the attention weights of the best translation, ``Translation.attention`` (T, H, S), where
                the model has any.
            done: called after each batch with the number of lines that it finished.
            search: options of ``DecodeConfig`` that differ from the run's own, such as ``beam=1``.

        Raises:
            UserError: an unknown option or an impossible value.
        """
        if "nbest" in search:
            raise UserError("translate gives the best translation of each line: for several, use translate_nbest")
        return [found[0] for found in self.translate_nbest(lines, 1, attention=attention, done=done, **search)]

    def translate_nbest(
        self, lines: Sequence[str], nbest: int, *, attention: bool = False, done: Done = lambda n: None, **search: Any
    ) -> list[list[Translation]]:
        """The ``nbest`` best translations of each line, the best first. Arguments and errors as in ``translate``."""
        options = [f"decode.{name}={value}" for name, value in {**search, "nbest": nbest}.items()]
        return self.translator.translate(lines, override(self.config, options).decode, attention, done)


def load(runs: Sequence[tuple[Run, str]], config: Config) -> TrainedModel:
    """Load the checkpoints (run, name) of one model or of an ensemble, onto the device of ``config``.

    Graphs of ONNX compute on the CPU, in the precision that they were written with.

    Raises:
        UserError: damaged or foreign weights, or runs that do not share their subwords.
    """
    prepare_process()
    use_threads(config.trainer.threads)
    graphs = [run for run, name in runs if name == ONNX]
    if graphs and config.device not in ("auto", "cpu"):
        raise UserError(f"{graphs[0].folder} is computed on the CPU: use device=cpu or the run that it was made from")
    if graphs and len(graphs) == len(runs) and config.trainer.precision not in ("auto", "fp32"):
        advice = "leave trainer.precision out, or export with --quantization"
        raise UserError(f"{graphs[0].folder} is computed in the precision that it was written with: {advice}")
    device = choose_device("cpu" if graphs else config.device)
    models: list[Seq2Seq] = []
    steps: list[int | None] = []
    subwords = Subwords.load(runs[0][0].subwords)
    for run, name in runs:
        if Subwords.load(run.subwords).models != subwords.models:
            raise UserError(f"{run.folder}: other subwords than {runs[0][0].folder}: an ensemble must share them")
        model, step = _model_of(run, name, subwords.sizes)
        models.append(model.to(device).eval())
        steps.append(step)
    precision = autocast(device, choose_precision(config.trainer.precision, device))
    torch.manual_seed(config.seed)  # of sampling
    names = [str(run.checkpoint(name)) for run, name in runs]
    return TrainedModel(Translator(models, subwords, device, precision), config, *runs[0], names, steps)


def _model_of(run: Run, name: str, sizes: tuple[int, int]) -> tuple[Seq2Seq, int | None]:
    """The model of a checkpoint, or of exported graphs, for vocabularies of these sizes; and its updates, if known."""
    if name == ONNX:
        from seq2seq.runs.onnx_model import open_graphs  # of an extra

        return open_graphs(run.folder, sizes[1]), None
    model = build(run.load_config().model, *sizes)
    return model, checkpoint.step_of(checkpoint.load_weights(run.checkpoint(name), model))


def corpus_of(config: Config, split: str | None = None) -> TextCorpus:
    """The corpus of a run, or what is needed of it for one ``split``, as ``open_source`` opens it.

    Raises:
        UserError: the run's own paths would be read, which nobody has allowed.
    """
    data, asked = config.data, split or "train"
    allowed = (data.train, data.split_options(asked))
    if data.source in ("grammar", "hub") or any(each != SplitConfig() for each in allowed):
        return open_source(data, split)
    raise UserError(
        f"the run's config names files for the split {asked}, which are not read since the run may be a stranger's: "
        "add --corpus if you trust it, or give files of your own"
    )


def split_of_source(config: Config, split: str) -> tuple[list[str], list[str]]:
    """Sources and references of a split, from the corpus itself. Raises as ``corpus_of`` does."""
    return unzip(corpus_of(config, split).pairs(split))


def gold_file(config: Config, split: str, pairs: tuple[list[str], list[str]]) -> Path | None:
    """The file of a split's gold alignment; None unless the embedded grammar, which alone has one, makes the pairs."""
    if config.data.source != "grammar":
        return None
    source = open_source(config.data, split)
    return source.alignment_file(split) if unzip(source.pairs(split)) == pairs else None


def save_split(run: Run, split: str, src: Sequence[str], references: Sequence[str]) -> None:
    """Write the text of a split into the run, so that it can be scored again anywhere."""
    for path, content in _files_of_split(run, split, src, references):
        write_atomically(path, content)


def has_other_text(run: Run, split: str, src: Sequence[str], references: Sequence[str]) -> bool:
    """Whether the run has saved another text of a split than this."""
    saved = [(path, content) for path, content in _files_of_split(run, split, src, references) if path.exists()]
    return any(path.read_bytes() != content for path, content in saved)


def _files_of_split(run: Run, split: str, *sides: Sequence[str]) -> list[tuple[Path, bytes]]:
    paths = (run.evaluation(split) / f"{side}.txt" for side in ("src", "ref"))
    return [(path, "".join(f"{line}\n" for line in side).encode()) for path, side in zip(paths, sides, strict=True)]


def saved_split(run: Run, split: str) -> tuple[list[str], list[str]] | None:
    """Sources and references of a split as the run saved them beside its scores; None if it did not."""
    src, ref = (run.evaluation(split) / f"{side}.txt" for side in ("src", "ref"))
    if not (src.exists() and ref.exists()):
        return None
    return unzip(files.text_files(str(src), str(ref)).pairs())


def unzip(pairs: Iterable[tuple[str, str]]) -> tuple[list[str], list[str]]:
    """A list of the first elements and a list of the second ones."""
    both = list(pairs)
    return [src for src, _ in both], [tgt for _, tgt in both]
