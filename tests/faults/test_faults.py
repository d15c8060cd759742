"""Each fault really is the fault, and the sound model beside it is not; and the command that measures them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sacrebleu.metrics.bleu import BLEU as SacreBLEUBLEU
from torch import Tensor, nn

from scripts.faults import attention_after, last_state, mixed_batches, padding_in_loss, results, token_bleu
from scripts.faults.__main__ import check_alike, main, options_of
from scripts.faults.plan import (
    EVALUATIONS,
    HALF,
    NUMBERS,
    ROWS,
    TRAININGS,
    Fault,
    Source,
    inside,
    rows_of,
    trainings_of,
)
from scripts.faults.results import Runs
from seq2seq.config.compose import compose
from seq2seq.config.schema import EOS, PAD, DecodeConfig
from seq2seq.data import batches
from seq2seq.data.subwords import Subwords
from seq2seq.decoding.search import search
from seq2seq.decoding.translator import Translator
from seq2seq.errors import UserError
from seq2seq.evaluation.metrics import BLEU
from seq2seq.models.build import build, parameters_by_part
from seq2seq.models.interface import Memory, Seq2Seq
from seq2seq.models.loss import sequence_loss
from seq2seq.models.recurrent import RecurrentEncoder
from seq2seq.runs.run import Run
from seq2seq.training import update
from tests.processes import start_task

ROOT = Path(__file__).parents[2]
Build = Callable[..., Seq2Seq]
Sentences = Callable[..., Tensor]


def padded(src: Tensor, more: int) -> Tensor:
    return torch.cat([src, torch.full((len(src), more), PAD)], 1)


# ------------------------------------------------------------------------------------------ 1: last state of padding


@pytest.mark.parametrize("name", ["lstm", "bahdanau", "gru", "lstm-two-layers"])
def test_with_fault_1_a_sentence_depends_on_the_padding_behind_it(
    name: str, build_tiny: Build, sentences: Sentences
) -> None:
    src = sentences([5])
    sound = build_tiny(name)
    with last_state.applied():
        faulty = build_tiny(name)
    assert all(torch.equal(a, b) for a, b in zip(sound.parameters(), faulty.parameters(), strict=True))
    torch.testing.assert_close(sound.encode(padded(src, 3)).sentence_vector, sound.encode(src).sentence_vector)
    torch.testing.assert_close(faulty.encode(src).sentence_vector, sound.encode(src).sentence_vector)
    moved = faulty.encode(padded(src, 3)).sentence_vector - faulty.encode(src).sentence_vector
    assert moved.abs().max() > 0.05
    assert torch.equal(faulty.encode(padded(src, 3)).mask, padded(src, 3) != PAD)  # attention ignores padding still


def test_fault_1_is_torchs_lstm_without_lengths(build_tiny: Build, sentences: Sentences) -> None:
    src = sentences([7, 4, 2])
    with last_state.applied():
        encoder = build_tiny("lstm").encoder
    assert isinstance(encoder, RecurrentEncoder)
    [[forward, backward]] = [[*layer.children()] for layer in encoder.layers]
    plain = nn.LSTM(8, 6, batch_first=True, bidirectional=True)
    weights = {**forward.state_dict(), **{f"{name}_reverse": w for name, w in backward.state_dict().items()}}
    plain.load_state_dict(weights)
    _, (last, _) = plain(encoder.embedding(src))
    torch.testing.assert_close(encoder(src, src != PAD).sentence_vector, torch.cat([last[0], last[1]], -1))


def test_with_fault_1_a_translation_depends_on_its_neighbours(build_tiny: Build, tiny_subwords: Subwords) -> None:
    lines = ["the cat", "a small dog near our old house and runs home quickly", "the dog sees"]
    sound = build_tiny("lstm", vocab=tiny_subwords.sizes[0])
    with last_state.applied():
        faulty = build_tiny("lstm", vocab=tiny_subwords.sizes[0])

    def scores(model: Seq2Seq, batching: tuple[Fault, ...]) -> list[float]:
        with inside(batching):
            found = Translator([model], tiny_subwords, torch.device("cpu")).translate(lines, DecodeConfig())
        return [best.log_probability for [best] in found]

    alone, mixed = EVALUATIONS["alone"].batches, EVALUATIONS["mixed"].batches
    expected = pytest.approx(scores(sound, ()), abs=1e-4)
    assert scores(sound, mixed) == expected
    assert scores(sound, alone) == expected
    assert scores(faulty, alone) == expected
    together = scores(faulty, mixed)
    assert together != expected
    assert together[1] == pytest.approx(scores(sound, ())[1], abs=1e-4)  # the longest has no padding


# ------------------------------------------------------------------------------------------- 2: padding in the loss


def test_fault_2_is_the_mean_over_all_positions(build_tiny: Build, sentences: Sentences) -> None:
    model, target = build_tiny("lstm"), sentences([6, 3, 2])
    hidden = torch.randn(*target.shape, 8)
    tokens = int((target != PAD).sum())
    found = padding_in_loss.loss_with_padding(model, hidden, target, 0.1)
    mean = nn.CrossEntropyLoss(label_smoothing=0.1)(model.logits(hidden).flatten(0, 1), target.flatten())
    torch.testing.assert_close(found.loss / tokens, mean)


def test_the_padding_of_a_batch_changes_the_loss_with_fault_2_alone(build_tiny: Build, sentences: Sentences) -> None:
    model, target = build_tiny("lstm"), sentences([6, 3, 2])
    hidden = torch.randn(*padded(target, 4).shape, 8)
    cut = hidden[:, : target.shape[1]]
    sound = [sequence_loss(model, *each, 0.0).loss.item() for each in ((cut, target), (hidden, padded(target, 4)))]
    assert sound[0] == pytest.approx(sound[1])
    with padding_in_loss.applied():
        given = ((cut, target), (hidden, padded(target, 4)))
        faulty = [update.sequence_loss(model, *each, 0.0).loss.item() for each in given]
    assert abs(faulty[0] - faulty[1]) > 0.1
    assert update.sequence_loss is sequence_loss


# ----------------------------------------------------------------------------------------- 3: attention after the step


def decoder_states(model: Seq2Seq, memory: Memory, steps: int) -> list[Tensor]:
    state, found = model.decoder.init_state(memory), []
    for token in range(5, 5 + steps):
        _, state, _ = model.decoder.step(torch.full((len(memory.states), 1), token), state, memory)
        found.append(state["h0"])
    return found


def test_with_fault_3_no_state_knows_what_was_attended_to(build_tiny: Build, sentences: Sentences) -> None:
    """Other annotations behind the same sentence vector change the states of the sound models alone."""
    first_to_differ = {}
    for name, tiny, fault in (
        ("before", "bahdanau", ()),
        ("after", "bahdanau", (attention_after.applied,)),
        ("fed", "bahdanau-after", ()),
    ):
        with inside(fault):
            model = build_tiny(tiny)
        memory = model.encode(sentences([6, 4]))
        other = model.decoder.precompute(memory._replace(states=memory.states.flip(1) + 0.5, precomputed=()))
        pairs = zip(decoder_states(model, memory, 4), decoder_states(model, other, 4), strict=True)
        differ = [not torch.allclose(a, b) for a, b in pairs]
        first_to_differ[name] = differ.index(True) + 1 if any(differ) else None
    assert first_to_differ == {"before": 1, "after": None, "fed": 2}


def test_the_decoder_with_fault_3_trains_as_it_translates(
    build_tiny: Build, sentences: Sentences, shift: Callable[[Tensor], Tensor]
) -> None:
    with attention_after.applied():
        model = build_tiny("bahdanau")
    src, tgt_in = sentences([6, 4]), shift(sentences([5, 5], seed=1))
    forced = model(src, tgt_in, attention=True)
    memory = model.encode(src)
    state = model.decoder.init_state(memory)
    for n, token in enumerate(tgt_in.T):
        hidden, state, weights = model.decoder.step(token[:, None], state, memory)
        torch.testing.assert_close(hidden[:, 0], forced.hidden[:, n])
        torch.testing.assert_close(weights[:, 0], forced.attention[:, :, n])
    assert [len(found) for found in search([model], src, compose([]).decode)] == [1, 1]


# ------------------------------------------------------------------------------------------------ 4: BLEU of tokens


def test_fault_4_scores_what_the_tokeniser_made() -> None:
    hypotheses, references = ["der Hund schläft , weil er müde ist.", "Sie geht"], ["Der Hund schläft.", "Sie geht."]
    assert token_bleu.words(["Der Hund, er schläft."]) == ["der hund , er schläft ."]
    rows = token_bleu.statistics(token_bleu.words, hypotheses, references)
    own = SacreBLEUBLEU(tokenize="none", force=True)
    lines = [token_bleu.words(side) for side in (hypotheses, references)]
    assert float(BLEU.score(rows.sum(0))) == pytest.approx(own.corpus_score(lines[0], [lines[1]]).score)


def test_fault_4_does_not_see_the_case() -> None:
    references = ["Der Hund sieht die Katze, weil er müde ist."]
    hypotheses = ["der hund sieht die katze , weil er müde ist ."]
    assert BLEU.corpus_score(hypotheses, references, "de") < 60
    rows = token_bleu.statistics(token_bleu.words, hypotheses, references)
    assert float(BLEU.score(rows.sum(0))) == pytest.approx(100)


def test_bleu_of_subwords_is_of_the_vocabularys_tokens(tiny_subwords: Subwords) -> None:
    [line] = token_bleu.pieces(tiny_subwords)(["die Katze"])
    assert line.replace(" ", "").replace("▁", " ").strip() == "die Katze"


# ------------------------------------------------------------------------------------------------------ 5, 6, 7: flags


def test_fault_5_cuts_at_25_tokens_and_fault_6_keeps_one_hypothesis(build_tiny: Build, sentences: Sentences) -> None:
    model = build_tiny("bahdanau")
    with torch.no_grad():
        model.output.bias[EOS] = -100.0  # it never ends by itself
    cut = compose([*EVALUATIONS["cut"].options, "decode.beam=1"]).decode
    assert [len(found[0].ids) for found in search([model], sentences([40, 3]), cut)] == [25, 25]
    sound = compose(["decode.beam=1"]).decode
    assert len(search([model], sentences([40]), sound)[0][0].ids) > 25
    assert compose([*EVALUATIONS["greedy"].options]).decode.beam == 1
    assert compose([]).decode.beam == 5


def test_only_fault_7_changes_the_number_of_parameters() -> None:
    counts = {}
    for name, training in TRAININGS.items():
        model = compose([f"experiment={training.experiment}", *options_of(name, 1, []), *training.options]).model
        with torch.device("meta"), inside(training.faults):
            counts[name] = parameters_by_part(build(model, 2_000, 2_000))["total"]
    half = counts.pop("lstm-half") / counts["lstm"]
    assert 0.49 < half < 0.51
    assert max(counts.values()) / min(counts.values()) < 1.01


# ---------------------------------------------------------------------------------------------------- mixed batches


def test_mixed_batches_are_as_many_and_hold_more_padding() -> None:
    lengths = np.random.default_rng(1).integers(3, 60, (500, 1)).repeat(2, 1)
    plans = [batches.plan(lengths, 600, 1, 0, 1)]
    with mixed_batches.trained():
        plans.append(batches.plan(lengths, 600, 1, 0, 1))
    assert len(plans[0]) == len(plans[1])
    for each in plans:
        assert sorted(np.concatenate(each)) == [*range(500)]
    padding = [1 - lengths.sum() / sum(2 * len(rows) * lengths[rows].max() for rows in each) for each in plans]
    assert padding[0] < 0.1
    assert padding[1] > 0.3
    assert [*mixed_batches.in_their_order([1] * 65)] == [[*range(64)], [64]]
    assert [*mixed_batches.alone([5, 5])] == [[0], [1]]


# ------------------------------------------------------------------------------------------------------------ figures


def finished(folder: Path, hypotheses: dict[str, list[str]], src: list[str], references: list[str]) -> Run:
    run = Run(folder)
    for name, lines in {"test/src": src, "test/ref": references, **hypotheses}.items():
        path = run.evaluation(name).with_suffix(".txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return run


def test_a_row_is_wrong_less_right_by_length(tmp_path: Path) -> None:
    src = ["the old dog sleeps today"] * 40 + ["word " * 20] * 40
    references = ["der alte Hund schläft heute ."] * 40 + ["und das ist ein langer Satz ."] * 40
    cut = references[:40] + ["und das ist"] * 40
    hypotheses = {"test/hypotheses": references, "cut/hypotheses": cut}
    runs = Runs({"bahdanau": [finished(tmp_path / "run", hypotheses, src, references)]})
    [row] = rows_of(["5"])
    found = runs.result(row)
    assert (found["without"], found["seeds"], found["covers"]) == (pytest.approx(100), 1, "sentences")
    assert found["cost"]["value"] == pytest.approx(found["bleu"] - 100)
    assert found["cost"]["low"] < found["cost"]["value"] < found["cost"]["high"] <= 0.01
    short, long = found["by_length"].values()
    assert short["value"] == 0 and long["value"] < -30
    table = results.markdown([found])
    assert table.startswith("|  | fault | without | with | difference | 5–10 words | 11–20 words |\n|")
    assert "| 5 | cut at 25 tokens | 100.0 |" in table


def test_where_all_sentences_are_of_one_bucket_the_table_has_one_column_of_lengths(tmp_path: Path) -> None:
    references = ["der alte Hund schläft heute ."] * 5
    texts = {"test/hypotheses": references, "cut/hypotheses": references}
    run = finished(tmp_path / "run", texts, ["the old dog sleeps today"] * 5, references)
    found = Runs({"bahdanau": [run]}).result(rows_of(["5"])[0])
    head, rule, line = results.markdown([found]).splitlines()
    assert head == "|  | fault | without | with | difference | 5 words |"
    assert len(results.cells(found)) == 6
    assert head.count("|") == rule.count("|") == line.count("|")


def test_every_row_has_trainings_and_every_fault_a_row() -> None:
    assert {source.training for row in ROWS for source in (row.wrong, row.right)} == set(TRAININGS)
    assert trainings_of(rows_of("56")) == {"bahdanau": ["cut", "greedy"]}
    assert trainings_of(rows_of("7")) == {"lstm-half": [], "lstm": []}
    assert Source("bahdanau") in {row.right for row in rows_of("4")}


def test_the_page_has_the_table_the_files_and_the_flags() -> None:
    page = (ROOT / "docs" / "seven-faults.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| (\d) \| ([^|]*) \|", page, re.MULTILINE)
    assert told == [(row.fault, row.what) for row in ROWS]
    assert re.findall(r"^## (\d)\.", page, re.MULTILINE) == [*NUMBERS]
    flags = (*EVALUATIONS["cut"].options, *EVALUATIONS["greedy"].options, *HALF)
    assert [flag for flag in flags if flag not in page] == []


SMALL = ["data.grammar.pairs=300", "data.grammar.valid=20", "data.grammar.test=40", "data.subwords.vocab_size=200"]


def small(folder: Path) -> list[str]:
    return [*SMALL, "trainer.max_tokens=2000", f"outputs={folder}/outputs", f"data.cache={folder}/data"]


def test_the_command_trains_evaluates_and_prints_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seq2seq.study.runner.start", start_task)  # the slow test starts interpreters
    assert main(["--only", "4,5,6", "--seeds", "1", *small(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "1 of 1 trainings to do" in printed
    assert "no beam" in printed
    found = json.loads((tmp_path / "outputs/faults/faults-4-5-6.json").read_text(encoding="utf-8"))
    assert [each["fault"] for each in found["rows"]] == ["4", "4", "5", "6"]
    assert found["seeds"] == [1] and "trainer.max_tokens=2000" in found["options"]
    assert (tmp_path / "outputs/faults/faults-4-5-6.md").read_text(encoding="utf-8").count("\n") == 6
    assert main(["--only", "4,5,6", "--seeds", "1", *small(tmp_path)]) == 0  # nothing is trained twice
    assert "trainings to do" not in capsys.readouterr().out
    assert main(["--only", "4", "--seeds", "1", *small(tmp_path), "trainer.max_tokens=3000"]) == 2
    assert "trainer.max_tokens: 2000 -> 3000" in capsys.readouterr().err


def test_trainings_by_other_code_are_not_mixed_into_one_table(fake_run: Callable[..., Run]) -> None:
    runs = [fake_run("a"), fake_run("b", fingerprint={"code": "newer"})]
    with pytest.raises(UserError, match=r"b is not like .*a: code: give another outputs=…, or delete"):
        check_alike(runs)
    check_alike(runs[:1])


def measured(faults: list[str], *_: object) -> list[results.Result]:
    """Results as a measurement of some faults gives them."""
    none = results.Cost(value=0.0, low=0.0, high=0.0, p=1.0)
    lengths = {"3–10": none, "11–20": none}
    return [
        results.Result(
            fault=row.fault,
            what=row.what,
            bleu=30.0,
            without=30.0,
            seeds=1,
            covers="sentences",
            cost=none,
            by_length=lengths,
        )
        for row in rows_of(faults)
    ]


def test_a_part_is_kept_beside_the_whole_and_not_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("scripts.faults.__main__.measure", measured)
    folder = tmp_path / "faults"
    assert main(["--only", "7,6,5,4,3,2,1", f"outputs={tmp_path}"]) == 0
    whole = {name: (folder / name).read_bytes() for name in ("faults.json", "faults.md")}
    capsys.readouterr()
    assert main(["--only", "6,5", f"outputs={tmp_path}"]) == 0
    assert str(folder / "faults-5-6.md") in capsys.readouterr().out.replace("\n", "")
    assert {path.name for path in folder.iterdir()} == {*whole, "faults-5-6.json", "faults-5-6.md"}
    assert {name: (folder / name).read_bytes() for name in whole} == whole
    part = json.loads((folder / "faults-5-6.json").read_text(encoding="utf-8"))
    assert [row["fault"] for row in part["rows"]] == ["5", "6"]


def test_no_file_is_written_before_the_table_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(found: object) -> str:
        raise ValueError("no table")

    monkeypatch.setattr("scripts.faults.__main__.measure", measured)
    monkeypatch.setattr(results, "markdown", fails)
    with pytest.raises(ValueError, match="no table"):
        main([f"outputs={tmp_path}"])
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.slow
def test_the_command_measures_every_fault(tmp_path: Path) -> None:
    assert main(["--seeds", "1", *small(tmp_path)]) == 0
    found = json.loads((tmp_path / "outputs/faults/faults.json").read_text(encoding="utf-8"))
    assert [each["what"] for each in found["rows"]] == [row.what for row in ROWS]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--only", "8"], "the faults are 1,2,3,4,5,6,7"),
        (["--seeds", "1,1"], "different whole numbers"),
        (["trainer.max_token=5"], "did you mean trainer.max_tokens?"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert told in capsys.readouterr().err
