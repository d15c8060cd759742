"""What a study refuses before anything is trained, and what it keeps so that it can be gone on with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from seq2seq.config.compose import compose
from seq2seq.data.subwords import Subwords
from seq2seq.errors import UserError
from seq2seq.runs import checkpoint
from seq2seq.runs.run import Run
from seq2seq.study import conduct
from seq2seq.study.fairness import check_parameters
from seq2seq.study.options import study_of
from seq2seq.study.plan import Planned, Study
from seq2seq.study.tasks import measuring_tasks

FakeRun = Callable[..., Run]
TUNED = "variants=[{name:deep,tuned:true,overrides:[trainer.optimizer.lr\\=0.5]}]"
ASKING = "variants=[{name:by-muon,optimizer:muon,overrides:[trainer.optimizer.name\\=adamw]}]"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["language_model=lstm"], "language_model=lstm is one of models"),
        (["rates=[0.1,0.2]", TUNED], "variants: deep: trainer.optimizer.lr=0.5 is not for the runs of a study"),
        (["rates=[0.1]", "optimizers=[adamw,muon]", ASKING], "by-muon: trainer.optimizer.name=adamw is not for the"),
        (["models=[multi30k/lstm]"], "'multi30k/lstm' is no folder's name: give lstm, and experiment=multi30k/{model}"),
        (["overrides=[model\\=lstm]"], "overrides: model=lstm would make all models one"),
        (["overrides=[experiment\\=lstm]"], "overrides: experiment=lstm would make all models one"),
        (["rates=[0.1]", "trials=[model\\=lstm]"], "trials: model=lstm would make all models one"),
        (["rates=[0.001,0.0010000001]"], "two are the same to six digits"),
    ],
)
def test_what_would_compare_a_model_with_itself_is_one_line(arguments: list[str], said: str) -> None:
    with pytest.raises(UserError) as caught:
        study_of(["name=x", "models=[lstm,transformer]", *arguments])
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_what_tells_the_models_apart_may_stand_beside_one_experiment_for_all() -> None:
    told = ["overrides=[experiment\\=transformer,'model.encoder.positions\\={model}']"]
    options, _ = study_of(["name=x", "models=[rotary,alibi]", *told])
    assert options.overrides[0] == "experiment=transformer"
    untuned = TUNED.replace("tuned:true,", "")
    assert study_of(["name=x", "rates=[0.1]", untuned])[0].variants[0].overrides, "it has no trials of its own"


def test_the_subwords_of_a_run_are_named_in_short_as_in_train() -> None:
    options, for_runs = study_of(["name=x", "models=[lstm]", "sizes=[10,20]", "data.subwords.from=some/run"])
    planned = Study(options, for_runs)
    [run] = [each for each in planned.runs(planned.draft) if each.seed == 1]
    assert run.config.data.subwords.from_run == "some/run"
    [sized, *_] = [each for _, each in planned.sized(planned.draft)]
    assert sized.config.data.subwords.from_run == "outputs/studies/x/lstm/seed1"
    assert sum("subwords.from" in argument for argument in sized.arguments) == 1


def test_a_study_on_the_subwords_of_a_run_has_its_corpus_with_them(
    tiny_subwords: Subwords, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With others its parameters would be counted on another vocabulary, and no finished run would be like it."""
    run, seen = Run(tmp_path / "run"), list[Subwords | None]()
    run.folder.mkdir()
    run.save_config(compose(["experiment=lstm"]))
    tiny_subwords.save(run.subwords)
    checkpoint.save_weights(run.checkpoint("best"), {"weight": torch.zeros(1)}, {})

    def prepare(data: object, taken: Subwords | None = None) -> None:
        seen.append(taken)
        raise UserError("enough")

    monkeypatch.setattr(conduct, "prepare", prepare)
    for told in (f"data.subwords.from={run.folder}", f"init={run.folder}", "data.subwords.from=new"):
        with pytest.raises(UserError, match="enough"):
            conduct.conduct(Study(*study_of(["name=x", "models=[lstm]", told, f"outputs={tmp_path}"])))
    assert [taken and taken.models for taken in seen] == [tiny_subwords.models, tiny_subwords.models, None]


def test_experiments_that_are_not_alike_are_refused_before_anything_is_prepared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conduct, "prepare", lambda *_: pytest.fail("it went on"))
    for model, more in (("lstm", ""), ("bahdanau", "  batch_tokens: 900\n")):
        text = f"defaults:\n  - override /model: {model}\ntrainer:\n  optimizer: {{lr: 0.001}}\n{more}"
        (tmp_path / f"{model}.yaml").write_text(text)
    given = ["name=x", "models=[lstm,bahdanau]", f"experiment={tmp_path}/{{model}}.yaml", f"outputs={tmp_path}"]
    with pytest.raises(UserError, match=r"bahdanau/seed1 is not like lstm/seed1: trainer.batch_tokens: \d+ -> 900"):
        conduct.conduct(Study(*study_of([*given, "language_model=null"])))


def test_another_run_aligns_where_the_first_that_attends_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = ["data=text", "data.train.src=a", "data.train.tgt=b", f"outputs={tmp_path}", "experiment=text/{model}"]
    planned = Study(*study_of(["name=x", "models=[lstm,bahdanau,transformer]", "seeds=[1]", *text]))
    lstm, bahdanau, transformer = planned.runs(planned.draft)
    monkeypatch.setattr(conduct, "_run", lambda study, tasks, workers: {"": str([t.command for t in tasks])})
    failed = {"bahdanau/seed1": "x", "aligning": "y", "measuring lstm/seed1 (forgetting)": "y"}
    left = conduct._measure_others(planned, [lstm, transformer], None, failed, 1)
    commands = left.pop("")
    assert left == {"bahdanau/seed1": "x"}
    assert f"'align', '{transformer.run.folder}'" in commands and str(bahdanau.run.folder) not in commands


def test_a_language_model_that_reads_the_source_is_refused_before_anything_is_trained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(conduct, "prepare", lambda data: pytest.fail("it went on"))
    planned = Study(*study_of(["name=x", "models=[lstm]", "language_model=bahdanau"]))
    with pytest.raises(UserError, match="language_model=bahdanau reads the source: name an experiment"):
        conduct.conduct(planned)
    blind = Study(*study_of(["name=x", "models=[lstm]", "language_model=language_model"]))
    conduct._check_language_model(blind.language_model(blind.draft))


def finish(planned: Planned, seconds: float, nll: float) -> None:
    """What is planned, as if it had been trained for so long."""
    run, scores = planned.run, {"step": 10, "valid/bleu": 5.0, "valid/nll": nll}
    run.folder.mkdir(parents=True, exist_ok=True)
    run.save_config(planned.config)
    run.metrics_file.write_text(json.dumps({**scores, "train/tokens": 20_000, "train/seconds": seconds}) + "\n")
    run.summary_file.write_text("{}")


def test_one_more_rate_that_loses_leaves_the_tokens_of_finished_runs(tmp_path: Path) -> None:
    def study(rates: str, *more: str) -> Study:
        given = ["name=x", "models=[lstm,transformer]", "seeds=[1]", "widen=0", "match=seconds", f"outputs={tmp_path}"]
        given += ["language_model=null", "optimizers=[]", "finals=0", "trainer.max_tokens=100000"]
        return Study(*study_of([*given, f"rates={rates}", *more]))

    def tokens(planned: Study) -> dict[str, int | None]:
        runs = planned.runs(planned.settings(), conduct.cost_of_a_token(planned, {}, planned.settings()))
        return {run.model: run.config.trainer.max_tokens for run in runs}

    first = study("[0.001]")
    for trial in first.trials:
        finish(trial, {"lstm": 2.0, "transformer": 4.0}[trial.model], nll=2.0)
    assert tokens(first) == {"lstm": 200_000, "transformer": 100_000}
    more = study("[0.001,0.002]")
    for trial in more.trials:
        if not trial.run.finished:
            finish(trial, {"lstm": 2.02, "transformer": 4.0}[trial.model], nll=3.0)
    assert tokens(more) == tokens(first)
    (tmp_path / "studies" / "x" / "cost.json").write_text("{")
    assert tokens(more) == {"lstm": 199_005, "transformer": 100_000}, "damaged, it is made anew"
    other = study("[0.004]", "model.dropout=0.3")
    for trial in other.trials:
        finish(trial, 3.0, nll=1.0)
    assert tokens(other) == {"lstm": 100_000, "transformer": 100_000}, "what was kept is of other models"


def test_runs_of_two_studies_are_measured_under_names_and_logs_of_their_own() -> None:
    runs = [Run(Path(folder)) for folder in ("A/lstm/seed1", "B/lstm/seed1", "B/lst_m/seed1", "B/lst-m/seed1")]
    config = compose(["experiment=lstm"])
    tasks = measuring_tasks([(run, config) for run in runs], Path("logs"), None, False)
    assert [task.label for task in tasks] == [f"measuring {run.folder}" for run in runs]
    assert len({task.log for task in tasks}) == len(runs)
    [alone] = measuring_tasks([(runs[0], config)], Path("logs"), None, False)
    assert alone.label == "measuring lstm/seed1"


@pytest.mark.parametrize(("tolerance", "said"), [(0.015, "1.5%"), (0.004, "0.4%"), (0.07, "7%")])
def test_the_tolerance_is_told_as_it_was_given(tolerance: float, said: str) -> None:
    with pytest.raises(UserError, match=f"above the tolerance of {said}:"):
        check_parameters({"a": 1000, "b": 1080}, tolerance, False)
