"""Exports to ONNX: our search finds the same with the graphs as with the model; a bad folder is refused in a line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before the import
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import onnx

import seq2seq
from seq2seq.cli.main import main
from seq2seq.config.schema import (
    BOS,
    Config,
    DataConfig,
    DecodeConfig,
    ModelConfig,
    SplitConfig,
    SubwordConfig,
    TrainerConfig,
)
from seq2seq.data.subwords import Subwords
from seq2seq.decoding.ensemble import teacher_forced_log_probs
from seq2seq.errors import UserError
from seq2seq.export import onnx_checks, options, to_onnx
from seq2seq.models.build import build
from seq2seq.models.interface import Seq2Seq
from seq2seq.runs import checkpoint, onnx_files
from seq2seq.runs.loading import TrainedModel
from seq2seq.runs.onnx_model import open_graphs
from seq2seq.runs.run import Run

SEQ2SEQ = str(Path(sys.executable).parent / "seq2seq")
FEW = ("lstm", "bahdanau", "bahdanau-after", "transformer", "hybrid")
SEARCHED = ("bahdanau", "transformer")
LINES = ["the cat sees a small dog", "runs", "", "near our old house and runs home quickly", "a dog"]
MakeRun = Callable[..., Run]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("onnx")


@pytest.fixture(scope="module")
def make_run(
    folders: Path, pairs: list[tuple[str, str]], tiny_subwords: Subwords, tiny_models: dict[str, ModelConfig]
) -> MakeRun:
    """``make_run(name, seed=1, **config)``: a run folder of a tiny model with random weights, none at 0 or 1."""

    def make(name: str, seed: int = 1, **more: Any) -> Run:
        torch.manual_seed(seed)
        run = Run(folders / f"{name}{seed}{''.join(more)}")
        run.folder.mkdir()
        decode = DecodeConfig(beam=1, max_ratio=1, max_extra=4)
        given = {"trainer": TrainerConfig(max_steps=1), "decode": decode, "model": tiny_models[name], **more}
        run.save_config(Config(**given))
        tiny_subwords.save(run.subwords)
        weights = checkpoint.weights_of(build(tiny_models[name], *tiny_subwords.sizes))
        weights = {name: w + 0.2 * torch.randn_like(w) for name, w in weights.items()}
        checkpoint.save_weights(run.checkpoint("best"), weights, {})
        for split in ("valid", "test"):
            run.evaluation(split).mkdir(parents=True)
            for side, file in enumerate(("src", "ref")):
                (run.evaluation(split) / f"{file}.txt").write_text("".join(f"{pair[side]}\n" for pair in pairs))
        return run

    return make


@pytest.fixture(scope="module")
def runs(make_run: MakeRun) -> Callable[[str], tuple[Run, Path]]:
    """``runs(name)``: a run and its exported folder, made once."""
    made: dict[str, Run] = {}

    def get(name: str) -> tuple[Run, Path]:
        if name not in made:
            made[name] = make_run(name)
            assert main(["export", str(made[name].folder), "--to", "onnx"]) == 0
        return made[name], made[name].folder / "export/onnx"

    return get


Runs = Callable[[str], tuple[Run, Path]]


def both(found: tuple[Run, Path]) -> tuple[TrainedModel, TrainedModel]:
    run, folder = found
    return seq2seq.load(run.folder, device="cpu", precision="fp32"), seq2seq.load(folder)


def left(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


# ------------------------------------------------------------------------------------------------------- agreement


def check_search(ours: TrainedModel, theirs: TrainedModel) -> None:
    said: set[str] = set()
    for search in ({"beam": 1}, {"beam": 5, "min_length": 2}, {"beam": 4, "no_repeat_ngram": 2, "alpha": 1}):
        one, other = (each.translate(LINES, attention=True, **search) for each in (ours, theirs))
        assert [each.text for each in one] == [each.text for each in other]
        said |= {each.text for each in one}
        for mine, its in zip(one, other, strict=True):
            assert its.log_probability == pytest.approx(mine.log_probability, abs=1e-4)
            assert (its.attention is None) == (mine.attention is None)
            if mine.attention is not None and its.attention is not None:
                assert torch.allclose(mine.attention, its.attention, atol=1e-5)
    assert len(said) > 3
    best = [[e.text for found in each.translate_nbest(LINES, 3, beam=3) for e in found] for each in (ours, theirs)]
    assert best[0] == best[1]
    drawn = []
    for each in (ours, theirs):
        torch.manual_seed(5)
        drawn.append([e.text for found in each.translate_nbest(LINES, 3, sample="true", top_k=9) for e in found])
    assert drawn[0] == drawn[1]


def check_forced(ours: TrainedModel, theirs: TrainedModel, shift: Any, sentences: Any) -> None:
    """Given translations, of sizes that the graphs were not made from, down to one token in and out."""
    for src, tgt in (([1], [1]), ([1], [9]), ([12], [1]), ([9, 1, 4], [2, 6, 1]), ([3] * 17, [2] * 17)):
        ids = sentences(src, vocab=320), shift(sentences(tgt, vocab=320))
        one, other = (teacher_forced_log_probs(each.translator.models, *ids) for each in (ours, theirs))
        assert one.shape == other.shape
        assert torch.allclose(one, other, atol=1e-4)


@pytest.mark.parametrize(
    "kind",
    [
        *SEARCHED,
        *(pytest.param(kind, marks=pytest.mark.slow) for kind in FEW if kind not in SEARCHED),
        *(pytest.param(f"transformer-{p}", marks=pytest.mark.slow) for p in ("rotary", "alibi", "none")),
    ],
)
def test_our_search_finds_the_same_with_the_graphs(kind: str, runs: Runs, shift: Any, sentences: Any) -> None:
    ours, theirs = both(runs(kind))
    check_search(ours, theirs)
    check_forced(ours, theirs, shift, sentences)


@pytest.mark.parametrize("kind", FEW)
def test_the_graphs_declare_which_sizes_are_free(kind: str, runs: Runs) -> None:
    """Otherwise onnxruntime warns at every step, and other programs believe the example's sizes."""
    _, folder = runs(kind)
    for each in onnx.load(folder / "step.onnx").graph.output:
        names = [size.dim_param for size in each.type.tensor_type.shape.dim]
        assert names[:2] == ["sentences", "hypotheses"]
        assert each.name != "attention" or names[2:] == ["", "source"]


@pytest.mark.slow
def test_every_variant_of_every_architecture(name: str, runs: Runs, shift: Any, sentences: Any) -> None:
    if "slot" in name or "language-model" in name:
        return  # refused
    run, folder = runs(name)
    ours, theirs = both((run, folder))
    check_search(ours, theirs)
    check_forced(ours, theirs, shift, sentences)
    assert main(["export", str(run.folder), "--to", "onnx", "--quantization", "int8"]) == 0
    rounded = seq2seq.load(f"{folder}-int8")
    for exact, near in zip(theirs.translate(LINES, beam=1), rounded.translate(LINES, beam=1), strict=True):
        same = near.tgt_tokens == exact.tgt_tokens
        assert near.log_probability == pytest.approx(exact.log_probability, abs=3) or not same


def test_ensembles_of_folders_and_of_folders_and_runs(runs: Runs) -> None:
    (first, one), (second, other) = runs("bahdanau"), runs("lstm")
    expected = seq2seq.load(first.folder, second.folder, device="cpu", precision="fp32").translate(LINES, beam=3)
    for parts in ((one, other), (first.folder, other), (one, second.folder)):
        found = seq2seq.load(*parts, precision="fp32").translate(LINES, beam=3)
        assert [each.text for each in found] == [each.text for each in expected]


def test_a_sentence_longer_than_the_example_and_than_a_learned_table(runs: Runs) -> None:
    ours, theirs = both(runs("transformer-learned"))
    long = " ".join(["the old dog"] * 90)
    [one], [other] = (each.translate([long], beam=1) for each in (ours, theirs))
    assert one.tgt_tokens == other.tgt_tokens
    assert len(one.src_tokens) > 512


# ----------------------------------------------------------------------------------------------------- the command


def test_a_folder_translates_alone_and_leaves_nothing_in_the_home_of_its_user(runs: Runs, tmp_path: Path) -> None:
    run, folder = runs("transformer")
    moved, home = tmp_path / "taken.onnx", tmp_path / "home"
    shutil.copytree(folder, moved)
    home.mkdir()
    environment = {**os.environ, "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "OMP_NUM_THREADS": "1"}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    given = ["translate", str(moved), "decode.beam=3", "decode.nbest=2"]
    text = "".join(f"{line}\n" for line in LINES)
    done = subprocess.run([SEQ2SEQ, *given], input=text, capture_output=True, text=True, env=environment, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    ours = seq2seq.load(run.folder, device="cpu", precision="fp32").translate_nbest(LINES, 2, beam=3)
    rows = [row.split("\t") for row in done.stdout.splitlines()]
    assert [row[2] for row in rows] == [each.text for found in ours for each in found]
    assert not list(home.rglob("*"))


def test_a_folder_draws_attention_and_is_evaluated(runs: Runs, tmp_path: Path, capsys: Any) -> None:
    run, folder = runs("bahdanau")
    (tmp_path / "in").write_text("the cat\n")
    written = []
    for each in (str(run.folder), str(folder)):
        assert main(["translate", each, "trainer.precision=fp32", "--attention", "--in", str(tmp_path / "in")]) == 0
        written.append(capsys.readouterr().out)
    assert written[0] == written[1]
    assert "</s>" in written[0] and len(written[0].splitlines()) > 3
    files = ["--src", str(run.evaluation("test") / "src.txt"), "--ref", str(run.evaluation("test") / "ref.txt")]
    scores = []
    for each in (run.folder, folder):
        arguments = ["evaluate", str(each), "trainer.precision=fp32", "--json", "--out", str(tmp_path / each.name)]
        assert main([*arguments, *files]) == 0
        scores.append(json.loads(capsys.readouterr().out))
    assert scores[0]["nll"] == pytest.approx(scores[1]["nll"], abs=1e-4)
    assert scores[0]["chrf"] == scores[1]["chrf"]


def test_what_the_folder_holds_and_what_is_said(make_run: MakeRun, capsys: Any) -> None:
    train = SplitConfig(src=["/home/me/a.en"], tgt=["/home/me/a.de"])
    subwords = SubwordConfig(from_run="/home/me/a-run")
    secret = DataConfig(source="text", train=train, cache="/home/me/c", subwords=subwords)
    run = make_run("lstm", data=secret, decode=DecodeConfig(max_input=99), init="/home/me/first")
    assert main(["export", str(run.folder), "--to", "onnx"]) == 0
    said = capsys.readouterr()
    assert "100.0%" in said.out and max(map(len, said.out.splitlines()[:-1])) <= 80
    assert said.err == "comparing 40 sentences of the run's test\n"
    folder = run.folder / "export/onnx"
    files = {"config.yaml", "encoder.onnx", "step.onnx", "onnx.json", "README.md"}
    assert left(folder) == files | {"subwords", "subwords/src.model", "subwords/tgt.model"}
    assert not [path for path in folder.rglob("*") if path.is_file() and b"/home/me" in path.read_bytes()]
    assert Run(folder).load_config().decode.max_input == 99
    assert "at most 99 subwords" in (folder / "README.md").read_text()
    assert main(["export", str(run.folder), "--to", "onnx"]) == 2
    assert main(["export", str(folder), "--to", "onnx"]) == 2
    assert "give the run that it was made from" in capsys.readouterr().err


def test_int8_is_asked_for_and_its_loss_is_said(make_run: MakeRun, capsys: Any) -> None:
    run = make_run("bahdanau", seed=3)
    assert main(["export", str(run.folder), "--to", "onnx", "--quantization", "int8"]) == 0
    said = capsys.readouterr()
    assert "BLEU with beam 5" in said.out and "40 sentences of the run's valid" in said.out
    folder = run.folder / "export/onnx-int8"
    record = json.loads((folder / "onnx.json").read_text())
    assert record["quantization"] == "int8" and len(record["comparison"]["bleu"]) == 2
    kinds = {node.op_type for node in onnx.load(folder / "step.onnx").graph.node}
    assert "MatMulInteger" in kinds or "DynamicQuantizeLSTM" in kinds
    assert not {path.name for path in folder.iterdir()} & {"whole-step.onnx", "whole-encoder.onnx"}
    ours, theirs = both((run, folder))
    src = torch.tensor([[7, 8, 9, 3]])
    tgt = torch.tensor([[BOS, 20, 30]])
    one, other = (teacher_forced_log_probs(each.translator.models, src, tgt) for each in (ours, theirs))
    assert 1e-5 < float((one - other).abs().max()) < 1


# ---------------------------------------------------------------------------------------------------- what goes wrong


def refused(capsys: Any, *arguments: str) -> str:
    capsys.readouterr()
    assert main(list(arguments)) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith("seq2seq: error: ") and len([line for line in said if "error" in line]) == 1
    return said[-1]


@pytest.mark.parametrize("name", ["transformer-slots", "transformer-one-slot", "language-model"])
def test_a_model_without_states_of_positions_is_refused_in_a_line(name: str, make_run: MakeRun, capsys: Any) -> None:
    run = make_run(name)
    for to in ("onnx", "ctranslate2", "argos"):
        said = refused(capsys, "export", str(run.folder), "--to", to)
        assert f"in place of source positions: --to {to} cannot compute it (--to folder can)" in said


def test_graphs_that_compute_something_else_are_not_kept(
    make_run: MakeRun, tiny_models: dict[str, ModelConfig], monkeypatch: Any, capsys: Any
) -> None:
    """As an exporter would make them that took a size, here the weights, for another."""
    run = make_run("bahdanau", seed=4)
    before, export = left(run.folder), to_onnx.export_graphs

    def wrong(model: Seq2Seq, *rest: Any) -> None:
        with torch.no_grad():
            model.output.bias[7] += 1e-3
        export(model, *rest)
        with torch.no_grad():
            model.output.bias[7] -= 1e-3

    monkeypatch.setattr(to_onnx, "export_graphs", wrong)
    assert "logits differ by up to 0.001" in refused(capsys, "export", str(run.folder), "--to", "onnx")
    assert left(run.folder) == before


def test_a_difference_that_is_nan_is_no_agreement() -> None:
    assert onnx_checks.Logits(9e-5, 5).agree
    assert not onnx_checks.Logits(float("nan"), 5).agree
    assert not onnx_checks.Logits(2e-4, 5).agree
    assert onnx_checks.Logits(2e-4, 30).agree


def test_without_the_packages_it_names_the_extra(runs: Runs, monkeypatch: Any, capsys: Any) -> None:
    run, folder = runs("lstm")
    monkeypatch.setattr(options, "find_spec", lambda name: None)
    said = refused(capsys, "export", str(run.folder), "--to", "onnx", "--out", str(run.folder / "x"))
    assert said.endswith("onnx is not installed: pip install 'seq2seq-trainer[onnx]'")
    for package in ("onnx", "onnxruntime"):
        with monkeypatch.context() as without:
            without.setitem(sys.modules, package, None)
            said = refused(capsys, "translate", str(folder), "--in", str(folder / "README.md"))
            assert said.endswith(f"{package} is not installed: pip install 'seq2seq-trainer[onnx]'")


def test_it_computes_on_the_cpu_alone(runs: Runs) -> None:
    with pytest.raises(UserError, match="is computed on the CPU: use device=cpu"):
        seq2seq.load(runs("lstm")[1], device="cuda")
    with pytest.raises(UserError, match="in the precision that it was written with: leave"):
        seq2seq.load(runs("lstm")[1], precision="bf16")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "cut": ("step.onnx", cut, "damaged: "),
    "flipped": ("encoder.onnx", flip, "damaged: its checksum does not fit"),
    "missing": ("encoder.onnx", Path.unlink, "no such file"),
    "record": ("onnx.json", lambda path: path.write_text("{"), "not a whole record of ONNX graphs"),
    "lacking": ("onnx.json", lambda path: path.write_text('{"kind": "x"}'), "files is missing"),
    "kind": ("onnx.json", lambda p: p.write_text(p.read_text().replace("onnx 1", "onnx 9")), "not a record of this"),
    "config": ("config.yaml", Path.unlink, "not a run folder"),
    "subwords": ("subwords/tgt.model", cut, "no whole subword model"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named_in_a_line(damage: str, runs: Runs, tmp_path: Path, capsys: Any) -> None:
    name, spoil, message = DAMAGES[damage]
    shutil.copytree(runs("lstm")[1], tmp_path / "out")
    spoil(tmp_path / "out" / name)
    (tmp_path / "in").write_text("a dog\n")
    said = refused(capsys, "translate", str(tmp_path / "out"), "--in", str(tmp_path / "in"))
    assert message in said and str(tmp_path / "out" / name.partition("/")[0]).removesuffix("/config.yaml") in said


def graph_of(*nodes: Any, weights: Any = (), **more: Any) -> Any:
    given = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in ("x", "y")]
    return onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", given[:1], given[1:], initializer=weights), **more)


def strange_graphs() -> dict[str, tuple[Any, str]]:
    node, tensor = onnx.helper.make_node, onnx.helper.make_tensor("w", onnx.TensorProto.FLOAT, [1], [1.0])
    elsewhere = onnx.TensorProto.FromString(tensor.SerializeToString())
    elsewhere.data_location = onnx.TensorProto.EXTERNAL
    elsewhere.external_data.add(key="location", value="../../nothing-there")
    inner = graph_of(node("Relu", ["x"], ["y"])).graph
    function = onnx.helper.make_function("ours", "F", ["x"], ["y"], [node("Relu", ["x"], ["y"])], [])
    return {
        "weights elsewhere": (graph_of(node("Add", ["x", "w"], ["y"]), weights=[elsewhere]), "lie in other files"),
        "a constant elsewhere": (graph_of(node("Constant", [], ["y"], value=elsewhere)), "lie in other files"),
        "an operator of its own": (graph_of(node("F", ["x"], ["y"], domain="ours")), "the operator ours:F is unknown"),
        "a loop": (graph_of(node("Loop", ["x", "x"], ["y"], body=inner)), "the operator :Loop is unknown"),
        "a hidden graph": (graph_of(node("Relu", ["x"], ["y"], body=inner)), "holds a graph"),
        "functions": (graph_of(node("Relu", ["x"], ["y"]), functions=[function]), "defines functions"),
        "nothing": (graph_of(), "it is empty"),
    }


@pytest.mark.parametrize("kind", strange_graphs())
def test_graphs_unlike_ours_never_reach_onnxruntime(kind: str) -> None:
    graph, message = strange_graphs()[kind]
    with pytest.raises(UserError, match=message):
        onnx_files.check_graph(graph.SerializeToString(), Path("step.onnx"))


def test_bytes_that_are_no_graph() -> None:
    with pytest.raises(UserError, match="not an ONNX graph"):
        onnx_files.check_graph(b"\xff" * 50, Path("step.onnx"))


def test_graphs_that_do_not_fit_together_or_the_subwords(runs: Runs, tmp_path: Path) -> None:
    _, folder = runs("lstm")
    model = open_graphs(folder, 319)
    with pytest.raises(UserError, match=r"logits has the shape \(1, 1, 320\) for"):
        model(torch.tensor([[5, 3]]), torch.tensor([[BOS]]))
    shutil.copytree(folder, tmp_path / "out")
    shutil.copy(runs("bahdanau")[1] / "step.onnx", tmp_path / "out/step.onnx")
    onnx_files.write_record(tmp_path / "out", "none", {})
    with pytest.raises(UserError, match="is not an input of both"):
        open_graphs(tmp_path / "out", 320)
    shutil.copy(folder / "step.onnx", tmp_path / "out/encoder.onnx")
    onnx_files.write_record(tmp_path / "out", "none", {})
    with pytest.raises(UserError, match="it reads something else than src"):
        open_graphs(tmp_path / "out", 320)


def test_an_error_of_onnxruntime_is_one_line_too(runs: Runs, tmp_path: Path, capsys: Any) -> None:
    """Left to itself, its package prints on standard output that it tries again, where the error is no UTF-8."""
    shutil.copytree(runs("lstm")[1], tmp_path / "out")
    step = tmp_path / "out/step.onnx"
    step.write_bytes(step.read_bytes().replace(b"token", b"tok\xffn", 1))
    onnx_files.write_record(tmp_path / "out", "none", {})
    capsys.readouterr()
    assert main(["translate", str(tmp_path / "out"), "--in", str(step)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"seq2seq: error: {step}: onnxruntime cannot read it") and said.err.count("\n") == 1
