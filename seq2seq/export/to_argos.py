"""From a run to a package of Argos Translate and LibreTranslate: CTranslate2's model, subwords and a sentence splitter
in a zip. It gets its name after its translations were compared with ours.
"""

from __future__ import annotations

import io
import re
import shlex
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

import ctranslate2

from seq2seq.config.overrides import override
from seq2seq.data.languages import NAMES as LANGUAGES
from seq2seq.data.languages import Language
from seq2seq.data.subwords import NAMES
from seq2seq.errors import UserError
from seq2seq.evaluation.metrics import BLEU
from seq2seq.export import exporting
from seq2seq.export.options import Request
from seq2seq.export.samples import Sample, sample_of
from seq2seq.export.splitter import splitter
from seq2seq.export.verification import Comparison, Exported, compare
from seq2seq.runs import loading as trained
from seq2seq.system.files import new_file, to_json
from seq2seq.terminal.numbers import number
from seq2seq.terminal.tables import print_table

BEAM, LENGTH_PENALTY = 4, 0.2  # argostranslate/translate.py and settings.py, 1.11.0
COMPUTE_TYPES = {"argostranslate 1.11": "auto", "argos-translate-lt 1.12": "default"}
DATE = (1980, 1, 1, 0, 0, 0)  # the first that a zip knows
CODES = {"no": "nb"}  # Argos's code where it is not ours
LIMITS = """\
- Text is cut into sentences by punctuation alone; after "Mrs." a sentence ends, too.
- Of a sentence, 1,023 subwords are read; 256 are written at most. What is longer is cut without a word.
- Underscores in a translation become spaces.
- Text is not normalised: give letters with their accents as one character (Unicode NFC).
- The search is fixed: beam 4, length penalty 0.2. argostranslate 1.11 computes in int8 on most CPUs.
"""


class Pair(NamedTuple):
    """Argos's codes and English names of two languages."""

    src: str
    src_name: str
    tgt: str
    tgt_name: str

    @property
    def folder(self) -> str:
        """The package's folder: a later export of the pair takes its place."""
        return f"seq2seq-{self.src}_{self.tgt}"


def export(request: Request) -> None:
    """Write the package, compare, and print the comparison.

    Raises:
        UserError: languages without a code, two vocabularies, damaged weights, a place that cannot be written, or
            float32 weights with which CTranslate2 does not translate as we do; nothing is left behind.
    """
    pair = pair_of(request)
    config = override(request.config, ["device=cpu", "trainer.precision=fp32"])
    loaded = trained.load([(request.run, request.checkpoint)], config)
    src_model, tgt_model = loaded.translator.subwords.models
    if src_model != tgt_model:
        raise UserError(
            f"{request.run.folder} has a vocabulary for each side, and an Argos package holds one: train with "
            "data.subwords.joint=true, or export --to ctranslate2"
        )
    sample = sample_of(request.run, loaded.translator.subwords, "valid")
    with new_file(request.out, "choose another file with --out") as file:
        folder = file.with_name("ctranslate2")
        folder.mkdir()
        exporting.write(folder, loaded, request.quantization, exporting.positions_of(config.model))
        print(f"comparing {len(sample.src)} sentences {sample.what}", file=sys.stderr)
        found = compare(folder, loaded.translator, sample, config.decode, config.data.language)
        exporting.refuse_other(request, found)
        ours = [each[0].text for each in loaded.translator.translate(sample.src, config.decode)]
        theirs = {program: translate(folder, sample.src, kind) for program, kind in COMPUTE_TYPES.items()}
        file.write_bytes(_zip(folder, src_model, pair))
    _print(request, sample, found, ours, theirs)


def pair_of(request: Request) -> Pair:
    """Raises ``UserError`` where the run does not know its languages."""
    parts: list[str] = []
    for side, code in zip(("src", "tgt"), request.config.data.codes, strict=True):
        found = argos_code(code) if code else None
        if found is None:
            said = f"as {code!r}, which is no code" if code else "nowhere"
            raise UserError(
                f"{request.run.config_file}: data.{side} names the language {said}: an Argos package needs its ISO 639 "
                f"code, write it there, such as {'en' if side == 'src' else 'de'}"
            )
        parts += [found, name_of(found, code or "")]
    return Pair(*parts)


def argos_code(code: str) -> str | None:
    """Argos's code of a language in any spelling: ISO 639-1, ``zt`` for traditional Chinese, ``pb`` for Brazil's
    Portuguese, ``nb`` for Norwegian; None for what is no code.
    """
    language = Language.of(code)
    regions = re.split(r"[-_]", code.casefold())[1:]
    if language.code == "zh" and (language.script in ("Hant", "Hanb") or {"tw", "hk", "mo"} & set(regions)):
        return "zt"
    if language.code == "pt" and "br" in regions:
        return "pb"
    return CODES.get(language.code, language.code) if re.fullmatch("[a-z]{2,3}", language.code) else None


def name_of(argos: str, code: str) -> str:
    """A language's English name, or its code where this program knows no name."""
    further = {"zt": "Chinese (traditional)", "pb": "Portuguese (Brazil)", "lo": "Lao"}
    names = LANGUAGES.get(Language.of(code).code, ())
    return further.get(argos) or next((name.title() for name in names if len(name) > 3), argos)


def translate(folder: Path, lines: list[str], compute_type: str) -> list[str]:
    """Translate each line as one sentence, as Argos Translate calls CTranslate2."""
    model = Exported(folder)
    translator = ctranslate2.Translator(str(folder), device="cpu", compute_type=compute_type)
    found = translator.translate_batch(
        model.src.encode(lines, out_type=str),
        replace_unknowns=True,
        max_batch_size=32,
        batch_type="tokens",
        beam_size=BEAM,
        num_hypotheses=1,
        length_penalty=LENGTH_PENALTY,
    )
    return [model.tgt.decode(each.hypotheses[0]).replace("▁", " ").replace("_", " ") for each in found]


def _zip(folder: Path, subwords: bytes, pair: Pair) -> bytes:
    """The package; the same bytes for the same content."""
    metadata = {"package_version": "1.0", "argos_version": "1.11", "type": "translate", "from_code": pair.src}
    metadata |= {"from_name": pair.src_name, "to_code": pair.tgt, "to_name": pair.tgt_name}
    content = {
        "metadata.json": (to_json(metadata, indent=2) + "\n").encode(),
        "README.md": f"# {pair.src_name} to {pair.tgt_name}\n\nTrained with seq2seq-trainer.\n\n{LIMITS}".encode(),
        "sentencepiece.model": subwords,
        "minisbd/splitter.onnx": splitter(),
    }
    content |= {f"model/{path.name}": path.read_bytes() for path in folder.iterdir() if path.name not in NAMES}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in sorted(content):
            entry = zipfile.ZipInfo(f"{pair.folder}/{name}", DATE)
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            archive.writestr(entry, content[name], zipfile.ZIP_DEFLATED, 6)
    return packed.getvalue()


def _print(request: Request, sample: Sample, found: Comparison, ours: list[str], theirs: dict[str, list[str]]) -> None:
    """The figures, as a table, and how to install the package."""
    count, language = len(sample.src), request.config.data.language
    rows = {"identical greedy translations": f"{found.greedy} of {count}"}
    for program, texts in theirs.items():
        same = sum(one == other for one, other in zip(ours, texts, strict=True))
        rows[f"as {program} searches, compute type {COMPUTE_TYPES[program]}"] = f"{same} of {count}"
        if sample.references:
            scores = [BLEU.corpus_score(each, sample.references, language) for each in (ours, texts)]
            rows[f"BLEU, {program}"] = " ".join(number(score, 2) for score in scores)
    rows["package"] = f"{request.out.stat().st_size / 1e6:.1f} MB"
    print_table(str(request.out), (f"{count} sentences {sample.what}", "ours and theirs"), list(rows.items()))
    place = shlex.quote(str(request.out))
    print(
        f"""To install, once no other package of this pair is installed:
pip install argos-translate-lt
python -c 'import sys, argostranslate.package as p; p.install_from_path(sys.argv[1])' {place}
Its limits:
{LIMITS}""",
        end="",
    )
