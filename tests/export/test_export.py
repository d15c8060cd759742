"""Exports: that CTranslate2 says what our model says, and that nothing else is ever left behind."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("ctranslate2")

from seq2seq.cli.main import main
from seq2seq.config.schema import (
    BOS,
    EOS,
    PAD,
    AttentionDecoderConfig,
    Config,
    DecodeConfig,
    ModelConfig,
    RecurrentEncoderConfig,
    SubwordConfig,
    TrainerConfig,
    TransformerDecoderConfig,
    TransformerEncoderConfig,
)
from seq2seq.data import subwords
from seq2seq.data.subwords import Subwords
from seq2seq.decoding.ensemble import teacher_forced_log_probs
from seq2seq.export import exporting, mapping, options, verification
from seq2seq.export.samples import LONGEST, sample_of
from seq2seq.export.verification import Exported, compare, limit
from seq2seq.models.build import build
from seq2seq.runs import checkpoint
from seq2seq.runs import loading as trained
from seq2seq.runs.run import Run
from tests.processes import run_command

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "80"}
WIDTH = 12
READER = TransformerEncoderConfig(width=WIDTH, heads=2, feed_forward=20)
WRITER = TransformerDecoderConfig(width=WIDTH, heads=2, feed_forward=20)
MakeRun = Callable[..., Run]


def model_of(encoder: Any = READER, decoder: Any = WRITER, **more: Any) -> ModelConfig:
    return ModelConfig(name="tiny", embedding=WIDTH, encoder=encoder, decoder=decoder, **more)


@pytest.fixture(scope="module")
def two_vocabularies(pairs: list[tuple[str, str]]) -> Subwords:
    """One a side, of different sizes, in which some characters of the test are unknown."""
    sides = [
        subwords.train(lines, lines, SubwordConfig(vocab_size=size, byte_fallback=False)).models[0]
        for lines, size in (([src for src, _ in pairs], 40), ([tgt for _, tgt in pairs], 44))
    ]
    return Subwords(*sides)


@pytest.fixture(scope="module")
def taught(pairs: list[tuple[str, str]], two_vocabularies: Subwords) -> dict[str, torch.Tensor]:
    """Weights of a model that has seen the pairs for some seconds, so that its translations end and depend on them."""
    torch.manual_seed(1)
    model = build(model_of(tie="output"), *two_vocabularies.sizes)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    src, tgt = (
        torch.nn.utils.rnn.pad_sequence([torch.tensor(ids) for ids in encoded], batch_first=True, padding_value=PAD)
        for encoded in (
            two_vocabularies.encode_src([src for src, _ in pairs]),
            two_vocabularies.encode_tgt([tgt for _, tgt in pairs]),
        )
    )
    shifted = torch.cat([torch.full((len(tgt), 1), BOS), tgt[:, :-1]], 1)
    for _ in range(200):
        logits = model.logits(model(src, shifted).hidden)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tgt.flatten(), ignore_index=PAD)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return checkpoint.weights_of(model)


@pytest.fixture
def make_run(tmp_path: Path, pairs: list[tuple[str, str]], tiny_subwords: Subwords) -> MakeRun:
    """``make_run(model, subwords=…, tested=True, **config)``: a run folder with random weights, none at 0 or 1."""

    def make(model: ModelConfig, pieces: Subwords = tiny_subwords, tested: bool = True, **more: Any) -> Run:
        torch.manual_seed(1)
        run = Run(tmp_path / "run")
        trainer = TrainerConfig(max_steps=1)
        run.folder.mkdir()
        run.save_config(Config(model=model, trainer=trainer, **more))
        pieces.save(run.subwords)
        network = build(model, *pieces.sizes)
        weights = {name: w + 0.2 * torch.randn_like(w) for name, w in checkpoint.weights_of(network).items()}
        checkpoint.save_weights(run.checkpoint("best"), weights, {})
        if tested:
            run.evaluation("test").mkdir(parents=True)
            for side, name in enumerate(("src", "ref")):
                lines = [pair[side] for pair in pairs]
                lines[3] += " ½ œ"  # in no vocabulary
                (run.evaluation("test") / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))
        return run

    return make


def load(run: Run) -> trained.TrainedModel:
    config = run.load_config()
    config.trainer.precision, config.device = "fp32", "cpu"
    return trained.load([(run, "best")], config)


def written(run: Run, folder: Path, quantization: str = "none") -> tuple[trained.TrainedModel, Exported]:
    loaded = load(run)
    folder.mkdir()
    exporting.write(folder, loaded, quantization, exporting.positions_of(loaded.config.model))
    return loaded, Exported(folder)


def largest_difference(loaded: trained.TrainedModel, exported: Exported, pairs: list[tuple[str, str]]) -> float:
    """Of the log-probability of any piece of the references, forced, each sentence alone in ours."""
    pieces = loaded.translator.subwords
    sources, targets = ([pair[side] for pair in pairs] for side in (0, 1))
    ids = pieces.encode_tgt(targets)
    theirs = exported.log_probabilities(sources, [pieces.tgt_tokens(each[:-1]) for each in ids])
    worst = 0.0
    for src, tgt, scores in zip(pieces.encode_src(sources), ids, theirs, strict=True):
        rows = teacher_forced_log_probs(
            loaded.translator.models, torch.tensor([src]), torch.tensor([[BOS, *tgt[:-1]]])
        )[0]
        assert len(scores) == len(tgt)
        worst = max(worst, float((rows[torch.arange(len(tgt)), tgt] - torch.tensor(scores)).abs().max()))
    return worst


# ------------------------------------------------------------------------------------------------------- agreement


POSITIONS = ("sinusoidal", "learned", "rotary")
KINDS = list(itertools.product(("pre", "post"), ("all", "output", "none"), ("relu", "gelu"), POSITIONS))
FEW = [KINDS[n] for n in (0, 4, 11, 14, 19, 23, 24, 33)]
"""Every norm with every activation, every positions and every tie."""


@pytest.mark.parametrize(
    ("norm", "tie", "activation", "positions"),
    [pytest.param(*kind, marks=[pytest.mark.slow] * (kind not in FEW)) for kind in KINDS],
)
def test_every_kind_of_transformer_gives_our_log_probabilities(
    norm: str,
    tie: str,
    activation: str,
    positions: str,
    make_run: MakeRun,
    tmp_path: Path,
    pairs: list[tuple[str, str]],
    tiny_subwords: Subwords,
    two_vocabularies: Subwords,
) -> None:
    kind = {"norm": norm, "activation": activation, "positions": positions}
    model = model_of(replace(READER, **kind), replace(WRITER, **kind), tie=tie)
    run = make_run(model, tiny_subwords if tie == "all" else two_vocabularies)
    loaded, exported = written(run, tmp_path / "out")
    assert largest_difference(loaded, exported, pairs[::4]) < 1e-4


@pytest.mark.parametrize(
    "model",
    [
        model_of(replace(READER, layers=3, heads=3, norm="post"), replace(WRITER, layers=1, activation="gelu")),
        model_of(replace(READER, positions="learned"), replace(WRITER, feed_forward=7, norm="post")),
        replace(model_of(replace(READER, width=9, heads=3), replace(WRITER, width=9, heads=1)), embedding=9),
        model_of(replace(READER, positions="none"), replace(WRITER, positions="none")),
        model_of(replace(READER, positions="rotary"), WRITER),
        model_of(READER, replace(WRITER, positions="rotary", norm="post")),
    ],
    ids=["depths", "mixed", "odd width", "no positions", "rotary encoder", "rotary decoder"],
)
def test_the_two_sides_need_not_be_alike(
    model: ModelConfig, make_run: MakeRun, tmp_path: Path, pairs: list[tuple[str, str]]
) -> None:
    loaded, exported = written(make_run(model), tmp_path / "out")
    assert largest_difference(loaded, exported, pairs[::4]) < 1e-4


@pytest.mark.parametrize(
    ("penalty", "positions"),
    [("average", "sinusoidal"), ("none", "sinusoidal"), ("gnmt", "sinusoidal"), ("average", "rotary")],
)
def test_searches_find_the_same(
    penalty: str,
    positions: str,
    make_run: MakeRun,
    tmp_path: Path,
    two_vocabularies: Subwords,
    taught: dict[str, torch.Tensor],
) -> None:
    model = model_of(replace(READER, positions=positions), replace(WRITER, positions=positions), tie="output")
    run = make_run(model, two_vocabularies)
    checkpoint.save_weights(run.checkpoint("best"), taught, {})
    loaded, _ = written(run, tmp_path / "out")
    sample = sample_of(run, two_vocabularies)
    assert len(sample.src) == 40
    found = compare(tmp_path / "out", loaded.translator, sample, DecodeConfig(length_penalty=penalty), "de")
    assert found.agrees
    assert found.greedy == 40
    assert found.log_probability < 1e-3
    assert found.length_penalty == ("none" if penalty == "none" else "average")
    assert found.beam == 40 - found.limited
    assert found.limited == (4 if positions == "rotary" else 0)  # taught without rotary positions


def test_a_learned_table_goes_on_with_its_last_row(make_run: MakeRun, tmp_path: Path) -> None:
    """As ours does, for sentences longer than any that it was trained on."""
    kind = {"positions": "learned", "max_positions": 128}
    run = make_run(model_of(replace(READER, **kind), replace(WRITER, **kind)))
    loaded, exported = written(run, tmp_path / "out")
    long = " ".join(["katze"] * 100)
    assert len(loaded.translator.subwords.encode_src([long])[0]) > 200
    assert largest_difference(loaded, exported, [(long, long)]) < 1e-4


def test_the_tables_reach_as_far_as_is_promised(make_run: MakeRun, tmp_path: Path) -> None:
    _, exported = written(make_run(model_of()), tmp_path / "out")
    longest = limit(LONGEST)
    lengths = {"max_decoding_length": longest, "min_decoding_length": longest, "beam_size": 1}
    [found] = exported.model.translate_batch([["▁"]], **lengths)
    assert len(found.hypotheses[0]) == longest == exporting.positions_of(model_of()) - 1
    with pytest.raises(RuntimeError, match="position"):
        exported.model.translate_batch([["▁"] * (longest + 1)], max_input_length=0)


def test_a_longer_learned_table_is_kept_whole() -> None:
    model = model_of(replace(READER, positions="learned", max_positions=5000))
    assert exporting.positions_of(model) == 5000


@pytest.mark.parametrize("sentences", [40, 25, 3])
def test_the_sample_is_of_the_whole_split(sentences: int, make_run: MakeRun, tiny_subwords: Subwords) -> None:
    """It may be sorted by length or by where the text comes from."""
    run = make_run(model_of())
    every = sample_of(run, tiny_subwords).src
    chosen = sample_of(run, tiny_subwords, sentences=sentences).src
    places = [every.index(each) for each in chosen]
    assert len(places) == sentences and places[0] == 0 and len(every) - places[-1] <= -(-len(every) // sentences)


# ------------------------------------------------------------------------------------------------ what is written


def test_the_vocabularies_keep_the_order_of_the_ids(
    make_run: MakeRun, tmp_path: Path, two_vocabularies: Subwords
) -> None:
    written(make_run(model_of(tie="output"), two_vocabularies), tmp_path / "out")
    for side, pieces, size in (
        ("source", two_vocabularies.src_tokens, two_vocabularies.sizes[0]),
        ("target", two_vocabularies.tgt_tokens, two_vocabularies.sizes[1]),
    ):
        saved = json.loads((tmp_path / "out" / f"{side}_vocabulary.json").read_text())
        assert saved == pieces(range(size))
        assert saved[:4] == ["<pad>", "<unk>", "<s>", "</s>"]
    config = json.loads((tmp_path / "out/config.json").read_text())
    assert config["add_source_eos"] is True
    assert config["decoder_start_token"] == config["bos_token"] == two_vocabularies.tgt_tokens([BOS])[0]
    assert config["eos_token"] == two_vocabularies.tgt_tokens([EOS])[0]
    assert config["layer_norm_epsilon"] == 1e-5


def test_tied_tables_and_the_two_tables_of_positions_are_stored_once(make_run: MakeRun, tmp_path: Path) -> None:
    written(make_run(model_of(tie="all")), tmp_path / "out")
    sizes = 320 * WIDTH + exporting.positions_of(model_of()) * WIDTH
    layers = 4 * (4 * WIDTH * WIDTH + 2 * 20 * WIDTH) + 2 * 4 * WIDTH * WIDTH
    assert (tmp_path / "out/model.bin").stat().st_size < 4 * (sizes + layers) + 12_000
    assert (tmp_path / "out/shared_vocabulary.json").exists()


@pytest.mark.parametrize("quantization", ["int8", "bfloat16"])
def test_quantization_leaves_our_weights_alone(
    quantization: str, make_run: MakeRun, tmp_path: Path, pairs: list[tuple[str, str]]
) -> None:
    run = make_run(model_of())
    loaded, exported = written(run, tmp_path / "out", quantization)
    before = load(run).translator.models[0].state_dict()
    assert all(tensor.equal(before[name]) for name, tensor in loaded.translator.models[0].state_dict().items())
    features = torch.cpu.get_capabilities()
    exact = quantization != "int8" or features.get("avx512_vnni") or features.get("avx_vnni")
    # Without VNNI's instructions int8 strays farther: 1.6 nats were seen.
    assert 1e-4 < largest_difference(loaded, exported, pairs[::4]) < (1 if exact else 3)


# ----------------------------------------------------------------------------------------------------- the command


def refused(capfd: Any, *arguments: str) -> str:
    """What the command says when it refuses: one line."""
    capfd.readouterr()
    assert main(["export", *arguments]) == 2
    said = capfd.readouterr().err.splitlines()
    assert said[-1].startswith("seq2seq: error: ")
    assert len([line for line in said if "error" in line]) == 1
    return said[-1]


def left(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def process(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = run_command("export", *arguments, env=ENVIRONMENT)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_the_folder_translates_as_we_do_wherever_it_is_moved(
    make_run: MakeRun,
    tmp_path: Path,
    pairs: list[tuple[str, str]],
    two_vocabularies: Subwords,
    taught: dict[str, torch.Tensor],
) -> None:
    """By the very lines that the command prints."""
    run = make_run(model_of(tie="output"), two_vocabularies)
    checkpoint.save_weights(run.checkpoint("best"), taught, {})
    out = process(str(run.folder), "--to", "ctranslate2").stdout
    folder = run.folder / "export/ctranslate2"
    for name in ("model.bin", "config.json", "src.model", "tgt.model", "export.json"):
        assert (folder / name).is_file()
    assert {path.name for path in folder.parent.iterdir()} == {"ctranslate2"}
    table, _, usage = out.partition("\nTo translate")
    assert max(map(len, table.splitlines())) <= 80
    assert "identical greedy translations" in table
    assert "100.0%" in table
    code = usage.partition("\n\n")[2].partition("\n\n")[0]
    assert str(folder.resolve()) in code
    shutil.move(folder, tmp_path / "moved")
    shutil.move(run.folder, tmp_path / "away")
    names: dict[str, Any] = {"lines": [src for src, _ in pairs]}
    exec(code.replace(str(folder.resolve()), str(tmp_path / "moved")), names)
    ours = load(Run(tmp_path / "away")).translator.translate(names["lines"], DecodeConfig(beam=5))
    assert names["texts"] == [each.text for [each] in ours]
    assert len(set(names["texts"])) > 20, "a test that says little"


def test_beam_searches_that_reach_the_limit_are_counted_and_not_compared(
    make_run: MakeRun, tmp_path: Path, tiny_subwords: Subwords, capfd: Any
) -> None:
    """A model that never ends a sentence says the same with a beam as here, up to our limit."""
    run = make_run(model_of())
    weights = checkpoint.weights_of(load(run).translator.models[0])
    weights["output.bias"] = weights["output.bias"].clone()
    weights["output.bias"][EOS] = -50.0
    checkpoint.save_weights(run.checkpoint("best"), weights, {})
    loaded, _ = written(run, tmp_path / "out")
    found = compare(tmp_path / "out", loaded.translator, sample_of(run, tiny_subwords), DecodeConfig(), "de")
    assert found.greedy + found.ties == found.limited == found.sentences == 40
    assert main(["export", str(run.folder), "--to", "ctranslate2"]) == 0
    assert "none can be compared" in capfd.readouterr().out


def test_the_folder_carries_the_runs_own_limits(make_run: MakeRun, capfd: Any) -> None:
    run = make_run(model_of(), decode=DecodeConfig(max_input=100, max_ratio=1.5, max_extra=7))
    assert main(["export", str(run.folder), "--to", "ctranslate2"]) == 0
    usage = capfd.readouterr().out
    assert "max_input_length=100, min_decoding_length=0, max_decoding_length=157," in usage
    config = json.loads((run.folder / "export/ctranslate2/config.json").read_text())
    assert {key: config["decode"][key] for key in ("max_input", "max_ratio", "max_extra")} == {
        "max_input": 100,
        "max_ratio": 1.5,
        "max_extra": 7,
    }


def test_their_default_reads_1023_subwords_and_the_end_mark(make_run: MakeRun, tmp_path: Path) -> None:
    """What the written usage says of their limits."""
    _, exported = written(make_run(model_of()), tmp_path / "out")
    token = exported.src.id_to_piece(5)
    never = {"disable_unk": True, "suppress_sequences": [["<pad>"], ["<s>"]], "return_scores": True, "beam_size": 1}
    scores = [
        exported.model.translate_batch([[token] * size], max_decoding_length=3, **never)[0].scores[0]
        for size in (1022, 1023, 1024, 1500)
    ]
    assert scores[0] != scores[1] == scores[2] == scores[3]


def test_quantization_is_reported_in_bleu_and_has_its_own_folder(make_run: MakeRun, capfd: Any) -> None:
    run = make_run(model_of())
    assert main(["export", str(run.checkpoint("best")), "--to", "ctranslate2", "--quantization", "int8"]) == 0
    assert "BLEU" in capfd.readouterr().out
    report = json.loads((run.folder / "export/ctranslate2-int8/export.json").read_text())
    assert report["quantization"] == "int8"
    assert report["comparison"]["compute_type"] == "int8_float32"
    assert report["comparison"]["sentences"] == 40


def test_a_run_that_was_never_tested_is_compared_on_random_tokens(make_run: MakeRun, capfd: Any) -> None:
    run = make_run(model_of(), tested=False)
    assert main(["export", str(run.folder), "--to", "ctranslate2"]) == 0
    report = json.loads((run.folder / "export/ctranslate2/export.json").read_text())
    assert report["run"] == run.folder.name, "no path of the user's goes along"
    assert report["comparison"]["what"] == "of random tokens"
    assert report["comparison"]["greedy"] == report["comparison"]["sentences"] == 200


def test_real_processes_refuse_in_a_line(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(model_of(RecurrentEncoderConfig(width=6), AttentionDecoderConfig(width=10)))
    before = left(tmp_path)
    done = process(str(run.folder), "--to", "ctranslate2", code=2)
    assert "CTranslate2 has no recurrent layers; it takes transformer runs" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    done = process(str(run.folder), "--to", "ctranslate", code=2)
    known = ", ".join(options.TARGETS)
    assert done.stderr == f"seq2seq: error: --to ctranslate is not one of {known}; did you mean ctranslate2?\n"
    done = process(str(tmp_path / "nowhere"), "--to", "ctranslate2", code=2)
    assert "no run folder" in done.stderr
    assert left(tmp_path) == before


def test_a_hybrid_is_refused(make_run: MakeRun, capfd: Any) -> None:
    run = make_run(model_of(decoder=AttentionDecoderConfig(width=10)))
    assert "no recurrent layers" in refused(capfd, str(run.folder), "--to", "ctranslate2")


@pytest.mark.parametrize("to", ["ctranslate2", "argos"])
def test_alibi_is_refused(to: str, make_run: MakeRun, capfd: Any) -> None:
    run = make_run(model_of(decoder=replace(WRITER, positions="alibi")))
    assert "model.decoder.positions=alibi" in refused(capfd, str(run.folder), "--to", to)


def test_whatever_stands_at_the_place_stays(make_run: MakeRun, tmp_path: Path, capfd: Any) -> None:
    run = make_run(model_of())
    (tmp_path / "there").mkdir()
    said = refused(capfd, str(run.folder), "--to", "ctranslate2", "--out", str(tmp_path / "there"))
    assert "exists" in said
    assert "--out" in said
    (tmp_path / "file").write_text("mine")
    said = refused(capfd, str(run.folder), "--to", "ctranslate2", "--out", str(tmp_path / "file/below"))
    assert "cannot be written" in said
    assert (tmp_path / "file").read_text() == "mine"


def test_names_are_checked_before_the_run_is(capfd: Any) -> None:
    said = refused(capfd, "nowhere", "--to", "ctranslate2", "--quantization", "int9")
    assert "did you mean int8?" in said
    assert "--to" in refused(capfd, "nowhere")


def test_without_ctranslate2_it_names_the_extra(make_run: MakeRun, capfd: Any, monkeypatch: Any) -> None:
    run = make_run(model_of())
    monkeypatch.setattr(options, "find_spec", lambda name: None)
    assert "pip install 'seq2seq-trainer[export]'" in refused(capfd, str(run.folder), "--to", "ctranslate2")


def test_runs_that_cannot_be_loaded_leave_nothing(make_run: MakeRun, capfd: Any) -> None:
    run = make_run(model_of())
    whole = run.checkpoint("best").read_bytes()
    run.checkpoint("best").write_bytes(whole[:-100])
    before = left(run.folder)
    assert "damaged" in refused(capfd, str(run.folder), "--to", "ctranslate2")
    run.checkpoint("best").write_bytes(whole)
    text = run.config_file.read_text()
    run.config_file.write_text(text.replace("feed_forward: 20", "feed_forward: 21"))
    assert "weights of another model" in refused(capfd, str(run.folder), "--to", "ctranslate2")
    run.config_file.write_text(text.replace(f"embedding: {WIDTH}", "embedding: 10"))
    assert "differs from model.embedding=10" in refused(capfd, str(run.folder), "--to", "ctranslate2")
    assert left(run.folder) == before
    run.config_file.write_text(text)
    run.checkpoint("best").unlink()
    assert "no checkpoint yet" in refused(capfd, str(run.folder), "--to", "ctranslate2")


def test_a_wrong_mapping_is_noticed_and_nothing_is_left(make_run: MakeRun, capfd: Any, monkeypatch: Any) -> None:
    run = make_run(model_of())
    before = left(run.folder)
    monkeypatch.setattr(mapping, "EPSILON", 0.1)
    said = refused(capfd, str(run.folder), "--to", "ctranslate2")
    assert "nothing was exported" in said
    assert left(run.folder) == before


def test_weights_that_are_no_numbers_are_refused(make_run: MakeRun, capfd: Any) -> None:
    run = make_run(model_of())
    tensors, _ = checkpoint.read(run.checkpoint("best"))
    weights = {name.removeprefix("model/"): tensor for name, tensor in tensors.items()}
    weights["output.bias"][7] = float("nan")
    checkpoint.save_weights(run.checkpoint("best"), weights, {})
    before = left(run.folder)
    refused(capfd, str(run.folder), "--to", "ctranslate2")
    assert left(run.folder) == before


@pytest.mark.parametrize(
    ("fault", "code"),
    [(OSError(28, "No space left on device"), 2), (KeyboardInterrupt(), 130), (RuntimeError("bug"), None)],
)
@pytest.mark.parametrize("where", ["compare", "write"])
def test_a_fault_leaves_nothing_behind(
    where: str, fault: BaseException, code: int | None, make_run: MakeRun, tmp_path: Path, capfd: Any, monkeypatch: Any
) -> None:
    run = make_run(model_of())
    before = left(tmp_path)

    def failing(folder: Path, *rest: Any) -> None:
        assert folder.parent == tmp_path / "a/b", "beside its place, so that it can be renamed"
        (folder / "half").write_text("")
        raise fault

    monkeypatch.setattr(exporting, where, failing)
    arguments = ["export", str(run.folder), "--to", "ctranslate2", "--out", str(tmp_path / "a/b/out")]
    if code is None:
        with pytest.raises(RuntimeError, match="bug"):
            main(arguments)
    else:
        assert main(arguments) == code
    assert left(tmp_path) == before


def test_near_ties_are_told_from_mistakes(make_run: MakeRun, tmp_path: Path, monkeypatch: Any) -> None:
    """Two pieces with one row of the output layer: either may be taken."""
    run = make_run(model_of(tie="none"))
    loaded, exported = written(run, tmp_path / "out")
    sample = sample_of(run, loaded.translator.subwords)
    found = [each[0] for each in loaded.translator.translate(sample.src, DecodeConfig())]
    often = max(
        (p for each in found for p in each.tgt_tokens[:-1]), key=lambda p: sum(p in e.tgt_tokens for e in found)
    )
    vocabulary = loaded.translator.subwords.tgt_tokens(range(320))
    rare = next(piece for piece in vocabulary[4:] if not any(piece in each.tgt_tokens for each in found))
    honest = exported.translate(sample.src, beam_size=1)
    swapped = [[rare if piece == often else piece for piece in each] for each in honest]
    monkeypatch.setattr(exported, "translate", lambda *rest, **options: swapped)
    changed = sum(often in each for each in honest)
    assert verification._greedy(exported, loaded.translator, sample, found)[1:] == (40 - changed, 0)
    output = loaded.translator.models[0].output
    with torch.no_grad():
        for parameter in (output.weight, output.bias):
            parameter[vocabulary.index(rare)] = parameter[vocabulary.index(often)] - 1e-7
    assert verification._greedy(exported, loaded.translator, sample, found)[1:] == (40 - changed, changed)


def test_help_is_quick_and_completion_knows_the_flags(capfd: Any) -> None:
    out = process("--help").stdout
    assert max(map(len, out.splitlines())) <= 80
    for words, expected in (
        (["exp"], "export \n"),
        (["export", "RUN", "--t"], "--to \n"),
        (["export", "RUN", "--to", ""], "".join(f"{name} \n" for name in options.TARGETS)),
        (["export", "RUN", "--quantization", "b"], "bfloat16 \n"),
        (["export", "RUN", "decode"], "\n"),
    ):
        capfd.readouterr()
        assert main(["completion", "--", *words]) == 0
        assert capfd.readouterr().out == expected
    loaded = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "from seq2seq.cli.main import main; main(['export', '--help'])"],
        capture_output=True,
        text=True,
    ).stderr
    assert not [
        line for line in loaded.splitlines() if line.split("|")[-1].strip() in ("torch", "ctranslate2", "hydra")
    ]


def test_the_two_differences_that_the_usage_names(make_run: MakeRun, tmp_path: Path) -> None:
    """Their search renormalises what it suppresses; their attention is that of the last layer's heads."""
    loaded, exported = written(make_run(model_of()), tmp_path / "out")
    line = ["the dog sees the cat"]
    source = exported.tokens(line)
    asked = {"beam_size": 1, "max_decoding_length": 4, "return_scores": True, "return_attention": True}
    never = {"disable_unk": True, "suppress_sequences": [["<pad>"], ["<s>"]], "length_penalty": 0}
    never["min_decoding_length"] = 0
    found = exported.model.translate_batch(source, **asked, **never)[0]
    pieces = loaded.translator.subwords
    names = pieces.tgt_tokens(range(pieces.sizes[1]))
    ids = [names.index(token) for token in found.hypotheses[0]]
    src, tgt_in = torch.tensor(pieces.encode_src(line)), torch.tensor([[BOS, *ids[:-1]]])
    assert len(ids) == 4, "ended before the limit"
    rows = teacher_forced_log_probs(loaded.translator.models, src, tgt_in)[0]
    ours = rows[torch.arange(len(ids)), torch.tensor(ids)].sum()
    rows[:, [names.index(name) for name in ("<unk>", "<pad>", "<s>")]] = float("-inf")
    assert found.scores[0] == pytest.approx(float(ours - rows.logsumexp(-1).sum()), abs=1e-4)
    assert found.scores[0] > ours + 1e-3
    [model] = loaded.translator.models
    heads = loaded.config.model.decoder.heads
    last_layer = model(src, tgt_in, attention=True).attention[0, -heads:].mean(0)  # (T, S)
    assert torch.tensor(found.attention[0]).sub(last_layer[:, :-1]).abs().max() < 1e-4  # theirs has no column for EOS
