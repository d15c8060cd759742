"""Sweeps: Hydra's grammar of several values, the launcher among the arguments, the names of the runs."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from seq2seq.cli import train
from seq2seq.config.compose import compose, options_of
from seq2seq.config.schema import Config
from seq2seq.config.sweep import Combination, Launcher, combinations, take_launcher
from seq2seq.errors import UserError
from seq2seq.study.launchers import threads_of, usable_cores
from seq2seq.study.sweep import plan

IN_TURN = Launcher("basic", (), {})


def values(*arguments: str) -> list[tuple[str, ...]]:
    return [combination.varied for combination in combinations(arguments)]


def test_values_are_those_of_hydras_own_sweeper(tmp_path: Path) -> None:
    """The reference is Hydra's program itself, run with the same arguments."""
    (tmp_path / "config.yaml").write_text("seed: 1\nlr: 0.1\nweights: [1]\nname: a\nflag: true\n")
    (tmp_path / "app.py").write_text(
        "import hydra, json\n@hydra.main(config_path='.', config_name='config', version_base='1.3')\n"
        "def main(config):\n    print('RUN', json.dumps(hydra.core.hydra_config.HydraConfig.get().overrides.task[:]))\n"
        "main()\n"
    )
    ours = ["seed=range(1,4)", "trainer.optimizer.lr=1e-3,choice(0.004)", "data.weights=[1,3],[3,1]"]
    ours[1] = "trainer.optimizer.lr=choice(1e-3,4e-3)"
    theirs = ["seed=range(1,4)", "lr=choice(1e-3,4e-3)", "weights=[1,3],[3,1]"]
    command = [sys.executable, "app.py", "-m", *theirs, "hydra.output_subdir=null", "hydra.sweep.dir=out"]
    out = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    expected = [line.removeprefix("RUN ") for line in out.splitlines() if line.startswith("RUN ")]
    found = [str(list(each)).replace("'", '"') for each in values(*ours)]
    short = [each.replace("trainer.optimizer.lr", "lr").replace("data.weights", "weights") for each in found]
    assert len(found) == 12 and short == expected


def test_groups_are_globbed_and_the_later_of_two_arguments_holds() -> None:
    lstms = [name for name in options_of("model") if name.startswith("lstm")]
    assert values("model=glob(lstm*)") == [(f"model={name}",) for name in lstms] and len(lstms) > 1
    assert values("seed=1,2", "seed=3") == [()]


def test_an_argument_with_one_value_means_what_it_means_alone() -> None:
    (one, two) = combinations(["experiment=lstm", "seed=1,2", "data.train.src=a=1 (b).en", "name=it's"])
    configs = [compose(each.arguments) for each in (one, two)]
    assert [config.seed for config in configs] == [1, 2]
    assert {(config.data.train.src, config.name) for config in configs} == {("a=1 (b).en", "it's")}
    quoted = [compose(each.arguments).data.train.src for each in combinations(["model=lstm", "data.train.src='a,b',c"])]
    assert quoted == ["a,b", "c"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["seed"], "give key=value"),
        (["seed=range(0,1000000000)"], "more than 1,000"),
        (["seed=range(0,40)", "data.take=range(1,40)"], "more than 1,000"),
        (["model=glob(none*)"], "no value"),
        (["trainer.optimizer.lr=interval(0,1)"], "interval"),
        (["seed=1,,2"], "not understood"),
        (["seed=1,", "2"], "'seed=1,' is not understood: [^{]*: no space stands behind a comma: seed=1,2"),
        (["data.train.src=a=b,c"], "quote each value"),
        (["name=1e5,x"], "read as 100000.0: quote it"),
    ],
)
def test_what_is_no_sweep_is_refused_in_a_line(arguments: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        combinations(arguments)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["hydra/launcher=joblip"], "did you mean joblib"),
        (["hydra.launcher.n_jobs=2"], "no option of hydra/launcher=basic"),
        (["hydra.sweep.dir=x"], "no option of this program"),
        (["hydra/sweeper=optuna"], "no option of this program"),
        (["hydra/launcher=basic,joblib"], "one launcher"),
    ],
)
def test_a_launcher_that_cannot_be_is_refused(arguments: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        take_launcher(["seed=1,2", *arguments])


def test_a_launcher_is_taken_from_the_arguments() -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    launcher, rest = take_launcher(["seed=1,2", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"])
    assert (launcher.name, launcher.options["n_jobs"], rest) == ("joblib", 2, ["seed=1,2"])
    assert threads_of(launcher, 5) == max(usable_cores() // 2, 1) and threads_of(launcher, 1) is None
    with pytest.raises(UserError, match=r"did you mean hydra\.launcher\.n_jobs"):
        take_launcher(["hydra/launcher=joblib", "hydra.launcher.n_job=2"])


def unchecked(config: Config) -> Config:
    return config


def names(outputs: Path, *arguments: str) -> list[str]:
    return [
        job.label for job in plan(combinations([*arguments, f"outputs={outputs}"]), IN_TURN, compose, unchecked).jobs
    ]


def test_names_tell_what_differs(tmp_path: Path) -> None:
    usual = [f"embedded/{model}/seed{seed}" for model, seed in itertools.product(("lstm", "transformer"), (1, 2))]
    assert names(tmp_path, "model=lstm,transformer", "seed=1,2") == usual
    assert names(tmp_path, "experiment=lstm", "trainer.optimizer.lr=0.001,4e-3") == [
        "embedded/lstm/seed1-lr-0.001",
        "embedded/lstm/seed1-lr-0.004",
    ]
    assert names(tmp_path, "model=lstm", "name=mine", "seed=1,2") == ["mine/seed-1", "mine/seed-2"]
    assert names(tmp_path, "model=lstm", "name=a,b") == ["a", "b"]
    same = names(tmp_path, "model=lstm,lstm-multi30k", "model.encoder.layers=choice(2)", "model.decoder.layers=1,2")
    assert (
        len(set(same)) == 4 and same[-1] == "embedded/lstm/seed1-model-lstm-multi30k-encoder.layers-2-decoder.layers-2"
    )


def test_names_of_values_that_no_folder_could_have_differ_all_the_same(tmp_path: Path) -> None:
    values = ["a/b", "a b", "a-b", "'a,b'", "x" * 300, "y" * 300, "'ä'"]
    found = names(tmp_path, "model=lstm", f"data.train.src={','.join(values)}")
    assert len({name.lower() for name in found}) == len(values)
    assert all("/" not in name.removeprefix("embedded/lstm/") and len(name.encode()) < 160 for name in found)


def refused(combinations: Sequence[Combination]) -> str:
    with pytest.raises(UserError) as error:
        plan(combinations, IN_TURN, compose, unchecked)
    return str(error.value)


def test_all_is_checked_first_and_the_combination_is_named(tmp_path: Path) -> None:
    bad = refused(combinations(["model=lstm", f"outputs={tmp_path}", "seed=1,2", "trainer.batch_tokens=2000,10"]))
    assert bad.startswith("seed=1 trainer.batch_tokens=10: data.filters.max_length=128 does not fit")
    assert "one run" in refused(combinations(["model=lstm", f"outputs={tmp_path}", "seed=1,1"]))
    assert list(tmp_path.iterdir()) == []


def test_another_run_in_the_place_of_one_is_found_before_any_begins(tmp_path: Path) -> None:
    arguments = ["model=lstm", f"outputs={tmp_path}", "seed=1,2"]
    sweep = plan(combinations(arguments), IN_TURN, compose, unchecked)
    sweep.jobs[1].run.folder.mkdir(parents=True)
    sweep.jobs[1].run.save_config(sweep.jobs[1].config)
    plan(combinations([*arguments, "model.dropout=0.3"]), IN_TURN, compose, unchecked)  # cut short in its beginning
    sweep.jobs[1].run.fingerprint_file.touch()
    plan(combinations(arguments), IN_TURN, compose, unchecked)
    said = refused(combinations([*arguments, "model.dropout=0.3"]))
    assert said.startswith("seed=2: ") and "model.dropout" in said
    plan(combinations([*arguments, "model.dropout=0.3", "overwrite=true"]), IN_TURN, compose, unchecked)


def test_what_stands_in_a_place_that_the_sweep_does_not_use_is_no_matter(tmp_path: Path) -> None:
    """Neither somebody's files there, nor the run that all of them start from."""
    usual = tmp_path / "embedded/lstm/seed1"
    usual.mkdir(parents=True)
    (usual / "notes.txt").touch()
    arguments = ["-m", "model=lstm", f"outputs={tmp_path}", "trainer.optimizer.lr=0.001,0.002"]
    train.validate(train.parser().read(arguments))
    with pytest.raises(UserError, match="no run of this program"):
        train.validate(train.parser().read([*arguments[:-1], "seed=1,2"]))
    (tmp_path / "embedded/lstm/seed1-lr-0.002").mkdir()
    (tmp_path / "embedded/lstm/seed1-lr-0.002/notes.txt").touch()
    with pytest.raises(UserError, match=r"^trainer\.optimizer\.lr=0\.002: .*no run of this program"):
        train.validate(train.parser().read(arguments))
