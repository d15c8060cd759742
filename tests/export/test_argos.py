"""Packages for Argos Translate: what stands in them, that their bytes are stable, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import sentencepiece
import torch

pytest.importorskip("ctranslate2")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import ctranslate2
import onnxruntime

from seq2seq.cli.main import main
from seq2seq.config.schema import Config, DataConfig, DecodeConfig, ModelConfig, SubwordConfig, TrainerConfig
from seq2seq.data import subwords
from seq2seq.data.subwords import Subwords
from seq2seq.export import exporting, to_argos
from seq2seq.export.samples import sample_of
from seq2seq.export.splitter import splitter
from seq2seq.models.build import build
from seq2seq.runs import checkpoint
from seq2seq.runs import loading as trained
from seq2seq.runs.run import Run

MakeRun = Callable[..., Run]


@pytest.fixture(autouse=True)
def _few_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare on 10 sentences, for time."""
    monkeypatch.setattr(to_argos, "sample_of", lambda *given: sample_of(*given, sentences=10))


@pytest.fixture
def make_run(tmp_path: Path, tiny_subwords: Subwords, tiny_models: dict[str, ModelConfig]) -> MakeRun:
    """``make_run(model, subwords, **data)``: a run of a tiny model with random weights."""

    def make(name: str = "transformer", pieces: Subwords = tiny_subwords, **data: Any) -> Run:
        torch.manual_seed(1)
        run = Run(tmp_path / "run")
        config = Config(model=tiny_models[name], trainer=TrainerConfig(max_steps=1), device="cpu")
        config.data = DataConfig(**{"source": "text", "src": "eng_Latn", "tgt": "zh-TW", **data})
        run.save_config(config)
        pieces.save(run.subwords)
        weights = checkpoint.weights_of(build(tiny_models[name], *pieces.sizes))
        weights = {key: w + 0.2 * torch.randn_like(w) for key, w in weights.items()}
        checkpoint.save_weights(run.checkpoint("best"), weights, {})
        return run

    return make


def refused(run: Run, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    assert main(["export", str(run.folder), "--to", "argos", *more]) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said.splitlines()[-1]


def test_a_package_has_the_same_bytes_twice_and_translates_as_our_search(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run()
    assert main(["export", str(run.folder), "--to", "argos"]) == 0
    package, again = run.folder / "export/argos.argosmodel", tmp_path / "again.argosmodel"
    assert main(["export", str(run.folder), "--to", "argos", "--out", str(again)]) == 0
    assert package.read_bytes() == again.read_bytes()
    with zipfile.ZipFile(package) as archive:
        names = archive.namelist()
        assert names == sorted(names) and {name.split("/")[0] for name in names} == {"seq2seq-en_zt"}
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {entry.external_attr >> 16 for entry in archive.infolist()} == {0o100644}
        archive.extractall(tmp_path)
    folder = tmp_path / "seq2seq-en_zt"
    metadata = json.loads((folder / "metadata.json").read_text())
    assert (metadata["from_code"], metadata["from_name"]) == ("en", "English")
    assert (metadata["to_code"], metadata["to_name"]) == ("zt", "Chinese (traditional)")
    assert metadata["type"] == "translate" and "Underscores" in (folder / "README.md").read_text()
    assert [path.name for path in (folder / "minisbd").iterdir()] == ["splitter.onnx"]
    config = run.load_config()
    ours = trained.load([(run, "best")], config).translator
    line = "the cat sees a small dog"
    processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / "sentencepiece.model"))
    model = ctranslate2.Translator(str(folder / "model"))
    never = {"disable_unk": True, "suppress_sequences": [["<pad>"], ["<s>"]]}
    pieces = processor.encode([line], out_type=str)
    found = model.translate_batch(pieces, beam_size=1, max_decoding_length=9, **never)
    [best] = ours.translate([line], DecodeConfig(beam=1))[0]
    assert found[0].hypotheses[0] == best.tgt_tokens[:-1][:9]


@pytest.mark.parametrize(
    ("code", "argos"),
    [("no", "nb"), ("nob", "nb"), ("nn", "nn"), ("zh", "zh"), ("zho_Hant", "zt"), ("zh_CN", "zh"), ("pt-BR", "pb"),
     ("deu_Latn", "de"), ("eo", "eo"), ("my-own-1", "my"), ("gibberish", None), ("e1", None)],
)  # fmt: skip
def test_languages_have_argos_codes(code: str, argos: str | None) -> None:
    assert to_argos.argos_code(code) == argos


def test_refusals_leave_nothing_behind(
    make_run: MakeRun, pairs: list[tuple[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [line for pair in pairs for line in pair]
    small = subwords.train(lines, lines, SubwordConfig(vocab_size=300)).models[0]
    large = subwords.train(lines, lines, SubwordConfig(vocab_size=301)).models[0]
    said = refused(make_run(pieces=Subwords(small, large)), capsys)
    assert "data.subwords.joint=true" in said and not (tmp_path / "run/export").exists()


def test_other_models_unnamed_languages_and_taken_places_are_refused(
    make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(make_run("lstm"), capsys)
    assert "recurrent" in said and "--to onnx" in said
    assert "data.src names the language nowhere" in refused(make_run(src=None), capsys)
    run, taken = make_run(), tmp_path / "taken"
    taken.write_text("mine")
    assert "choose another file" in refused(run, capsys, "--out", str(taken)) and taken.read_text() == "mine"
    assert not (run.folder / "export").exists()


def test_a_place_that_cannot_be_written_is_refused_before_the_comparison(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(to_argos, "compare", lambda *given: pytest.fail("the comparison began"))
    (tmp_path / "file").write_text("mine")
    said = refused(make_run(), capsys, "--out", str(tmp_path / "file/below.argosmodel"))
    assert "cannot be written" in said and "--out" in said
    assert (tmp_path / "file").read_text() == "mine" and not (tmp_path / "run/export").exists()


def test_float32_that_translates_otherwise_is_refused(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write = exporting.write

    def wrong(folder: Path, loaded: Any, *rest: Any) -> None:
        with torch.no_grad():
            for weight in loaded.translator.models[0].parameters():
                weight.add_(torch.randn_like(weight))
        write(folder, loaded, *rest)
        with torch.no_grad():
            for weight in loaded.translator.models[0].parameters():
                weight.mul_(-1)

    monkeypatch.setattr(exporting, "write", wrong)
    run = make_run()
    assert "nothing was exported" in refused(run, capsys) and not (run.folder / "export").exists()


def test_the_splitter_ends_sentences_at_punctuation() -> None:
    session = onnxruntime.InferenceSession(splitter())
    classes = json.loads(session.get_modelmeta().custom_metadata_map["vocab"])["_unit2id"]

    def split(text: str) -> list[str]:
        units = numpy.array([[classes.get(character, 1) for character in text] + [0]], dtype=numpy.int64)
        [logits] = session.run(None, {"units": units, "features": numpy.zeros((*units.shape, 1), numpy.float32)})
        kinds = logits.argmax(-1)[0][: len(text)]
        assert logits.shape == (*units.shape, 3) and set(kinds) <= {0, 2}
        ends = [n + 1 for n in numpy.nonzero(kinds == 2)[0] if n + 1 < len(text)]
        return [text[a:b].strip() for a, b in zip([0, *ends], [*ends, len(text)], strict=True)]

    assert split("He sleeps. She runs! “Go.” Done? Yes") == ["He sleeps.", "She runs!", "“Go.”", "Done?", "Yes"]
    assert split("Dr. No z. B. am 12. Mai, bzw. morgen") == ["Dr. No z. B. am 12. Mai, bzw. morgen"]
    assert split("你好。再见！好") == ["你好。", "再见！", "好"]
    assert split("It is 3.5 of U.S. gold") == ["It is 3.5 of U.S. gold"]
    assert split("彼は「こんにちは。」と言った。雨が降った。") == ["彼は「こんにちは。」と言った。", "雨が降った。"]
    for mark in ["។", "။", "։", "።", "｡"]:
        assert split(f"ខ្ញុំទៅ{mark} គាត់មក{mark} ល្អ") == [f"ខ្ញុំទៅ{mark}", f"គាត់មក{mark}", "ល្អ"]


@pytest.mark.slow
def test_argos_translate_installs_and_translates_without_a_network(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(tgt="de")
    assert main(["export", str(run.folder), "--to", "argos"]) == 0
    python = tmp_path / "venv/bin/python"
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "argos-translate-lt==1.12.1"]
    if subprocess.run(pip, capture_output=True).returncode:
        pytest.skip("argos-translate-lt cannot be installed here")
    code = """import sys, socket
def refuse(*given): raise OSError("no network")
socket.socket.connect = refuse
import argostranslate.package as package, argostranslate.translate as translate
package.install_from_path(sys.argv[1])
print(repr(translate.translate("the cat runs. The dog sees it.", "en", "de")))"""
    environment = {**os.environ, "HOME": str(tmp_path), "ORT_DISABLE_TELEMETRY": "1"}
    command = [str(python), "-c", code, str(run.folder / "export/argos.argosmodel")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout) > 3
