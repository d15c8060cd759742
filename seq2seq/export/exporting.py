"""From a run to a folder for CTranslate2. The folder gets its name after its translations were compared with ours."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import ctranslate2

from seq2seq.config.overrides import override
from seq2seq.config.schema import Config
from seq2seq.errors import UserError
from seq2seq.export.mapping import specification
from seq2seq.export.options import Request
from seq2seq.export.samples import LONGEST, sample_of
from seq2seq.export.verification import BEAM, PENALTIES, Comparison, compare, limit
from seq2seq.runs import loading as trained
from seq2seq.system.files import new_folder, write_json
from seq2seq.terminal.numbers import number
from seq2seq.terminal.tables import print_table


def export(request: Request) -> None:
    """Write the folder, compare, and print the comparison.

    Raises:
        UserError: damaged weights, a place that cannot be written, or float32 weights with which CTranslate2 does not
            translate as we do; nothing is left behind.
    """
    config = override(request.config, ["device=cpu", "trainer.precision=fp32"])
    loaded = trained.load([(request.run, request.checkpoint)], config)
    positions = positions_of(config.model)
    with new_folder(request.out) as folder:
        write(folder, loaded, request.quantization, positions)
        sample = sample_of(request.run, loaded.translator.subwords)
        print(f"comparing {len(sample.src)} sentences {sample.what}", file=sys.stderr)
        found = compare(folder, loaded.translator, sample, config.decode, config.data.language)
        refuse_other(request, found)
        record: dict[str, Any] = {"run": request.run.folder.name, "checkpoint": request.checkpoint}
        record |= {"quantization": request.quantization, "positions": positions}
        record |= {"ctranslate2": ctranslate2.__version__, "comparison": dataclasses.asdict(found)}
        write_json(folder / "export.json", record)
    print_comparison(request, found, positions, (request.out / "model.bin").stat().st_size)
    print_usage(request.out, config, positions)


def refuse_other(request: Request, found: Comparison) -> None:
    """Raise ``UserError`` where float32 weights are not translated with as we do."""
    if request.quantization == "none" and not found.agrees:
        raise UserError(
            f"nothing was exported, for CTranslate2 says something else than we do: {found.greedy} of "
            f"{found.sentences} greedy translations are identical and log-probabilities differ by up to "
            f"{found.log_probability:.2g}: please report this with {request.run.config_file}"
        )


def positions_of(model: Any) -> int:
    """Rows of the tables of position encodings: enough for the longest source and our longest translation of it."""
    learned = [part.max_positions for part in (model.encoder, model.decoder) if part.positions == "learned"]
    return max(limit(LONGEST) + 1, *learned, 0)


def write(folder: Path, loaded: trained.TrainedModel, quantization: str, positions: int) -> None:
    """Weights, vocabularies and subword models, as CTranslate2 and SentencePiece read them."""
    subwords = loaded.translator.subwords
    vocabularies = subwords.src_tokens(range(subwords.sizes[0])), subwords.tgt_tokens(range(subwords.sizes[1]))
    spec = specification(loaded.translator.models[0], loaded.config.model, vocabularies, positions)
    spec.config.add_attribute("decode", dataclasses.asdict(loaded.config.decode))  # CTranslate2 does not read it
    spec.validate()
    spec.optimize(None if quantization == "none" else quantization)
    spec.save(str(folder))
    subwords.save(folder)


def print_comparison(request: Request, found: Comparison, positions: int, size: int) -> None:
    """The figures, as a table."""
    rows = {
        "identical greedy translations": f"{found.greedy / found.sentences:.1%}",
        f"identical with beam {BEAM}, length penalty {found.length_penalty}": _of_comparable(found),
        "largest difference of log-probability": f"{found.log_probability:.1e}",
    }
    if found.limited:
        rows["beam searches cut by the limit, left out above"] = str(found.limited)
    if found.ties:
        rows["greedy translations that part at a tie"] = str(found.ties)
    if found.bleu and request.quantization != "none":
        ours, theirs = found.bleu
        rows[f"BLEU with beam {BEAM}"] = f"{ours:.2f}  {theirs:.2f} ({number(theirs - ours, 2, signed=True)})"
    weights = "float32" if request.quantization == "none" else request.quantization
    rows["weights"] = f"{weights}, {size / 1e6:.1f} MB"
    rows["longest translation, in tokens"] = f"{positions - 1:,}"
    print_table(str(request.out), (f"{found.sentences} sentences {found.what}", "ours and theirs"), list(rows.items()))
    if not found.compute_type.startswith(weights):
        print(f"This CPU does not multiply {weights}: CTranslate2 computed in {found.compute_type} here.")


def _of_comparable(found: Comparison) -> str:
    comparable = found.sentences - found.limited
    return f"{found.beam / comparable:.1%}" if comparable else "none can be compared"


def print_usage(folder: Path, config: Config, positions: int) -> None:
    """Print a program that translates with the folder by the run's options, and how its search differs from ours."""
    decode = config.decode
    options = f"beam_size={decode.beam}, length_penalty={PENALTIES.get(decode.length_penalty, 1.0):g}"
    if decode.no_repeat_ngram:
        options += f", no_repeat_ngram_size={decode.no_repeat_ngram}"
    source = min(decode.max_input, positions)
    longest = min(int(source * decode.max_ratio + decode.max_extra), positions - 1)
    print(f"""To translate lines of text:

import ctranslate2, sentencepiece, unicodedata
here = {str(folder.resolve())!r}
src, tgt = (sentencepiece.SentencePieceProcessor(model_file=f"{{here}}/{{side}}.model")
            for side in ("src", "tgt"))
tokens = src.encode([unicodedata.normalize("NFC", line) for line in lines], out_type=str)
found = ctranslate2.Translator(here).translate_batch(
    tokens, {options}, max_batch_size=64,
    max_input_length={source}, min_decoding_length={decode.min_length}, max_decoding_length={longest},
    disable_unk=True, suppress_sequences=[["<pad>"], ["<s>"]])  # as in our search
texts = [tgt.decode(each.hypotheses[0]) for each in found]

How it differs from seq2seq translate:
- Left to their defaults, they read {LONGEST - 1:,} subwords and the end mark of a source, and write
  256 tokens; what is longer is cut without a word. The numbers above are this
  run's own (decode.* in config.json), for its longest source: our search ends at
  {decode.max_ratio:g} x source + {decode.max_extra} tokens of each.
- They divide the probability of <unk>, <pad> and <s> among the other tokens, we
  do not: log-probabilities of a search differ by that, given translations' do not.
- return_attention gives the mean over the heads of the last layer, without EOS;
  seq2seq translate --attention shows the mean over those of all layers.""")
    if (penalty := decode.length_penalty) not in PENALTIES:
        print(f"There is no decode.length_penalty={penalty} there: length_penalty=1 ranks as our average.")
