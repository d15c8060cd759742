"""The models that are served: what they are, what a text costs, and what is told of a translation. Knows no HTTP."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from seq2seq.analysis.explorer import names_of_maps, rounded_attention
from seq2seq.analysis.loaded_run import SEED, evenly
from seq2seq.config.schema import Config, DecodeConfig
from seq2seq.data.batches import batched
from seq2seq.data.blank import is_blank
from seq2seq.data.lengths import unit_of
from seq2seq.decoding.translator import Translation
from seq2seq.evaluation.words import splitter
from seq2seq.runs.loading import TrainedModel, load, saved_split
from seq2seq.runs.run import Run
from seq2seq.serve.limits import Refusal
from seq2seq.serve.messages import Wanted

EXAMPLES, EXAMPLE_LENGTH = 30, 150  # sentences of the test split that the page offers, and their characters at most
ATTENTION_TOKENS = 512  # of a batch whose attention is kept: 256 source tokens are then two of the longest texts
WEIGHTS = 200_000  # of the attention of one translation; of more, only the mean of the maps is told
MEAN = "mean"


Maps = Literal["all", "mean", "none"]
"""Which maps of the attention are computed and told: the more there is of it, the fewer."""


class Key(NamedTuple):
    """What tasks of one batch have in common: the model's place in the list, and what is wanted."""

    model: int
    wanted: Wanted
    maps: Maps = "all"  # of attention, where it is wanted


@dataclass(frozen=True)
class ServedModel:
    """A trained model under a name, with sentences to try it on."""

    name: str
    trained: TrainedModel
    examples: list[str]

    @property
    def options(self) -> DecodeConfig:
        """The search, where a request does not say otherwise."""
        return self.trained.config.decode

    @property
    def map_names(self) -> list[str]:
        """Names of the attention maps without their mean; none for a model without attention."""
        return names_of_maps(self.trained.config.model.attention_maps)

    @property
    def parameters(self) -> int | None:
        """Their number in all models of an ensemble; None for graphs, which do not tell it."""
        return sum(p.numel() for model in self.trained.translator.models for p in model.parameters()) or None

    def described(self) -> dict[str, Any]:
        """What ``GET /api/models`` tells of it."""
        config = self.trained.config
        codes = config.data.codes
        return {
            "name": self.name,
            "architecture": config.model.name,
            "sees": config.model.sees,
            "source": codes[0],
            "target": codes[1],
            "parameters": self.parameters,
            "maps": self.map_names,
            "beam": self.options.beam,
            "longest": self.options.max_input,
            "examples": self.examples,
            "between": unit_of(self.examples).between,
        }

    def lengths_of(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, EOS included.

        Raises:
            Refusal: 413, a text has more than ``decode.max_input``.
        """
        longest, subwords = self.options.max_input, self.trained.translator.subwords
        if subwords.too_long(0, texts, longest):
            raise Refusal(413, f"a text of more than {longest} tokens of {self.name} (decode.max_input)")
        return list(map(len, subwords.encode_src(texts, longest)))

    def search_options(self, wanted: Wanted) -> DecodeConfig:
        """The search for what is wanted.

        Raises:
            Refusal: 400, more alternatives than the beam is wide.
        """
        beam, nbest = wanted.beam or self.options.beam, max(wanted.alternatives, 1)
        if nbest > beam and not self.options.sample:
            raise Refusal(400, f'"alternatives" is {nbest}, but the beam of {self.name} is {beam} wide')
        batch_tokens = self.options.batch_tokens
        if wanted.attention:
            batch_tokens = min(batch_tokens, ATTENTION_TOKENS)
        return replace(self.options, beam=beam, nbest=nbest, batch_tokens=batch_tokens)

    def answers(self, texts: Sequence[str], wanted: Wanted, maps: Maps = "all") -> list[dict[str, Any]]:
        """For each text its translation and what is wanted of it, as plain data; of attention, these ``maps``."""
        options, translate = self.search_options(wanted), self.trained.translator.translate
        batches: Iterable[Sequence[int]] = [range(len(texts))]
        drawn, mean = wanted.attention and maps != "none", maps == "mean"
        if drawn:  # each batch of the search is told at once: no other's weights are held beside it
            batches = batched(self.lengths_of(texts), options.batch_tokens)
        told: dict[int, dict[str, Any]] = {}
        for rows in batches:
            lines = [texts[n] for n in rows]
            found = translate(lines, options, drawn, probabilities=wanted.probabilities, mean=mean)
            told |= {n: self._told(texts[n], nbest, wanted) for n, nbest in zip(rows, found, strict=True)}
        return [told[n] for n in range(len(texts))]

    def _told(self, text: str, nbest: Sequence[Translation], wanted: Wanted) -> dict[str, Any]:
        best = nbest[0]
        told = {**_scored(best), "tokens": best.tgt_tokens, "source_tokens": best.src_tokens}
        if wanted.probabilities:
            told["probabilities"] = [round(math.exp(each), 4) for each in best.token_log_probs or ()]
        if wanted.attention:
            told |= self._attention(text, best)
        if wanted.alternatives:
            told["alternatives"] = [] if is_blank(text) else [_scored(each) for each in nbest]
        return told

    def _attention(self, text: str, best: Translation) -> dict[str, Any]:
        """The words of both sides and the weights between them: the mean of all maps, then each of several."""
        config = self.trained.config
        source, words = splitter(config, [text])(text), splitter(config, [best.text])(best.text)
        units = [unit_of([each]).name for each in (text, best.text)]
        told: dict[str, Any] = {"source_words": source, "words": words, "units": units, "attention": None}
        if best.attention is not None:
            maps, names = with_mean(best.attention, self.map_names)
            if maps.shape[1] * len(source) * len(words) > WEIGHTS:
                maps, names = maps[:, :1], names[:1]
            weights = rounded_attention(replace(best, attention=maps), text, source, words)
            told["attention"] = {"maps": names, "weights": weights}
        return told


def with_mean(attention: Tensor, names: Sequence[str]) -> tuple[Tensor, list[str]]:
    """Attention (T, H, S) with the mean of its maps in front, and the names; a single map is its own mean."""
    if attention.shape[1] == 1:
        return attention, [MEAN]
    return torch.cat([attention.mean(1, keepdim=True), attention], 1), [MEAN, *names]


def _scored(found: Translation) -> dict[str, Any]:
    """A hypothesis; its figures are None where the search found none that ends."""
    figures = {"score": found.score, "log_probability": found.log_probability}
    return {"text": found.text, **{name: v if math.isfinite(v) else None for name, v in figures.items()}}


def open_models(runs: Sequence[tuple[Run, str]], configs: Sequence[Config]) -> list[ServedModel]:
    """Load each run by its own config, under the name of its architecture, or of its folder where that is another's."""
    names = names_of([config.model.name for config in configs], [(run.folder, checkpoint) for run, checkpoint in runs])
    return [
        ServedModel(name, load([found], config), _examples(found[0]))
        for name, found, config in zip(names, runs, configs, strict=True)
    ]


def names_of(models: Sequence[str], weights: Sequence[tuple[Path, str]]) -> list[str]:
    """A name for each model, all different: the architecture's, else the part of its folder that differs.

    ``weights``: folder and checkpoint of each. Of several checkpoints of one run the checkpoint is part of the name.
    """
    if len(set(models)) == len(models):
        return list(models)
    folders = [folder.resolve() for folder, _ in weights]
    paths = [
        path / checkpoint if folders.count(path) > 1 else path
        for path, (_, checkpoint) in zip(folders, weights, strict=True)
    ]
    top = Path(os.path.commonpath(paths))
    if top in paths:  # a run beside its own export
        top = top.parent
    names = [os.path.relpath(path, top).replace(os.sep, "/") for path in paths]
    earlier = [names[:n].count(name) for n, name in enumerate(names)]  # the same weights, once more
    return [f"{name} {count + 1}" if count else name for name, count in zip(names, earlier, strict=True)]


def _examples(run: Run) -> list[str]:
    """Sentences of the test split that are not long; none where the run has not saved it."""
    test = saved_split(run, "test")
    if test is None:
        return []
    src = [line for line in test[0] if not is_blank(line) and len(line) <= EXAMPLE_LENGTH]
    chosen = [src[n] for n in evenly(src, EXAMPLES)]
    random.Random(SEED).shuffle(chosen)
    return chosen
