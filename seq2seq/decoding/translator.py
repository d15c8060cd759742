"""From text to text: models with their subword segmentation. Knows no file and no run folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import astuple, dataclass, replace

import torch
from torch import Tensor

from seq2seq.config.schema import DecodeConfig
from seq2seq.data.batches import Batch, batched, collate, pad
from seq2seq.data.blank import is_blank
from seq2seq.data.subwords import Subwords
from seq2seq.decoding.search import Hypothesis, search
from seq2seq.models.interface import Seq2Seq
from seq2seq.models.kernels.linear import prepacked_weights
from seq2seq.system.processes import ALONE, Group

ROOMY_BEAM = 4
"""The width of a beam from which a batch has ``batch_tokens`` source tokens. A narrower one has more, as many as have
the same number of hypotheses: a step of few hypotheses costs hardly less."""


@dataclass(frozen=True)
class Translation:
    """One hypothesis as text."""

    text: str
    score: float  # what the search ranks by: the log-probability divided by the length penalty
    log_probability: float  # of all tokens, in nats
    src_tokens: list[str]  # S, EOS last
    tgt_tokens: list[str]  # T, EOS last
    attention: Tensor | None  # (T, H, S): for each target token, the weights of the step that predicted it; of the best
    too_long: bool = False  # whether the source is longer than ``max_input``, so that not all of it was read
    token_log_probs: list[float] | None = None  # (T,) in nats, where they were asked for


class Translator:
    """One model, or an ensemble of models with the same vocabulary."""

    def __init__(
        self,
        models: Sequence[Seq2Seq],
        subwords: Subwords,
        device: torch.device,
        autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
        group: Group = ALONE,
    ) -> None:
        """With a group of several processes, each computes a part of the batches, and the leader has all results."""
        self.models, self.subwords, self.device, self.autocast = models, subwords, device, autocast
        self.group = group

    def translate(
        self,
        lines: Sequence[str],
        options: DecodeConfig,
        attention: bool = False,
        done: Callable[[int], None] = lambda count: None,
        probabilities: bool = False,
        mean: bool = False,
    ) -> list[list[Translation]]:
        """The n-best translations of each line, in the order of the lines; an empty line gives an empty text.

        A line of spaces and invisible characters alone is an empty one.

        A line of more than ``options.max_input`` tokens is cut, or gives an empty text, as ``options.too_long`` says.

        Args:
            attention: whether to keep the attention weights of the best translation of each line.
            done: called after each batch with the number of lines in it (batches are of similar lengths).
            probabilities: whether to keep the log-probability of each token.
            mean: whether the mean of the attention maps is kept instead of all: it takes a part of the memory.
        """
        encoded = self.subwords.encode_src(lines, options.max_input)
        too_long = set(self.subwords.too_long(0, lines, options.max_input))
        results = [[Translation("", 0.0, 0.0, [], [], None, n in too_long)] * options.nbest for n in range(len(lines))]
        refused = too_long if options.too_long == "refuse" else ()
        todo = [n for n, line in enumerate(lines) if not is_blank(line) and n not in refused]
        done(len(lines) - len(todo))
        beams = options.nbest if options.sample else options.beam
        positions = options.batch_tokens * max(ROOMY_BEAM, beams) // beams
        with prepacked_weights():
            for rows in self.group.share([*batched([len(encoded[n]) for n in todo], positions, beams)]):
                batch = [todo[row] for row in rows]
                src = torch.from_numpy(pad([encoded[n] for n in batch])).to(self.device)
                with self.autocast():
                    found = search(self.models, src, options, attention, probabilities, mean)
                texts = iter(self.subwords.decode_tgt([h.ids for hypotheses in found for h in hypotheses]))
                for n, hypotheses in zip(batch, found, strict=True):
                    best, *others = hypotheses
                    chosen = [best, *(replace(other, attention=None) for other in others)]
                    results[n] = [self._translation(next(texts), encoded[n], h, n in too_long) for h in chosen]
                done(len(batch))
        return self._of_all(results)

    def alone(self) -> Translator:
        """The same translator, which leaves nothing to other processes."""
        return Translator(self.models, self.subwords, self.device, self.autocast)

    def _of_all(self, results: list[list[Translation]]) -> list[list[Translation]]:
        """On the leader, the translations of all processes; attention stays behind."""
        if self.group.world == 1:
            return results
        own = {
            n: [astuple(replace(each, attention=None)) for each in nbest]
            for n, nbest in enumerate(results)
            if nbest[0].src_tokens
        }
        for part in self.group.collect(own):
            for n, nbest in part.items():
                results[int(n)] = [Translation(*fields) for fields in nbest]
        return results

    def teacher_forcing_batches(
        self, src: Sequence[list[int]], tgt: Sequence[list[int]]
    ) -> Iterator[tuple[list[int], Batch]]:
        """Pairs of token ids as batches on the device, long pairs first, each with the indices of its pairs."""
        for rows in self.group.share([*batched([max(map(len, pair)) for pair in zip(src, tgt, strict=True)])]):
            yield rows, collate([src[n] for n in rows], [tgt[n] for n in rows]).to(self.device)

    def _translation(self, text: str, src: list[int], hypothesis: Hypothesis, too_long: bool) -> Translation:
        maps = hypothesis.attention
        return Translation(
            text=" ".join(text.split("\n")),  # byte tokens can spell a line end: one line in is one line out
            score=hypothesis.score,
            log_probability=hypothesis.log_probability,
            src_tokens=self.subwords.src_tokens(src),
            tgt_tokens=[*self.subwords.tgt_tokens(hypothesis.ids), "</s>"],
            # A copy: a view would keep the maps of the whole batch.
            attention=None if maps is None else maps[..., : len(src)].to("cpu", torch.float32, copy=True),
            too_long=too_long,
            token_log_probs=hypothesis.token_log_probs,
        )
