"""`seq2seq align` on tiny run folders: what it writes, prints and refuses."""

from __future__ import annotations

import ast
import inspect
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from seq2seq.cli import align as aligning
from seq2seq.config.schema import Config, DataConfig, GrammarConfig, ModelConfig, SplitConfig
from seq2seq.data.sources import open_source
from seq2seq.data.subwords import Subwords
from seq2seq.errors import UserError
from seq2seq.evaluation.alignment import Gold, agreement, parse_links
from seq2seq.models.interface import Seq2Seq
from seq2seq.runs import checkpoint
from seq2seq.runs.loading import unzip
from seq2seq.runs.run import Run
from seq2seq.system.files import write_atomically

Make = Callable[..., Run]
SRC = ["the cat sees a small dog", "", "our old house"]
REF = ["die Katze sieht einen kleinen Hund", "ein Haus", "unserem alten Haus"]


@pytest.fixture
def make(
    tmp_path: Path, tiny_models: dict[str, ModelConfig], build_tiny: Callable[..., Seq2Seq], tiny_subwords: Subwords
) -> Make:
    """``make(model, grammar=False)``: a run of random weights, large so that attention moves, and its test split."""

    def make_one(model: str = "transformer", grammar: bool = False) -> Run:
        run = Run(tmp_path / "run")
        data = DataConfig(source="text", train=SplitConfig(src="train.en", tgt="train.de"))
        src, references = SRC, REF
        if grammar:
            data = DataConfig(cache=str(tmp_path), grammar=GrammarConfig(pairs=30, valid=5, test=8, max_words=9))
            src, references = unzip(open_source(data).pairs("test"))
        config = Config(data=data, model=tiny_models[model])
        config.trainer.precision, config.trainer.max_steps = "fp32", 1
        run.save_config(config)
        tiny_subwords.save(run.subwords)
        weights = {key: 3 * value for key, value in checkpoint.weights_of(build_tiny(model, vocab=320)).items()}
        checkpoint.save_weights(run.checkpoint("best"), weights, {})
        for side, lines in (("src", src), ("ref", references)):
            write_atomically(run.evaluation("test") / f"{side}.txt", "".join(f"{line}\n" for line in lines))
        return run

    return make_one


def align(run: Run, *arguments: str, options: tuple[str, ...] = ()) -> None:
    given = aligning.parser().read([str(run.folder), *options, *arguments])
    assert aligning.run(given, aligning.validate(given)) == 0


def written(path: Path) -> list[set[tuple[int, int]]]:
    return [parse_links(line) for line in path.read_text().split("\n")[:-1]]


def test_the_grammars_own_gold_is_scored_with_what_is_written(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    run = make(grammar=True)
    align(run, "--corpus")
    found = written(run.evaluation("test") / "alignment.pharaoh")
    file = open_source(run.load_config().data).alignment_file("test")
    assert file is not None
    gold = [Gold(links, links) for links in map(parse_links, file.read_text().splitlines())]
    out = capsys.readouterr().out
    figures = [f"{value:.3f}" for value in agreement(found, gold).values()]
    [row] = [line for line in out.splitlines() if "mean" in line and "before" in line]
    assert [cell.strip() for cell in row.split("│")][3:6] == figures
    assert "after" in out and "layer" not in out
    assert f"8 alignments (mean) in {run.evaluation('test') / 'alignment.pharaoh'}" in out.replace("\n", "")


def test_heads_are_scored_and_one_map_can_be_written(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make(grammar=True)
    alignments = []
    for number in (1, 2, 3, 4):
        out = tmp_path / f"{number}.pharaoh"
        align(run, "--corpus", "--heads", "--map", str(number), "--out", str(out))
        alignments.append(written(out))
    printed = capsys.readouterr().out
    assert all(f"layer {n} head {k}" in printed for n in (1, 2) for k in (1, 2))
    assert f"8 alignments (layer 2 head 1) in {tmp_path / '3.pharaoh'}" in printed.replace("\n", "")
    assert len({repr(each) for each in alignments}) > 1
    with pytest.raises(UserError, match="--map 5: the model has maps 1 to 4"):
        align(run, "--map", "5")


def test_the_map_that_is_written_is_scored_too(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    run = make(grammar=True)
    align(run, "--corpus", "--heads")
    before = capsys.readouterr().out.splitlines()
    align(run, "--corpus", "--map", "3")
    rows = [line for line in capsys.readouterr().out.splitlines() if "before" in line or "after" in line]
    assert [row for row in before if "mean" in row or "layer 2 head 1" in row][:4] == rows


def test_other_files_of_a_split_leave_the_own_alignment(make: Make, tmp_path: Path) -> None:
    run = make()
    align(run)
    own = run.evaluation("test") / "alignment.pharaoh"
    before = own.read_bytes()
    src, ref = tmp_path / "new.en", tmp_path / "new.de"
    src.write_text("the cat\n")
    ref.write_text("die Katze\n")
    align(run, "--corpus", options=(f"data.test.src={src}", f"data.test.tgt={ref}"))
    assert own.read_bytes() == before
    [place] = run.folder.glob("evaluations/test-*-best/alignment.pharaoh")
    assert len(written(place)) == 1


def test_another_checkpoint_or_map_leaves_the_alignment_of_the_tested_weights(make: Make) -> None:
    run = make()
    align(run)
    own = run.evaluation("test") / "alignment.pharaoh"
    before = own.read_bytes()
    shutil.copy(run.checkpoint("best"), run.checkpoint("last"))
    align(Run(run.checkpoint("last")))
    align(run, "--map", "2")
    assert own.read_bytes() == before
    align(Run(run.checkpoint("best")))
    others = {place.parent.name: written(place) for place in run.folder.glob("evaluations/*/alignment.pharaoh")}
    assert others.keys() == {"test", "test-last", "test-best-map=2"}
    assert others["test-best-map=2"] != written(own)


def test_the_only_map_is_the_first(make: Make, tmp_path: Path) -> None:
    run = make("bahdanau")
    align(run, "--map", "1", "--out", str(tmp_path / "one"))
    align(run)
    assert (tmp_path / "one").read_bytes() == (run.evaluation("test") / "alignment.pharaoh").read_bytes()


def test_other_text_is_aligned_word_by_word_and_compared_with_a_gold_file(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make(grammar=True)
    src, ref, gold = tmp_path / "new.en", tmp_path / "new.de", tmp_path / "gold"
    src.write_text("the dog, home .\n\nthe cat\n")
    ref.write_text("der Hund, heim .\nKatze\ndie Katze\n")
    align(run, "--src", str(src), "--ref", str(ref))
    out = capsys.readouterr()
    assert "no gold alignment" in out.err and "AER" not in out.out
    [place] = run.folder.glob("evaluations/new.en-*-best/alignment.pharaoh")
    found = written(place)
    assert [{j for _, j in links} for links in found] == [{0, 1, 2, 3}, set(), {0, 1}]
    assert all(i < 4 for i, _ in found[0])
    one_based = [" ".join(f"{i + 1}-{j + 1}" for i, j in links) + "\n" for links in found]
    gold.write_text("".join(one_based))
    align(run, "--src", str(src), "--ref", str(ref), "--gold", str(gold), "--one-based")
    assert capsys.readouterr().out.count("0.000") >= 2  # AER against itself, with and without punctuation
    with pytest.raises(UserError, match=r"gold:1: \d-4 points beyond the 4 source and 4 target words"):
        align(run, "--src", str(src), "--ref", str(ref), "--gold", str(gold))


def test_a_model_without_attention_has_nothing_to_align(make: Make) -> None:
    run = make("lstm")
    with pytest.raises(UserError, match="run: there is nothing to align"):
        align(run)
    assert not (run.evaluation("test") / "alignment.pharaoh").exists()


def test_a_grammar_that_has_changed_since_is_no_gold(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    run = make(grammar=True)
    path = run.evaluation("test") / "src.txt"
    path.write_text(path.read_text().replace("the", "a", 1).replace("The", "A", 1))
    align(run, "--corpus")
    out = capsys.readouterr()
    assert "its gold is no use" in out.err and "AER" not in out.out
    assert len(written(run.evaluation("test") / "alignment.pharaoh")) == 8


def test_another_split_is_read_from_the_corpus(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    run = make(grammar=True)
    align(run, "--corpus", options=("data.split=valid",))
    assert len(written(run.evaluation("valid") / "alignment.pharaoh")) == 5
    assert "AER" in capsys.readouterr().out


def test_mistakes_are_answered(make: Make, tmp_path: Path) -> None:
    run = make("bahdanau")
    with pytest.raises(UserError, match="--src and --ref belong together"):
        align(run, "--src", "x")
    with pytest.raises(UserError, match="--one-based says how --gold counts"):
        align(run, "--one-based")
    with pytest.raises(UserError, match="give one run"):
        aligning.validate(aligning.parser().read([str(run.folder)] * 2))
    with pytest.raises(UserError, match="no such file"):
        align(run, "--gold", str(tmp_path / "gold"))


def test_arguments_are_known_without_torch() -> None:
    loaded = {
        name.name.split(".")[0] if isinstance(node, ast.Import) else str(node.module)
        for node in ast.parse(inspect.getsource(sys.modules[aligning.__name__])).body
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in node.names
    }
    ours = {name for name in loaded if name.startswith("seq2seq")}
    light = {
        "seq2seq.system.files",
        "seq2seq.config.schema",
        "seq2seq.errors",
        "seq2seq.runs.run",
        "seq2seq.runs.evaluations",
    }
    assert ours == light | {"seq2seq.cli.arguments"}
    assert not loaded & {"torch", "sentencepiece", "rich"}
