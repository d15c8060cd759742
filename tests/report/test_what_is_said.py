"""Sentences of the page that depend on how a study was made say only what is so."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from seq2seq.errors import UserError
from seq2seq.report.data import ReportData
from seq2seq.report.model_runs import ModelRuns, grouped
from seq2seq.report.reporting import _language_model
from seq2seq.report.sections.behaviour import extrapolation, search
from seq2seq.report.sections.data_size import data_size
from seq2seq.report.sections.dose import dose
from seq2seq.report.sections.fairness import fairness
from seq2seq.report.sections.learning import undertraining
from seq2seq.runs.run import Run
from seq2seq.study.options import VariantConfig
from seq2seq.study.plan import Setting, Trial

Text = tuple[list[str], list[str]]
FakeRun = Callable[..., Run]
MODELS = ("lstm", "transformer")
OPTIONS = ("data.take=1000", "trainer.average=3", "decode.beam=1")


def first_words(references: list[str], count: int) -> list[str]:
    return [" ".join(line.split()[:count]) for line in references]


@pytest.fixture
def data(fake_run: FakeRun, text: Text) -> ReportData:
    """A model that translates six words of each sentence, and one that is always right."""
    lines = (first_words(text[1], 6), text[1])
    runs = [fake_run(f"{model}/seed1", model, 1, own, *OPTIONS) for model, own in zip(MODELS, lines, strict=True)]
    return ReportData("test", grouped(runs), *text, text, [7, 11])


def trained_for(fake_run: FakeRun, folder: str, steps: tuple[int, int], checkpoint: str = "best") -> list[ModelRuns]:
    """A run of each model that ended after so many thousand tokens."""
    runs = []
    for model, last in zip(MODELS, steps, strict=True):
        runs.append(fake_run(f"{folder}/{model}", model, 1, valid=[(last, 9.0)]))
        summary = json.loads(runs[-1].summary_file.read_text())
        runs[-1].summary_file.write_text(json.dumps({**summary, "checkpoint": checkpoint}))
    return grouped(runs)


def test_how_runs_of_each_size_were_made_is_said_as_it_is(data: ReportData, fake_run: FakeRun) -> None:
    def said(few: list[ModelRuns], groups: list[ModelRuns] = data.groups, **more: object) -> str:
        return data_size(replace(data, groups=groups, sized={100: few}, **more)).text[0]

    same = said(trained_for(fake_run, "same", (20, 20)))
    assert "with the optimiser and the rate of its experiment, and" in same
    assert "for the same number of target tokens, so that few pairs are seen more often" in same
    assert "tested with the weights that validation chooses." in same
    by_size = said(trained_for(fake_run, "epochs", (2, 2), "averaged"))
    assert "for unequal numbers of target tokens (lstm 2,000 to 20,000, transformer 2,000 to 20,000)" in by_size
    assert "the weights that validation chooses or the mean weights of the last 3 validations." in by_size
    dear = trained_for(fake_run, "flops", (40, 20))
    for n, group in enumerate(dear):  # as many on all pairs
        group.runs[0].save_config(data.groups[n].configs[0])
    shared = said(trained_for(fake_run, "fewer", (40, 20)), grouped([group.runs[0] for group in dear]))
    assert "each for as many target tokens at every number (lstm 40,000, transformer 20,000)" in shared
    trials = [Trial("lstm", "adamw", 0.1, 9, 1.0, 2.0)]
    assert "that its trials chose on 1,000 pairs" in said(trained_for(fake_run, "trials", (20, 20)), trials=trials)


@pytest.mark.parametrize(
    ("steps", "times", "many"),
    [(30, "1.5", "more"), (19, "0.9", "no more"), (100, "5.0", "many more"), (205, "10", "many more")],
)
def test_how_much_longer_a_training_was_is_told_as_it_is(
    data: ReportData, fake_run: FakeRun, text: Text, steps: int, times: str, many: str
) -> None:
    run = fake_run("lstm-long/seed1", "lstm", 1, first_words(text[1], 9), *OPTIONS, valid=[(steps, 60.0)])
    variant = VariantConfig("lstm-long", "lstm", [], "undertraining"), ModelRuns("lstm-long", [run])
    section = undertraining(replace(data, variants=[variant]))
    said = " ".join(section.text)
    assert f"Trained on {times} times as many tokens, lstm-long" in said
    assert f"lstm-long, trained on {many} tokens, is behind" in said
    [closed] = [table for table in section.tables if table.name == "closed"]
    assert closed.note.startswith("Test BLEU, greedy;"), "decode.beam=1"


def test_the_language_model_is_one(fake_run: FakeRun) -> None:
    runs = [fake_run(f"lm/seed{seed}", "language_model", seed) for seed in (2, 1)]
    group = _language_model(runs)
    assert (group.model, group.seeds) == ("language model", [1, 2])
    with pytest.raises(UserError, match="two runs with the same seed"):
        _language_model([runs[0], runs[0]])
    with pytest.raises(UserError, match=r"lm/seed1 and .*wide/seed1 are two language models: leave the runs of one"):
        _language_model([runs[1], fake_run("wide/seed1", "language_model", 1, (), "model.dropout=0.4")])


def test_without_measurements_their_sections_are_left_out(data: ReportData) -> None:
    for section in (extrapolation(data), search(data)):
        assert not (section.text or section.figures or section.tables)


def test_what_has_no_finals_is_not_said_to_be_chosen_from_them(data: ReportData) -> None:
    tried = [(model, final) for model in (*MODELS, "language_model") for final in (False, True)][:-1]
    trials = [Trial(model, "adamw", 0.1, 9, 1.0, 2.0, final) for model, final in tried]
    settings = dict.fromkeys((*MODELS, "language_model"), Setting("adamw", 0.1))
    said = fairness(replace(data, trials=trials, settings=settings)).text[1]
    assert "the choice is between these finals (language_model: between the trials)." in said
    assert "between these finals." in fairness(replace(data, trials=trials[:-1], settings=settings)).text[1]


@pytest.mark.parametrize(
    ("parameters", "said"), [(1_500, "500 more, so a loss is not one"), (900, "100 parameters fewer than transformer")]
)
def test_a_variant_with_fewer_parameters_is_not_said_to_have_more(
    data: ReportData, fake_run: FakeRun, text: Text, parameters: int, said: str
) -> None:
    run = fake_run("slots-1/seed1", "transformer", 1, text[1], "model.encoder.slots=1", parameters=parameters)
    variant = VariantConfig("slots-1", "transformer", [], "slots"), ModelRuns("slots-1", [run])
    text_of_it = dose(replace(data, variants=[variant])).text[0]
    assert said in text_of_it and "-" not in text_of_it.partition("(all)")[2]
