"""Portable folders: everything takes them like the run, and nothing of the user's stands in them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import seq2seq
from seq2seq.cli.main import main
from seq2seq.config.schema import Config, DataConfig, HubConfig, ModelConfig, SplitConfig, TrainerConfig
from seq2seq.data.subwords import Subwords
from seq2seq.export import to_folder
from seq2seq.export.model_card import model_card
from seq2seq.models.build import build
from seq2seq.runs import checkpoint
from seq2seq.runs.run import Run
from seq2seq.system.files import write_json
from tests.processes import run_command

SECRET = "/home/ada/secret"
LINES = ["the cat sees a small dog", "runs", "", "near our old house and runs home quickly"]
SCORES = {"nll": 1.5, "ppl": 4.5, "bits_per_character": 1.0, "token_accuracy": 0.5, "target_tokens": 99}
SCORES |= {"bleu": 31.256, "bleu_signature": "tok:13a|v", "chrf": 52.1, "chrf_signature": "nc:6|v", "sentences": 20}
SCORES |= {"length_ratio": 1.0, "seconds": 1.0, "sentences_per_second": 20.0, "models": [SECRET], "text": SECRET}
SAMPLE = {"src": "SAMPLE", "reference": "SAMPLE", "translation": "SAMPLE"}
MakeRun = Callable[..., Run]


@pytest.fixture
def make_run(
    tmp_path: Path, pairs: list[tuple[str, str]], tiny_subwords: Subwords, tiny_models: dict[str, ModelConfig]
) -> MakeRun:
    """``make_run(name, **config)``: a finished run of a tiny model with random weights that knows secret paths."""

    def make(name: str, **more: Any) -> Run:
        torch.manual_seed(1)
        run = Run(tmp_path / f"run-{name}")
        files = SplitConfig(src=[f"{SECRET}.en"], tgt=f"{SECRET}.de")
        data = DataConfig(name="mine", source="text", src="en", tgt="de", train=files, test=files, cache=SECRET)
        data = replace(data, tests={"news": files}, filters=replace(data.filters, drop=SECRET))
        data.subwords.from_run = SECRET
        given = {
            "data": data,
            "trainer": TrainerConfig(max_steps=1, threads=1),
            "outputs": SECRET,
            "name": "ada/lovelace",
        }
        run.save_config(Config(**{**given, "init": SECRET, "model": tiny_models[name], "device": "cpu", **more}))
        tiny_subwords.save(run.subwords)
        model = build(tiny_models[name], *tiny_subwords.sizes)
        weights = {name: w + 0.2 * torch.randn_like(w) for name, w in checkpoint.weights_of(model).items()}
        checkpoint.save_training(run.checkpoint("last"), {"model": model}, torch.optim.Adam(model.parameters()), {})
        checkpoint.save_weights(run.checkpoint("averaged"), weights, {"mean of": [SECRET]})
        prints = {"data": "d1", "subwords": "s", "references": "r1", "code": "c1", "versions": {"torch": "2.13"}}
        write_json(run.fingerprint_file, {**prints, "machine": {"processor": "p", "threads": 1}})
        figures = {"checkpoint": "averaged", "steps": 7, "best_step": 5, "tokens": 12_345, "seconds": 1.0}
        figures |= {"tokens_per_second": 1.0, "parameters": {"total": 1}, "test": SCORES, "tests": {"news": SCORES}}
        write_json(run.summary_file, {**figures, "samples": [SAMPLE]})
        run.evaluation("test").mkdir(parents=True)
        for side, file in enumerate(("src", "ref")):
            (run.evaluation("test") / f"{file}.txt").write_text("".join(f"{pair[side]}\n" for pair in pairs))
        return run

    return make


def exported(run: Run, *arguments: str) -> Path:
    assert main(["export", str(run.folder), "--to", "folder", *arguments]) == 0
    return run.folder / "export/folder"


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "name", ["lstm", "transformer", *(pytest.param(name, marks=pytest.mark.slow) for name in ("bahdanau", "hybrid"))]
)
def test_the_folder_translates_as_the_run_does_without_it(make_run: MakeRun, name: str, tmp_path: Path) -> None:
    run = make_run(name)
    moved = shutil.move(exported(run), tmp_path / "moved")
    ours = seq2seq.load(run.folder, device="cpu").translate_nbest(LINES, 2, beam=3)
    shutil.rmtree(run.folder)
    theirs = seq2seq.load(moved, device="cpu").translate_nbest(LINES, 2, beam=3)
    for one, other in zip(ours, theirs, strict=True):
        assert [(each.text, each.score) for each in one] == [(each.text, each.score) for each in other]


def test_commands_take_the_folder_in_place_of_a_run(make_run: MakeRun, tmp_path: Path) -> None:
    folder = exported(make_run("bahdanau"))
    for name in ("a.en", "a.de"):
        (tmp_path / name).write_text("the cat sees a dog\nthe dog runs\n")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def answer(*arguments: str) -> str:
        found = run_command(*arguments, cwd=tmp_path, env=environment)
        assert found.returncode == 0, found.stderr
        return found.stdout

    assert len(answer("translate", str(folder), "--in", "a.en").splitlines()) == 2
    assert "BLEU" in answer("evaluate", str(folder), "--src", "a.en", "--ref", "a.de")


def test_nothing_of_the_users_stands_in_the_folder(make_run: MakeRun, pairs: list[tuple[str, str]]) -> None:
    run = make_run("transformer")
    found = content(exported(run, "--license", "cc-by-4.0"))
    names = {"README.md", "config.yaml", "fingerprint.json", "summary.json", "checkpoints/best.safetensors"}
    assert names | {f"subwords/{side}.model" for side in ("src", "tgt")} >= set(found) > names
    for name, held in found.items():
        for secret in (SECRET, "SAMPLE", str(run.folder), "lovelace", pairs[0][0]):
            assert secret.encode() not in held, name
    tensors, state = checkpoint.read(run.folder / "export/folder/checkpoints/best.safetensors")
    assert {name.partition("/")[0] for name in tensors} == {"model"} and state == {}
    assert Run(run.folder / "export/folder").load_summary()["test"]["bleu"] == 31.256


def test_the_card_says_what_is_known(make_run: MakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run("transformer")
    folder = exported(run, "--license", "cc-by-4.0")
    _, head, card = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    fields = yaml.safe_load(head)
    assert fields["language"] == ["en", "de"] and fields["license"] == "cc-by-4.0"
    assert fields["pipeline_tag"] == "translation"
    model = seq2seq.load(folder).translator.models[0]
    assert f"total {sum(parameter.numel() for parameter in model.parameters()):,}" in card
    for fact in (
        "31.26",
        "52.10",
        "news",
        "12,345 target tokens",
        "`tok:13a\\|v`",
        "`d1`",
        "torch 2.13",
        "1,024 tokens",
    ):
        assert fact.replace("\\|", "|") in card or fact in card, fact
    assert "no license" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("src", "tgt", "told"),
    [
        ("en", "zh-CN", ["en", "zh"]),
        ("zho_Hans", "zho_Hant", ["zh"]),
        ("deu_Latn", "x-", ["de"]),
        (None, None, None),
    ],
)
def test_the_head_of_the_card_has_codes_that_a_hub_takes(src: Any, tgt: Any, told: Any) -> None:
    card = model_card(Config(data=DataConfig(source="text", src=src, tgt=tgt)), {"total": 1}, (9, 9), None, None, None)
    assert yaml.safe_load(card.split("---\n")[1]).get("language") == told


def test_the_card_names_what_was_read_of_the_hub() -> None:
    data = DataConfig(source="hub", hub=HubConfig(repo="iwslt2017", name="de-en"))
    card = model_card(Config(data=data), {"total": 1}, (9, 9), None, None, None)
    assert "a repository of the hub, repo iwslt2017, name de-en |" in card


def test_scores_of_other_weights_are_left_out(make_run: MakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run("lstm")
    assert main(["export", str(run.checkpoint("last")), "--to", "folder", "--out", str(run.folder / "x")]) == 0
    assert "are of averaged: left out" in (told := capsys.readouterr().err) and "no license is given" in told
    assert not Run(run.folder / "x").finished and "31.26" not in (run.folder / "x/README.md").read_text()
    assert seq2seq.load(run.folder / "x").translate(["the cat"])[0].text is not None


def test_the_folder_can_be_exported_again(make_run: MakeRun, tmp_path: Path) -> None:
    folder = exported(make_run("lstm"), "--license", "mit")
    again = tmp_path / "again"
    assert main(["export", str(folder), "--to", "folder", "--out", str(again), "--license", "mit"]) == 0
    assert content(folder) == content(again)


def test_refusals_leave_nothing_behind(make_run: MakeRun, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    run = make_run("lstm")
    before = content(run.folder)
    taken = run.folder / "taken"
    taken.mkdir()
    for arguments, message in (
        (["--out", str(taken)], f"{taken} exists"),
        (["--license", " "], "--license ' ': give one line"),
        (["--license", "a\nb"], "give one line"),
        (["--quantization", "int8"], "--quantization int8 is not one of none"),
    ):
        assert main(["export", str(run.folder), "--to", "folder", *arguments]) == 2
        assert message in (told := capsys.readouterr().err) and told.count("\n") == 1
    assert main(["export", str(run.folder), "--to", "onnx", "--license", "mit"]) == 2
    assert "--license stands in a model card" in capsys.readouterr().err
    wrong = {
        name: weight + 1
        for name, weight in checkpoint.part(checkpoint.read(run.checkpoint("averaged"))[0], "model").items()
    }
    monkeypatch.setattr(to_folder.checkpoint, "weights_of", lambda model: wrong)
    assert main(["export", str(run.folder), "--to", "folder"]) == 2
    assert "translations of the written folder are not the run's" in capsys.readouterr().err
    assert content(run.folder) == before and not (run.folder / "export").exists()


def test_damaged_records_are_answered_in_a_line(make_run: MakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run("lstm")
    run.fingerprint_file.write_text(json.dumps({"data": 1}))
    assert main(["export", str(run.folder), "--to", "folder"]) == 2
    assert "not a fingerprint" in capsys.readouterr().err and not (run.folder / "export").exists()
