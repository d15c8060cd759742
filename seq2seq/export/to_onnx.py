"""From a run to a folder of ONNX graphs that translates without the run. The folder gets its name after it was compared
with our model.
"""

from __future__ import annotations

import dataclasses
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from seq2seq.config.overrides import override
from seq2seq.config.schema import Config
from seq2seq.errors import UserError
from seq2seq.export.onnx_checks import (
    BEAM,
    Logits,
    Translations,
    compare_logits,
    compare_translations,
)
from seq2seq.export.onnx_graphs import export_graphs
from seq2seq.export.onnx_int8 import quantise
from seq2seq.export.options import Request
from seq2seq.export.samples import Sample, sample_of
from seq2seq.export.to_folder import portable
from seq2seq.runs import loading as trained
from seq2seq.runs.onnx_files import ENCODER, STEP, write_record
from seq2seq.runs.onnx_model import onnxruntime
from seq2seq.runs.run import ONNX, Run
from seq2seq.system.files import new_folder, write_atomically
from seq2seq.terminal.numbers import number
from seq2seq.terminal.tables import print_table

SUBWORDS = "subwords"
OF_TEXT = 500  # sentences whose BLEU tells what a quantisation costs


def export(request: Request) -> None:
    """Write the folder, compare, and print the comparison.

    Raises:
        UserError: damaged weights, a place that cannot be written, or graphs that do not compute what the model does;
            nothing is left behind.
    """
    package = onnxruntime()
    config = override(request.config, ["device=cpu", "trainer.precision=fp32"])
    loaded = trained.load([(request.run, request.checkpoint)], config)
    subwords = loaded.translator.subwords
    sample = sample_of(request.run, subwords)
    with new_folder(request.out) as folder:
        export_graphs(loaded.translator.models[0], subwords.sizes, folder)
        subwords.save(folder / SUBWORDS)
        Run(folder).save_config(replace(portable(config), device="cpu"))
        logits = _agreeing(folder, loaded, sample)
        if request.quantization != "none":
            quantise(folder)
            write_record(folder, request.quantization, {})
            sample = sample_of(request.run, subwords, "valid", OF_TEXT)
        print(f"comparing {len(sample.src)} sentences {sample.what}", file=sys.stderr)
        theirs = trained.load([(Run(folder), ONNX)], config).translator
        found = compare_translations(loaded.translator, theirs, sample, config.decode, config.data.language)
        record: dict[str, Any] = {"run": request.run.folder.name, "checkpoint": request.checkpoint}
        record |= {"onnxruntime": package.__version__, "logits": dataclasses.asdict(logits)}
        write_record(folder, request.quantization, {**record, "comparison": dataclasses.asdict(found)})
        write_atomically(folder / "README.md", _readme(config, request.quantization))
    _print(request, logits, found)


def _agreeing(folder: Path, loaded: trained.TrainedModel, sample: Sample) -> Logits:
    """How far the written float32 graphs are from the model. Raises ``UserError`` where they are too far."""
    write_record(folder, "none", {})
    theirs = trained.load([(Run(folder), ONNX)], loaded.config).translator
    [model], [graphs], longest = loaded.translator.models, theirs.models, loaded.config.decode.max_input
    found = compare_logits(model, graphs, theirs.subwords, sample.src, longest)
    if not found.agree:
        raise UserError(
            f"nothing was exported, for the graphs do not compute what the model does: logits differ by up to "
            f"{found.difference:.2g} (the largest is {found.largest:.3g}): please report this with "
            f"{loaded.run.config_file}"
        )
    return found


def _print(request: Request, logits: Logits, found: Translations) -> None:
    """The figures, as a table, and how to translate."""
    out = request.out
    sizes = {name: (out / name).stat().st_size for name in (ENCODER, STEP)}
    rows = {
        "largest difference of a logit, float32": f"{logits.difference:.1e}",
        "identical greedy translations": f"{found.greedy / found.sentences:.1%}",
        f"identical with beam {BEAM}": f"{found.beam / found.sentences:.1%}",
    }
    if found.bleu and request.quantization != "none":
        ours, theirs = found.bleu
        rows[f"BLEU with beam {BEAM}"] = f"{ours:.2f}  {theirs:.2f} ({number(theirs - ours, 2, signed=True)})"
    weights = "float32" if request.quantization == "none" else request.quantization
    rows["weights"] = f"{weights}, {sum(sizes.values()) / 1e6:.1f} MB"
    print_table(str(out), (f"{found.sentences} sentences {found.what}", "ours and theirs"), list(rows.items()))
    print(f"To translate: seq2seq translate {shlex.quote(str(out))}")


def _readme(config: Config, quantization: str) -> str:
    decode = config.decode
    weights = "float32" if quantization == "none" else quantization
    return f"""# {config.model.name}, {config.data.src or "source"} to {config.data.tgt or "target"}

A translation model as two ONNX graphs ({weights}), compared with the model that it was exported from (`onnx.json`).
It needs `pip install 'seq2seq-trainer[onnx]'`:

    seq2seq translate FOLDER --in FILE
    python -c 'import seq2seq; print(seq2seq.load("FOLDER").translate(["…"])[0].text)'

Search options such as `decode.beam=1` are those of a run. A source has at most {decode.max_input} subwords, of which
the end mark is one, a translation {decode.max_ratio:g} times as many as its source and {decode.max_extra} more.

For other programs: text is normalised to NFC and segmented by `subwords/src.model` (SentencePiece), the ids end with
EOS (3); padding is 0. `encoder.onnx` maps `src` (B, S) to the memory and the first state; `step.onnx` maps `token`
(B, K), first BOS (2), `mask` (B, S; true at real positions), the memory and the state to `logits` (B, K, V), the new
state (`next_…`) and, where the model has any, `attention` (B, K, H, S). An input of the step that neither is given nor
comes from the encoder begins with zeros (B, 1, …); a free length in it begins with 0. Our search never writes the ids
0, 1 and 2, and ends a translation with EOS.
"""
