"""The door for Python: ``seq2seq.load`` and ``seq2seq.train``."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

import seq2seq
from seq2seq.cli import translate as cli_translate
from seq2seq.cli.main import main
from seq2seq.decoding.translator import Translator
from seq2seq.errors import UserError
from seq2seq.runs.loading import TrainedModel

LINES = ["the cat sees a dog", "", "a small dog runs home quickly", "the dog"]
SMALL = ["trainer.max_steps=2", "trainer.valid_every=2", "trainer.batch_tokens=200", "data.filters.max_length=60"]


@pytest.fixture(scope="module")
def trained(pairs: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    """A run of two updates, made by ``seq2seq.train``."""
    folder = tmp_path_factory.mktemp("door")
    for side, ending in enumerate(("en", "de")):
        (folder / f"all.{ending}").write_text("".join(f"{pair[side]}\n" for pair in pairs), encoding="utf-8")
    text = [f"data.{split}.{side}={folder}/all.{end}" for split in ("train", "valid", "test") for side, end in SIDES]
    model = ["model.embedding=16", "model.encoder.width=16", "model.decoder.width=16", "model.encoder.feed_forward=16"]
    more = [f"outputs={folder}", f"data.cache={folder}/cache", "data.subwords.vocab_size=320", "device=cpu"]
    arguments = ["model=transformer", "data=text", *text, *model, *more, *SMALL]
    return seq2seq.train([*arguments, "trainer.precision=fp32", "decode.beam=3", "name=one"])


SIDES = (("src", "en"), ("tgt", "de"))


def load(trained: TrainedModel) -> TrainedModel:
    return seq2seq.load(trained.run.folder, device="cpu", precision="fp32")


def test_importing_the_package_imports_nothing_heavy() -> None:
    program = "import sys, seq2seq; print(seq2seq.__version__, {'torch', 'numpy', 'hydra', 'rich'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [seq2seq.__version__, "set()"]


def test_python_and_the_command_line_translate_alike(
    trained: TrainedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "lines"
    source.write_text("".join(f"{line}\n" for line in LINES))
    run = str(trained.run.folder)
    assert main(["translate", run, "--in", str(source), "device=cpu", "trainer.precision=fp32"]) == 0
    printed = capsys.readouterr().out.split("\n")[:-1]
    assert [found.text for found in load(trained).translate(LINES)] == printed
    assert printed[1] == ""


def test_attention_is_drawn_a_few_lines_at_a_time(
    trained: TrainedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights of one long line take megabytes, those of its maps a hundred."""
    sizes, heads, own = list[int](), set[int](), Translator.translate

    def translate(self: Translator, lines: list[str], *rest: Any, **more: Any) -> Any:
        found = own(self, lines, *rest, **more)
        sizes.append(len(lines))
        heads.update(best.attention.shape[1] for best, *_ in found if best.attention is not None)
        return found

    source, run = tmp_path / "lines", str(trained.run.folder)
    source.write_text("".join(f"{line}\n" for line in LINES))
    drawn = []
    for most in (2_000, 3):
        monkeypatch.setattr(Translator, "translate", translate)
        monkeypatch.setattr(cli_translate, "DRAWN", most)
        assert main(["translate", run, "--in", str(source), "--attention", "device=cpu"]) == 0
        drawn.append(capsys.readouterr().out)
    assert sizes == [4, 3, 1] and heads == {1}
    assert drawn[0] == drawn[1]


def test_batches_do_not_change_translations_and_progress_is_told(trained: TrainedModel) -> None:
    model, told = load(trained), list[int]()
    whole = model.translate(LINES, done=told.append)
    single = [model.translate([line], batch_tokens=1)[0] for line in LINES]
    assert [found.text for found in whole] == [found.text for found in single]
    assert [found.score for found in whole] == pytest.approx([found.score for found in single], abs=1e-5)
    assert sum(told) == len(LINES)


def test_nbest_scores_and_attention(trained: TrainedModel) -> None:
    model = load(trained)
    [found] = model.translate_nbest(LINES[:1], 3, beam=4, attention=True)
    assert len(found) == 3
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    maps = found[0].attention
    assert maps is not None
    assert maps.shape[0] == len(found[0].tgt_tokens) and maps.shape[2] == len(found[0].src_tokens)
    torch.testing.assert_close(maps.sum(-1), torch.ones(maps.shape[:2]))
    assert model.translate(LINES[:1], beam=4)[0].text == found[0].text
    assert model.translate(LINES[:1])[0].attention is None


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"beams": 2}, "unknown key decode.beams; did you mean decode.beam?"),
        ({"beam": 0}, "decode.beam=0 is too small"),
        ({"nbest": 2}, "translate gives the best translation of each line: for several, use translate_nbest"),
        ({"beam": "two"}, "options: decode.beam=two: a whole number is needed"),
        ({"sample": "maybe"}, "options: decode.sample=maybe: true or false is needed"),
        ({"length_penalty": "averag"}, "decode.length_penalty=averag is not possible"),
    ],
)
def test_an_impossible_search_is_one_line(trained: TrainedModel, options: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError) as caught:
        trained.translate(LINES, **options)
    assert str(caught.value).startswith(line) and "\n" not in str(caught.value)


def test_more_answers_than_the_beam_is_wide_are_refused(trained: TrainedModel) -> None:
    with pytest.raises(UserError, match=r"decode\.nbest=5 is above decode\.beam=3"):
        trained.translate_nbest(LINES, 5)


def test_an_ensemble_of_a_model_with_itself_is_the_model(trained: TrainedModel) -> None:
    folder = trained.run.folder
    both = seq2seq.load(folder, str(folder / "checkpoints" / "best.safetensors"), device="cpu", precision="fp32")
    assert len(both.models) == 2
    texts = [found.text for found in both.translate(LINES)]
    assert texts == [found.text for found in load(trained).translate(LINES)]


def test_the_run_decides_what_is_not_said(trained: TrainedModel) -> None:
    """As on the command line: precision and seed are the run's own."""
    model = seq2seq.load(trained.run.folder, device="cpu")
    assert (model.config.trainer.precision, model.config.seed) == ("fp32", 1)
    assert seq2seq.load(trained.run.folder, device="cpu", seed=7).config.seed == 7
    with pytest.raises(UserError, match="cannot be changed"):
        seq2seq.load(trained.run.folder, sead=7)


def test_what_cannot_be_loaded_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run folder and no checkpoint"):
        seq2seq.load(tmp_path / "nowhere")
    with pytest.raises(UserError, match="give a run folder"):
        seq2seq.load()


def test_a_finished_run_is_loaded_and_not_trained_again(
    trained: TrainedModel, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = trained.run.checkpoint("last")
    before = checkpoint.stat().st_mtime_ns
    again = seq2seq.train(trained.run.load_config())
    assert "is finished" in capsys.readouterr().err
    assert checkpoint.stat().st_mtime_ns == before
    assert again.run.folder == trained.run.folder


def test_training_works_outside_the_main_thread(trained: TrainedModel) -> None:
    """As in a notebook's executor or a server: Python handles no signals there."""
    config, found = trained.run.load_config(), list[TrainedModel]()
    config.name = "thread"
    thread = threading.Thread(target=lambda: found.append(seq2seq.train(config)))
    thread.start()
    thread.join()
    assert found[0].run.finished
