"""A study's options, its plan, the choice of learning rates, and the refusal to mix what is not alike."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seq2seq.config.compose import compose
from seq2seq.errors import UserError
from seq2seq.runs.run import Run
from seq2seq.study import conduct
from seq2seq.study.fairness import (
    OF_EQUAL_COST,
    check_alike,
    check_as_now,
    check_fingerprints,
    check_of_other_text,
    check_parameters,
    unlike,
)
from seq2seq.study.options import study_of
from seq2seq.study.plan import OWN, Planned, Setting, Study
from seq2seq.study.runner import Task
from seq2seq.study.tasks import expected_seconds, measuring_tasks, training_task
from seq2seq.system.files import write_json

FakeRun = Callable[..., Run]


pytestmark = pytest.mark.usefixtures("composed_once")  # studies whose runs are composed alike


def study(*arguments: str) -> Study:
    return Study(*study_of(arguments))


def trained(fake_run: FakeRun, planned: Planned, **changes: Any) -> None:
    """What is planned, as if it had been trained."""
    fake_run(planned.label, **changes).save_config(planned.config)
    planned.run.folder.parent.mkdir(parents=True, exist_ok=True)
    (Path(planned.config.outputs) / planned.label).rename(planned.run.folder)


MODELS = ("lstm", "bahdanau", "transformer")


# ------------------------------------------------------------------------------------------------------- options


def test_keys_of_the_study_and_of_its_runs_are_told_apart() -> None:
    options, for_runs = study_of(["study=smoke", "seeds=[3,4]", "trainer.max_steps=5", "data=text"])
    assert (options.name, options.seeds) == ("smoke", [3, 4])
    assert for_runs == ["trainer.max_steps=5", "data=text"]


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("study=smok", "did you mean smoke?"),
        ("seds=[1]", "did you mean seeds?"),
        ("trainer.max_step=1", "did you mean trainer.max_steps?"),
        ("seed=1", "it takes each of seeds"),
        ("model=lstm", "it takes each of models"),
        ("experiment=lstm", "give {model} for it"),
        ("trainer.optimizer.lr=0.1", "rates=[…] says which are tried"),
        ("overwrite=true", "delete the folder"),
        ("seeds=[]", "must not be empty"),
        ("seeds=[1,1]", "the same twice"),
        ("seeds=[one]", "seeds[0]=one: a whole number is needed"),
        ("buckets=[20,10]", "give growing numbers"),
        ("widen=-1", "too small"),
        ("trainer.optimizer.name=muon", "optimizers=[…] says which are tried"),
        ("optimizers=[sgd]", "choose one of adamw, muon"),
        ("variants=[{name:a,optimizer:muon,tuned:true}]", "leave tuned out"),
        ("match=time", "choose one of parameters, seconds, flops"),
        ("sizes=[3000,1000]", "give growing numbers, at least two"),
        ("sizes=[1000]", "give growing numbers, at least two"),
        ("beside=[embedded]", "embedded is the study itself"),
        ("name=team/x", "one folder below outputs/studies: give a plain name"),
        ("runs=..", "one folder below outputs/studies: give a plain name"),
        ("variants=[{name:a},{name:a}]", "'a' is taken, or no folder's name"),
        ("variants=[{name:lstm}]", "'lstm' is taken, or no folder's name"),
        ("sizes=[10,20] variants=[{name:lstm-10}]", "'lstm-10' is taken, or no folder's name"),
        ("variants=[{name:finals,tuned:true}]", "'finals' is taken, or no folder's name"),
        ("variants=[{name:a/b}]", "'a/b' is taken, or no folder's name"),
        ("overrides=[seed\\=7]", "overrides: seed=7 is not for the runs of a study: it takes each of seeds in turn"),
        ("trials=[name\\=mine]", "trials: name=mine is not for the runs of a study: the study gives each run"),
        ("variants=[{name:a,overrides:[trainer.threads\\=2]}]", "variants: a: trainer.threads=2 is not for the runs"),
        ("rates=[0.1] overrides=[trainer.optimizer.lr\\=0.5]", "it takes what the trials choose"),
        ("variants=[{name:a,of:gru}]", "a is of gru, which is none of models"),
        ("seeds", "give key=value"),
    ],
)
def test_a_mistake_is_one_line(argument: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        study_of(argument.split())
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_the_experiment_of_each_model_is_an_option_of_the_study() -> None:
    options, for_runs = study_of(["study=text", "experiment=quick/{model}"])
    assert (options.experiment, for_runs) == ("quick/{model}", [])


def test_optimisers_without_rates_would_not_be_tried_and_are_refused() -> None:
    with pytest.raises(UserError, match=r"optimizers=\[adamw\]: .* give rates=\[…\] as well"):
        study_of(["study=quick", "optimizers=[adamw]"])
    asking = "variants=[{name:by-adamw,optimizer:adamw},{name:plain}]"
    planned = study("study=embedded", "rates=[]", asking)
    for settings in (planned.draft, planned.settings()):
        assert [variant.name for variant, _ in planned.variants(settings)] == ["plain"]


def test_sizes_and_take_do_not_go_together() -> None:
    with pytest.raises(UserError, match=r"data.take=7: sizes=\[10, 20\] says how many training pairs"):
        study_of(["sizes=[10,20]", "data.take=7"])


# ---------------------------------------------------------------------------------------------------------- plan


def test_every_model_gets_the_same_trials_and_every_seed() -> None:
    planned = study("study=embedded", "models=[lstm,transformer]", "seeds=[1,2]")
    trials = planned.trials
    subjects = ("lstm", "transformer", "language_model")
    assert [(t.subject, t.setting.optimizer, t.setting.rate) for t in trials] == [
        (model, optimizer, rate)
        for model in subjects
        for optimizer in ("adamw", "muon")
        for rate in (0.002, 0.004, 0.008)
    ]
    assert len({str(t.config.trainer.max_tokens) for t in trials}) == 1
    assert {t.config.trainer.optimizer.warmup_steps for t in trials} == {None}, "a share of each training"
    runs = planned.runs({"lstm": Setting("muon", 0.004), "transformer": Setting("adamw", 0.008)})
    chosen = [(r.model, r.seed, r.config.trainer.optimizer.name, r.config.trainer.optimizer.lr) for r in runs]
    assert chosen == [
        ("lstm", 1, "muon", 0.004), ("transformer", 1, "adamw", 0.008),
        ("lstm", 2, "muon", 0.004), ("transformer", 2, "adamw", 0.008),
    ]  # fmt: skip
    assert len({r.run.folder for r in [*trials, *runs]}) == len(trials) + len(runs)


def test_runs_differ_in_model_seed_and_rate_alone() -> None:
    runs = study("study=embedded").runs(dict.fromkeys(MODELS, Setting("adamw", 0.004)))
    for run in runs[1:]:
        assert run.config.data == runs[0].config.data and run.config.decode == runs[0].config.decode
        assert run.config.trainer == runs[0].config.trainer


def test_the_command_of_every_run_gives_the_config_that_was_planned(tmp_path: Path) -> None:
    variant = "variants=[{name:a,overrides:[trainer.optimizer.lr\\=0.03]}]"
    few = ["models=[lstm,transformer]", "rates=[0.004]"]
    planned = study(
        "study=smoke", variant, f"outputs={tmp_path / 'with space'}", "trainer.valid_every=7", "threads=2", *few
    )
    setting = Setting("muon", 0.0005)
    settings = dict.fromkeys(MODELS, setting)
    runs = [*planned.trials, *planned.runs(settings), *(run for _, run in planned.variants(settings))]
    for run in runs:
        assert compose(run.arguments) == run.config
    assert runs[-1].config.trainer.optimizer.lr == 0.03


def test_the_users_options_reach_every_run_and_win() -> None:
    planned = study("study=smoke", "trainer.max_tokens=777", "data.take=9")
    runs = planned.runs(dict.fromkeys(MODELS, Setting(None, 0.004)))
    assert {(r.config.trainer.max_tokens, r.config.data.take) for r in runs} == {(777, 9)}


def test_the_quick_study_is_three_short_runs_of_models_that_match() -> None:
    planned = study("study=quick")
    assert (planned.trials, planned.options.seeds) == ([], [1])
    runs = [each.config for each in planned.runs(planned.draft)]
    assert [each.model.name for each in runs] == [*MODELS]
    assert {(each.data.grammar.max_words, each.trainer.max_tokens, each.trainer.optimizer.name) for each in runs} == {
        (20, 1_800_000, "muon")
    }
    assert all(each.data == runs[0].data for each in runs)


def test_variants_change_what_they_say_and_share_the_runs_of_the_embedded_study() -> None:
    causes, embedded = study("study=causes"), study("study=embedded")
    settings = causes.draft
    asked = [one for one in causes.options.variants if one.name in ("lstm-long", "hybrid", "lstm-reversed")]
    causes.options = dataclasses.replace(causes.options, variants=asked)
    assert [r.run.folder for r in causes.runs(settings)] == [r.run.folder for r in embedded.runs(settings)]
    by_name = {variant.name: planned.config for variant, planned in causes.variants(settings)}
    plain = causes.runs(settings)[0].config
    assert by_name["lstm-long"].trainer.max_tokens == 10 * (plain.trainer.max_tokens or 0)
    assert by_name["lstm-long"].model == plain.model
    assert by_name["hybrid"].model.name == "hybrid"
    assert by_name["lstm-reversed"].trainer == plain.trainer and by_name["lstm-reversed"].model != plain.model
    assert causes.report != embedded.report


def test_positions_are_models_of_their_own_that_differ_in_nothing_else() -> None:
    planned = study("study=positions")
    runs = planned.runs(dict.fromkeys(planned.options.models, Setting("adamw", 0.004)))[:5]
    assert [run.config.model.name for run in runs] == [f"transformer-{kind}" for kind in planned.options.models]
    for run in runs:
        options = dataclasses.asdict(run.config.model)
        assert options.pop("name") == f"transformer-{options['encoder'].pop('positions')}"
        assert run.model == options["decoder"].pop("positions")
        plain = dataclasses.asdict(runs[0].config.model)
        del plain["name"], plain["encoder"]["positions"], plain["decoder"]["positions"]
        assert options == plain


def test_equal_cost_gives_the_cheaper_model_more_tokens() -> None:
    planned = study("study=embedded", "match=seconds", "models=[lstm,bahdanau]")
    runs = planned.runs(dict.fromkeys(("lstm", "bahdanau"), OWN), {"lstm": 1.0, "bahdanau": 2.5})
    tokens = {run.model: run.config.trainer.max_tokens for run in runs}
    assert tokens == {"lstm": 6_250_000, "bahdanau": 2_500_000}


def test_at_equal_cost_a_variant_has_the_tokens_of_its_model_unless_it_says_how_many(
    fake_run: FakeRun, tmp_path: Path
) -> None:
    told = "variants=[{name:plain},{name:longer,overrides:[trainer.max_tokens\\=9000000]},{name:tuned,tuned:true}]"
    given = ("models=[lstm,bahdanau]", "rates=[0.004]", "optimizers=[adamw,muon]", "match=seconds", told)
    planned = one_model(tmp_path, *given)
    for trial in planned.trials:
        trained(fake_run, trial, nll=1.0 if trial.setting.optimizer == "muon" else 2.0)
        seconds = {"lstm": 10.0, "bahdanau": 25.0, "tuned": 500.0}[trial.subject]
        [*_, last] = trial.run.points("valid/bleu")
        last |= {"train/tokens": 1_000_000, "train/seconds": seconds if trial.setting.optimizer == "muon" else 99.0}
        trial.run.metrics_file.write_text(json.dumps(last) + "\n")
    settings = planned.settings()
    cost = conduct.cost_of_a_token(planned, {}, settings)
    assert cost == pytest.approx({"lstm": 1e-5, "bahdanau": 2.5e-5}), "of the chosen optimiser, no variant's"
    runs = {run.subject: run.config.trainer.max_tokens for run in planned.runs(settings, cost)}
    runs |= {run.subject: run.config.trainer.max_tokens for _, run in planned.variants(settings, cost)}
    assert runs == {
        "lstm": 6_250_000,
        "bahdanau": 2_500_000,
        "plain": 6_250_000,
        "longer": 9_000_000,
        "tuned": 6_250_000,
    }


# --------------------------------------------------------------------------------------------------------- sizes


def test_each_model_is_trained_with_each_seed_on_each_number_of_pairs_alike(tmp_path: Path) -> None:
    models = ("lstm", "bahdanau")
    given = ["study=sizes", "models=[lstm,bahdanau]", "language_model=null", "seeds=[1,2]", "sizes=[100,300,900]"]
    planned = study(*given, "rates=[0.1]", "optimizers=[adamw]", f"outputs={tmp_path}")
    settings = {**planned.draft, "lstm": Setting("muon", 0.004)}
    runs, sized = planned.runs(settings), planned.sized(settings)
    assert {run.config.data.take for run in [*runs, *planned.trials]} == {900}, "the study itself has the most"
    assert [(size, run.model, run.seed) for size, run in sized] == [
        (size, model, seed) for size in (100, 300) for seed in (1, 2) for model in models
    ]
    for size, run in sized:
        alike = next(other for other in runs if (other.model, other.seed) == (run.model, run.seed))
        assert run.config.data.take == size and run.config.trainer == alike.config.trainer
        assert run.config.model == alike.config.model and run.setting == alike.setting
        assert Path(str(run.config.data.subwords.from_run)) == runs[0].run.folder
    assert len({run.run.folder for run in [*runs, *(run for _, run in sized)]}) == 12


def test_fewer_pairs_are_trained_on_at_equal_cost_where_the_study_is(tmp_path: Path) -> None:
    planned = study("study=sizes", "sizes=[100,900]", "seeds=[1]", "models=[lstm,bahdanau]", f"outputs={tmp_path}")
    sized = planned.sized(planned.draft, {"lstm": 1.0, "bahdanau": 2.0})
    assert [run.config.trainer.max_tokens for _, run in sized] == [4_000_000, 2_000_000]
    assert study("study=multi30k").sized(planned.draft) == []


def test_runs_on_fewer_pairs_wait_for_the_subwords_of_the_first(fake_run: FakeRun, tmp_path: Path) -> None:
    planned = study("study=sizes", "sizes=[100,900]", "seeds=[1]", "models=[lstm]", f"outputs={tmp_path}")
    [first], [(_, small)] = planned.runs(planned.draft), planned.sized(planned.draft)
    task = training_task(planned, small, first)
    assert not task.ready() and training_task(planned, first).ready()
    write_json(first.run.checkpoint("last"), {})
    assert task.ready(), "its subwords are there"
    shutil.rmtree(first.run.folder)
    trained(fake_run, first)
    assert task.ready()


def test_more_pairs_than_there_are_is_one_line() -> None:
    conduct._check_sizes([100, 900], 900)
    with pytest.raises(UserError, match=r"sizes=\[100, 900\]: there are 899 training pairs: give that as the last"):
        conduct._check_sizes([100, 900], 899)


def test_joined_and_single_training_have_one_test_and_name_each_other() -> None:
    joined, single = study("study=joined", "models=[lstm]"), study("study=unjoined", "models=[lstm]")
    one, other = (each.runs(each.draft)[0].config for each in (joined, single))
    assert one.data.joins_training and not other.data.joins_training and other.data.join == one.data.join
    assert one.trainer == other.trainer and one.model == other.model
    assert (joined.options.beside, single.options.beside) == (["unjoined"], ["joined"])
    assert joined.options.buckets == single.options.buckets


def test_the_flat_grammar_is_the_embedded_one_but_for_its_frequencies_and_its_training() -> None:
    flat, embedded = (study(f"study={name}", "models=[lstm]") for name in ("flat", "embedded"))
    one, other = (each.runs(each.draft)[0].config for each in (flat, embedded))
    assert (one.data.grammar.exponent, other.data.grammar.exponent) == (1.0, None)
    assert one.model == other.model and (one.trainer.max_tokens or 0) > 2 * (other.trainer.max_tokens or 0)
    assert flat.options.beside == ["embedded"]


# -------------------------------------------------------------------------------------------------------- trials


def run_trials(
    fake_run: FakeRun, planned: Study, nll: Callable[[Setting], float], finals: bool = False
) -> list[tuple[str, str]]:
    """Train, as if, every trial (or final) that is planned until no more are; the names of subjects and settings."""

    def all_planned() -> list[Planned]:
        return planned.finals if finals else planned.trials

    while left := [trial for trial in all_planned() if not trial.finished]:
        for trial in left:
            trained(fake_run, trial, nll=nll(trial.setting))
    return [(trial.subject, str(trial.setting)) for trial in all_planned()]


def one_model(tmp_path: Path, *more: str) -> Study:
    given = ("study=embedded", "models=[lstm]", "language_model=null", "finals=0", f"outputs={tmp_path}", *more)
    return study(*{argument.partition("=")[0]: argument for argument in given}.values())


def test_the_likeliest_of_both_optimisers_is_taken_whatever_its_bleu(fake_run: FakeRun, tmp_path: Path) -> None:
    planned = one_model(tmp_path)
    nll = {
        "adamw 0.002": 3.0,
        "adamw 0.004": 1.5,
        "adamw 0.008": 2.0,
        "muon 0.002": 1.9,
        "muon 0.004": 1.4,
        "muon 0.008": 9,
    }
    assert len(run_trials(fake_run, planned, lambda setting: nll[str(setting)])) == 6
    assert planned.settings() == {"lstm": Setting("muon", 0.004)}
    assert [trial.nll for trial in planned.tried()] == list(nll.values())


def test_a_trial_whose_every_score_is_no_number_is_the_last_choice(fake_run: FakeRun, tmp_path: Path) -> None:
    planned = one_model(tmp_path, "optimizers=[adamw]", "widen=0")
    run_trials(fake_run, planned, lambda setting: math.nan if setting.rate == 0.004 else 2.0)
    [diverged] = [each.run for each in planned.trials if each.setting.rate == 0.004]
    summary = json.loads(diverged.summary_file.read_text())
    write_json(diverged.summary_file, {**summary, "test": {**summary["test"], "nll": math.nan}})  # written as null
    assert planned.settings() == {"lstm": Setting("adamw", 0.002)}
    assert expected_seconds(planned, planned.runs(planned.settings())[0]) > 0


def test_of_equally_likely_rates_the_smaller_is_taken(fake_run: FakeRun, tmp_path: Path) -> None:
    planned = one_model(tmp_path, "optimizers=[adamw]", "widen=0")
    run_trials(fake_run, planned, lambda setting: 1.0 if (setting.rate or 0) > 0.002 else 2.0)
    assert planned.settings() == {"lstm": Setting("adamw", 0.004)}


@pytest.mark.parametrize(
    ("target", "tried", "chosen"),
    [
        (0.03, [0.002, 0.004, 0.008, 0.016, 0.032, 0.064], 0.032),
        (0.0006, [0.00025, 0.0005, 0.001, 0.002, 0.004, 0.008], 0.0005),
        (1.0, [0.002, 0.004, 0.008, 0.016, 0.032, 0.064], 0.064),  # no further than `widen` times
        (0.004, [0.002, 0.004, 0.008], 0.004),
    ],
)
def test_rates_are_widened_until_the_best_is_not_at_their_end(
    fake_run: FakeRun, tmp_path: Path, target: float, tried: list[float], chosen: float
) -> None:
    planned = one_model(tmp_path, "optimizers=[muon]")
    run_trials(fake_run, planned, lambda setting: abs(math.log((setting.rate or 1) / target)))
    assert [trial.setting.rate for trial in planned.trials] == tried
    assert planned.settings() == {"lstm": Setting("muon", chosen)}


def test_a_single_rate_is_the_users_choice_and_a_diverged_trial_is_never_the_best(
    fake_run: FakeRun, tmp_path: Path
) -> None:
    planned = one_model(tmp_path, "runs=one", "optimizers=[adamw]", "rates=[0.004]")
    assert run_trials(fake_run, planned, lambda _: 1.0) == [("lstm", "adamw 0.004")]
    planned = one_model(tmp_path, "optimizers=[adamw]")
    run_trials(fake_run, planned, lambda setting: math.nan if setting.rate == 0.008 else setting.rate or 0)
    assert planned.settings()["lstm"].rate == 0.00025


def test_a_variant_has_its_models_setting_its_own_trials_or_one_optimisers_best(
    fake_run: FakeRun, tmp_path: Path
) -> None:
    told = (
        "variants=[{name:tuned,tuned:true,overrides:[model.dropout\\=0.1]},{name:plain},"
        "{name:by-adamw,optimizer:adamw},{name:by-muon,optimizer:muon}]"
    )
    planned = one_model(tmp_path, told, "widen=0")
    likely = {"muon 0.004": 1.0, "adamw 0.008": 1.5}
    tried = run_trials(fake_run, planned, lambda setting: likely.get(str(setting), 2.0))
    assert [name for name, _ in tried] == ["lstm"] * 6 + ["tuned"] * 6
    assert {trial.config.model.dropout for trial in planned.trials if trial.subject == "tuned"} == {0.1}
    settings = {variant.name: str(run.setting) for variant, run in planned.variants(planned.settings())}
    assert settings == {"tuned": "muon 0.004", "plain": "muon 0.004", "by-adamw": "adamw 0.008"}, "lstm is by-muon"


def test_finals_are_of_the_likeliest_trials_as_long_as_a_run_and_decide(fake_run: FakeRun, tmp_path: Path) -> None:
    planned = one_model(tmp_path, "finals=2", "language_model=language_model", "seeds=[5,6]")
    assert planned.finals == [], "before the trials have told which"
    run_trials(fake_run, planned, lambda setting: {0.004: 1.0, 0.008: 1.1}.get(setting.rate or 0, 2.0))
    names = [planned_final.label for planned_final in planned.finals]
    assert names == [f"finals/lstm-{optimizer}-{rate}" for optimizer in ("adamw", "muon") for rate in (0.004, 0.008)]
    run = planned.runs({"lstm": Setting("muon", 0.004)})[0].config
    for final in planned.finals:
        optimizer = dataclasses.replace(final.config.trainer.optimizer, name="muon", lr=0.004)
        trainer = dataclasses.replace(final.config.trainer, optimizer=optimizer)
        assert dataclasses.replace(final.config, name=run.name, trainer=trainer) == run, "of the first seed"
    with pytest.raises(UserError, match=r"finals/lstm-adamw-0\.004 did not come to an end"):
        planned.settings()
    run_trials(fake_run, planned, lambda setting: 0.5 if str(setting) == "adamw 0.004" else 0.9, finals=True)
    assert planned.settings() == {"lstm": Setting("adamw", 0.004), "language_model": Setting("adamw", 0.004)}


def test_the_best_final_of_all_is_not_at_the_end_of_its_rates(fake_run: FakeRun, tmp_path: Path) -> None:
    planned = one_model(tmp_path, "finals=1")
    run_trials(fake_run, planned, lambda setting: 1.0 if setting.rate == 0.004 else 2.0)
    likely = {"adamw 0.004": 3.0, "muon 0.004": 0.9, "muon 0.002": 0.8, "muon 0.001": 1.2}
    finals = run_trials(fake_run, planned, lambda setting: likely[str(setting)], finals=True)
    assert [name for _, name in finals] == ["adamw 0.004", "muon 0.001", "muon 0.002", "muon 0.004"]
    assert planned.settings() == {"lstm": Setting("muon", 0.002)}


def test_a_variants_finals_begin_where_its_models_are_best(fake_run: FakeRun, tmp_path: Path) -> None:
    told = "variants=[{name:tuned,tuned:true,overrides:[model.dropout\\=0.1]}]"
    planned = one_model(tmp_path, "finals=2", told)
    run_trials(fake_run, planned, lambda setting: abs(math.log((setting.rate or 1) / 0.004)))
    assert {trial.subject for trial in planned.trials + planned.finals} == {"lstm"}, "its model's finals are to come"
    likely = {"muon 0.004": 0.9, "muon 0.002": 0.8, "muon 0.001": 0.85, "adamw 0.004": 1.0}

    def tried() -> list[tuple[str, str]]:
        return [(final.subject, str(final.setting)) for final in planned.finals]

    for final in planned.finals:
        trained(fake_run, final, nll=likely.get(str(final.setting), 2.0))
    assert all(name == "lstm" for name, _ in tried()), "its model's best rate is at an end"
    run_trials(fake_run, planned, lambda setting: likely.get(str(setting), 2.0), finals=True)
    own = [setting for name, setting in tried() if name == "tuned"]
    assert own == ["adamw 0.004", "muon 0.001", "muon 0.002", "muon 0.004"]
    assert planned.settings()["tuned"] == Setting("muon", 0.002)
    assert {final.config.model.dropout for final in planned.finals if final.subject == "tuned"} == {0.1}


def test_a_run_that_a_final_already_is_is_not_trained_again(fake_run: FakeRun, tmp_path: Path) -> None:
    asking = "variants=[{name:by-adamw,optimizer:adamw}]"
    planned = one_model(tmp_path, "finals=1", "optimizers=[adamw,muon]", "widen=0", "seeds=[1,2]", asking)
    for finals in (False, True):
        run_trials(fake_run, planned, lambda setting: 1.0 if str(setting) == "muon 0.004" else 2.0, finals=finals)
    settings = planned.settings()
    runs = [*planned.runs(settings), *(run for _, run in planned.variants(settings))]
    conduct.take_from_finals(planned, runs)
    conduct.take_from_finals(planned, runs)  # as after an interruption
    assert [(run.label, run.finished) for run in runs] == [
        ("lstm/seed1", True),
        ("lstm/seed2", False),
        ("by-adamw/seed1", True),
    ]
    final, taken = (Run(tmp_path / "studies/embedded" / name) for name in ("finals/lstm-muon-0.004", "lstm/seed1"))
    assert final.summary_file.read_bytes() == taken.summary_file.read_bytes()
    assert taken.load_config().name == "studies/embedded/lstm/seed1"


def test_a_missing_trial_is_an_error_and_no_rates_mean_no_trials(fake_run: FakeRun, tmp_path: Path) -> None:
    planned = one_model(tmp_path, "widen=0")
    for trial in planned.trials[:-1]:
        trained(fake_run, trial)
    with pytest.raises(UserError, match=r"trials/lstm-muon-0\.008 did not come to an end .* same trials"):
        planned.settings()
    free = study("study=embedded", "rates=[]", f"outputs={tmp_path}")
    assert free.settings() == dict.fromkeys((*MODELS, "language_model"), OWN) and free.trials == free.finals == []


# ------------------------------------------------------------------------------------------------------ fairness


def test_models_seeds_and_rates_may_differ(fake_run: FakeRun) -> None:
    runs = [fake_run("a", "lstm", 1), fake_run("b", "transformer", 2), fake_run("c", "bahdanau", 3)]
    assert unlike(runs) == []


@pytest.mark.parametrize("part", ["data", "subwords", "code", "versions"])
def test_another_fingerprint_is_refused_or_marked(fake_run: FakeRun, part: str) -> None:
    runs = [
        fake_run("a"),
        fake_run("b", "transformer", fingerprint={part: {"torch": "0"} if part == "versions" else "other"}),
    ]
    with pytest.raises(UserError, match=rf"b is not like .*a: {part}.*say anyway"):
        check_alike(runs, anyway=False)
    [reason] = check_alike(runs, anyway=True)
    assert part in reason


@pytest.mark.parametrize("override", ["trainer.batch_tokens=500", "decode.beam=2", "trainer.max_tokens=9"])
def test_another_budget_is_refused_and_names_the_key(fake_run: FakeRun, override: str) -> None:
    runs = [fake_run("a"), fake_run("b", "transformer", 1, (), override)]
    with pytest.raises(UserError, match=override.partition("=")[0]):
        check_alike(runs, anyway=False)


def test_runs_of_equal_cost_have_tokens_and_a_warm_up_of_their_own(fake_run: FakeRun) -> None:
    cheaper = ["trainer.max_tokens=9000000", "trainer.optimizer.warmup_steps=999"]
    runs = [fake_run("a"), fake_run("b", "transformer", 1, (), *cheaper)]
    assert check_alike(runs, False, OF_EQUAL_COST) == []
    with pytest.raises(UserError, match=r"trainer\.max_tokens.*trainer\.optimizer\.warmup_steps"):
        check_alike(runs, False)


def test_other_test_sentences_are_never_compared(fake_run: FakeRun) -> None:
    runs = [fake_run("a"), fake_run("b", "transformer", fingerprint={"references": "other"})]
    with pytest.raises(UserError, match="b was tested on other sentences"):
        check_alike(runs, anyway=True)


def test_a_variant_with_another_fingerprint_is_refused_or_marked(fake_run: FakeRun) -> None:
    runs = [fake_run("a"), fake_run("b", "lstm", 1, (), "trainer.max_tokens=9", fingerprint={"code": "other"})]
    with pytest.raises(UserError, match="code"):
        check_fingerprints(runs, anyway=False)
    assert len(check_fingerprints(runs, anyway=True)) == 1 and check_fingerprints(runs[:1], anyway=False) == []


def test_a_variant_may_learn_from_other_text_but_has_the_same_test(fake_run: FakeRun) -> None:
    first = fake_run("a")
    assert check_of_other_text(first, fake_run("b", fingerprint={"data": "more", "subwords": "t"}), False) == []
    with pytest.raises(UserError, match=r"c is not like .*a: references"):
        check_of_other_text(first, fake_run("c", fingerprint={"data": "more", "references": "other"}), False)


def test_a_run_on_fewer_pairs_has_the_subwords_of_those_on_all(fake_run: FakeRun) -> None:
    first = fake_run("a")
    assert check_of_other_text(first, fake_run("b", fingerprint={"data": "few"}), False, own_subwords=False) == []
    with pytest.raises(UserError, match=r"c is not like .*a: subwords"):
        older = fake_run("c", fingerprint={"data": "few", "subwords": "older"})
        check_of_other_text(first, older, False, own_subwords=False)


def test_a_tuned_variant_of_other_text_is_compared_by_its_test_alone(fake_run: FakeRun, tmp_path: Path) -> None:
    told = "variants=[{name:more,tuned:true,overrides:[data.grammar.pairs\\=200000]}]"
    planned = one_model(tmp_path, "finals=1", "seeds=[1]", "widen=0", told)

    def train(left: Callable[[], list[Planned]]) -> None:
        while missing := [one for one in left() if not one.finished]:
            for one in missing:
                trained(fake_run, one, fingerprint={"data": "more"} if one.subject == "more" else None)

    train(lambda: planned.trials)
    train(lambda: planned.finals)
    settings = planned.settings()
    [run], [(_, variant)] = planned.runs(settings), planned.variants(settings)
    conduct.take_from_finals(planned, [run, variant])
    assert conduct._check_same(planned, [run.run], [variant], run.config) == []


def test_what_is_finished_is_like_what_begins_now_or_it_is_said_before_hours_are_spent(fake_run: FakeRun) -> None:
    runs, now = [fake_run("a"), fake_run("b")], fake_run("c", fingerprint={"code": "new"}).load_fingerprint()
    with pytest.raises(UserError, match=r"a is not like a run that begins now: code \(and 1 more\)"):
        check_as_now(runs, now, anyway=False)
    assert (
        len(check_as_now(runs, now, anyway=True)) == 2 and check_as_now(runs, runs[0].load_fingerprint(), False) == []
    )


def test_the_page_of_a_finished_study_is_made_by_newer_code(
    fake_run: FakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = "variants=[{name:by-adamw,optimizer:adamw},{name:by-muon,optimizer:muon}]"
    planned = one_model(tmp_path, "seeds=[1]", "widen=0", asking)
    newer = fake_run("newer", fingerprint={"code": "new"}).load_fingerprint()
    monkeypatch.setattr(conduct, "fingerprint", lambda corpus: newer)
    corpus: Any = None
    run_trials(fake_run, planned, lambda setting: 1.0 if str(setting) == "muon 0.004" else 2.0)
    with pytest.raises(UserError, match="is not like a run that begins now: code"):
        conduct._check_as_now(planned, corpus)
    for trial in planned.trials:
        trial.run.summary_file.rename(trial.run.folder / "aside")
        write_json(trial.run.checkpoint("last"), {})
    with pytest.raises(UserError, match="is not like a run that begins now: code"):
        conduct._check_as_now(planned, corpus)  # one that was stopped would end as a mixture
    for trial in planned.trials:
        (trial.run.folder / "aside").rename(trial.run.summary_file)
    settings = planned.settings()
    for run in (*planned.runs(settings), *(run for _, run in planned.variants(settings))):
        trained(fake_run, run)
    assert conduct._check_as_now(planned, corpus) == [], "nothing is left to be trained: by-muon is lstm itself"


@pytest.mark.parametrize("more", ["rates=[0.004,0.008,0.016]", "variants=[{name:tuned,tuned:true}]"])
def test_a_finished_study_that_is_to_have_more_is_gone_on_with(
    fake_run: FakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str
) -> None:
    """Its runs have what their trials chose, which the draft does not know while further trials are to come."""
    given = ("seeds=[1]", "rates=[0.004,0.008]", "widen=0")
    planned = one_model(tmp_path, *given)
    run_trials(fake_run, planned, lambda setting: 1.0 if str(setting) == "muon 0.008" else 2.0)
    for run in planned.runs(planned.settings()):
        trained(fake_run, run)
    same = planned.runs(planned.settings())[0].run.load_fingerprint()
    monkeypatch.setattr(conduct, "fingerprint", lambda corpus: same)
    corpus: Any = None
    assert conduct._check_as_now(one_model(tmp_path, *given, more), corpus) == []


def test_a_study_of_equal_cost_is_gone_on_with(
    fake_run: FakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = one_model(tmp_path, "models=[lstm,transformer]", "rates=[]", "optimizers=[]", "match=flops")
    first = planned.runs(planned.settings(), {"lstm": 1.0, "transformer": 2.0})[0]
    trained(fake_run, first)
    monkeypatch.setattr(conduct, "fingerprint", lambda corpus: first.run.load_fingerprint())
    corpus: Any = None
    assert conduct._check_as_now(planned, corpus) == []


def test_a_finished_run_with_another_config_is_not_taken_for_the_one_that_is_asked_for(
    fake_run: FakeRun, tmp_path: Path
) -> None:
    arguments = ["study=smoke", "models=[lstm]", "rates=[]", f"outputs={tmp_path}"]
    [planned] = study(*arguments).runs({"lstm": OWN})
    assert not planned.finished
    fake_run(str(planned.run.folder.relative_to(tmp_path)))
    with pytest.raises(UserError, match=r"finished run with another config \(data.grammar.pairs: 100000 -> 20000"):
        _ = planned.finished


def test_unequal_tokens_are_allowed_where_something_else_is_equal(fake_run: FakeRun) -> None:
    runs = [fake_run("a"), fake_run("b", "transformer", 1, (), "trainer.max_tokens=9")]
    assert check_alike(runs, False, ["trainer.max_tokens"]) == []


def test_parameters_must_match_within_the_tolerance() -> None:
    assert check_parameters({"a": 1000, "b": 1020}, 0.02, False) == []
    with pytest.raises(UserError, match=r"b has 1,021 parameters, 2\.1% more than a's 1,000"):
        check_parameters({"a": 1000, "b": 1021}, 0.02, False)
    assert len(check_parameters({"a": 1000, "b": 1021}, 0.02, True)) == 1


def test_validations_are_the_lines_with_scores(fake_run: FakeRun) -> None:
    assert [line["step"] for line in fake_run("a").points("valid/bleu")] == [10, 20]


# ------------------------------------------------------------------------------------------------------ measuring


def test_an_alignment_is_made_anew_for_another_model_and_only_forgetting_waits_for_it(
    fake_run: FakeRun, tmp_path: Path
) -> None:
    text = ["data=text", "data.train.src=a", "data.train.tgt=b"]
    runs = [fake_run(name, f"text/{name}", 1, (), *text) for name in ("lstm", "bahdanau")]

    def tasks() -> dict[str, Task]:
        found = measuring_tasks([(run, run.load_config()) for run in runs], tmp_path / "logs", None, corpus=False)
        return {task.label: task for task in found}

    first = tasks()
    others = [task for label, task in first.items() if label.startswith("measuring") and "forgetting" not in label]
    waiting = [task for label, task in first.items() if "forgetting" in label]
    assert len(others) == len(waiting) == 2
    assert all(task.ready() for task in others) and not any(task.ready() for task in waiting)
    links = Path(first["aligning"].command[-1])
    links.parent.mkdir(parents=True, exist_ok=True)
    links.write_text("0-0\n")
    assert first["aligning"].done() and all(task.ready() for task in waiting)
    assert all(str(links) in task.command for task in waiting)
    newer = links.stat().st_mtime + 10
    os.utime(runs[1].summary_file, (newer, newer))
    assert not tasks()["aligning"].done(), "the model has been trained again since"
