"""From run folders whose content is known to the page's words and figures."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from seq2seq.errors import UserError
from seq2seq.evaluation.metrics import score
from seq2seq.report.data import ReportData, data_of_runs
from seq2seq.report.level import trivial_translations
from seq2seq.report.model_runs import ModelRuns, grouped
from seq2seq.report.page.charts import legend, on_page
from seq2seq.report.page.document import Section
from seq2seq.report.page.explorer import pack_explorer
from seq2seq.report.sections.assembly import page_of
from seq2seq.report.sections.attention import attention, explorer
from seq2seq.report.sections.causes import aligned_by, causes
from seq2seq.report.sections.dose import dose
from seq2seq.report.sections.fairness import fairness
from seq2seq.report.sections.learning import undertraining
from seq2seq.report.sections.quality import Quality
from seq2seq.report.sections.repetition import hardware, repetition
from seq2seq.report.sections.scales import APART, LIKELIHOOD, SHARE, chance
from seq2seq.runs.loading import save_split
from seq2seq.runs.run import Run
from seq2seq.study.options import VariantConfig
from seq2seq.study.plan import Setting, Trial
from seq2seq.system.files import write_atomically, write_json

Text = tuple[list[str], list[str]]
FakeRun = Callable[..., Run]


def forgetful(references: list[str]) -> list[str]:
    """Translations that keep the first six words: perfect on short sentences, worse the longer they are."""
    return [" ".join(line.split()[:6]) for line in references]


@pytest.fixture
def data(fake_run: FakeRun, text: Text) -> ReportData:
    """A forgetful model with three seeds, and one that is always right."""
    src, references = text
    runs = [fake_run(f"lstm/{seed}", "lstm", seed, forgetful(references)) for seed in (1, 2, 3)]
    runs += [fake_run(f"transformer/{seed}", "transformer", seed, references) for seed in (1, 2, 3)]
    for run in runs:
        for step in (10, 20):
            run.validation(step).parent.mkdir(exist_ok=True)
            lines = forgetful(references) if "lstm" in str(run.folder) else references
            run.validation(step).write_text("".join(f"{line}\n" for line in lines))
    return ReportData("test", grouped(runs), src, references, (src, references), [5, 11])


def measure(group: ModelRuns, name: str, value: dict[str, Any]) -> None:
    for run in group.runs:
        path = run.folder / "measurements" / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"version": 1, **value}))


def table(section: Section, name: str) -> list[list[Any]]:
    return next(table.rows for table in section.tables if table.name == name)


# ------------------------------------------------------------------------------------------------------ data


def test_runs_that_differ_in_more_than_the_seed_are_no_seeds_of_one_model(fake_run: FakeRun) -> None:
    smoothed = [fake_run(f"smooth{n}/seed{n}", "lstm", n, (), f"trainer.label_smoothing=0.{n}") for n in (1, 2)]
    same = [fake_run(f"plain/seed{n}", "lstm", n) for n in (1, 2)]
    assert [(group.model, group.seeds) for group in grouped([*smoothed, *same])] == [
        ("smooth1", [1]), ("smooth2", [2]), ("plain", [1, 2]),
    ]  # fmt: skip


def test_runs_are_grouped_by_model_in_the_order_of_the_seeds(fake_run: FakeRun) -> None:
    runs = [fake_run("b", "transformer", 2), fake_run("a", "lstm", 3), fake_run("c", "transformer", 1)]
    assert [(group.model, group.seeds) for group in grouped(runs)] == [("transformer", [1, 2]), ("lstm", [3])]


def test_the_same_seed_twice_and_an_unfinished_run_are_refused(fake_run: FakeRun) -> None:
    runs = [fake_run("a", "lstm", 1), fake_run("b", "lstm", 1)]
    with pytest.raises(UserError, match="lstm has two runs with the same seed"):
        grouped(runs)
    runs[1].summary_file.unlink()
    with pytest.raises(UserError, match="b: not finished"):
        grouped(runs)


@pytest.mark.parametrize(
    ("folders", "options", "names"),
    [
        (("adamw/s1", "muon/s2"), ("trainer.optimizer.name=adamw", "trainer.optimizer.name=muon"), ["adamw", "muon"]),
        (("A/lstm/s1", "B/lstm/s2"), ("model.embedding=64", "model.embedding=96"), ["A/lstm", "B/lstm"]),
        (("r/one", "r/two"), ("trainer.optimizer.name=adamw", "trainer.optimizer.name=muon"), ["r/one", "r/two"]),
    ],
)
def test_unlike_runs_are_no_seeds_of_one_model_whatever_their_folders_are_called(
    fake_run: FakeRun, folders: tuple[str, str], options: tuple[str, str], names: list[str]
) -> None:
    runs = [
        fake_run(folder, "lstm", 1, [], "trainer.optimizer.lr=0.004", option)
        for folder, option in zip(folders, options, strict=True)
    ]
    other = fake_run("r/transformer", "transformer")
    assert [group.model for group in grouped([*runs, other])] == [*names, "transformer"]


def test_no_group_takes_the_name_of_another_model(fake_run: FakeRun) -> None:
    lstm = [fake_run(f"transformer/w{width}", "lstm", width, [], f"model.embedding={width}") for width in (64, 96)]
    names = [group.model for group in grouped([fake_run("a/s1", "transformer"), *lstm])]
    assert names == ["transformer", "transformer/w64", "transformer/w96"]


# ------------------------------------------------------------------------------------------------------- quality


def test_scores_are_sacrebleus_and_every_seed_is_a_point(data: ReportData, text: Text) -> None:
    section = Quality(data).overall()
    row = table(section, "quality")[0]
    assert row[:2] == ["lstm", "BLEU"]
    assert row[2] == pytest.approx(score(forgetful(text[1]), text[1], "de")["bleu"])
    points = [row for row in section.figures[0].rows if row["low"] is None]
    assert len(points) == 2 * 2 * 3


def test_what_a_difference_means_to_a_person_is_said_of_real_text_alone(
    data: ReportData, fake_run: FakeRun, text: Text
) -> None:
    section = Quality(data).overall()
    assert "is not known" in section.text[1] and len(table(section, "pairs")[0]) == 7
    options = ["data=text", "data.train.src=a", "data.train.tgt=b"]
    runs = [fake_run(f"{name}/1", f"text/{name}", 1, lines, *options)
            for name, lines in (("lstm", forgetful(text[1])), ("transformer", text[1]))]  # fmt: skip
    real = Quality(ReportData("test", grouped(runs), *text, text, [5, 11])).overall()
    assert "59 % (BLEU) and 58 % (chrF) for unrelated" in real.text[1] and "Kocmi et al. 2024" in real.text[1]
    assert [row[-1] for row in table(real, "pairs")] == ["above 85 %", "above 90 %"]


def test_further_test_sets_have_a_table_each_if_all_runs_were_tested_on_their_text(
    fake_run: FakeRun, text: Text, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where the corpus is made
    texts = {"WMT14": (["dog", "cat moon"], ["Hund da .", "Katze Mond da ."]), "talks": (["key"], ["Schlüssel"])}
    found = {"lstm": ["Hund da", "Katze da ."], "transformer": texts["WMT14"][1]}
    few = [f"data.grammar.{key}" for key in ("pairs=50", "valid=4", "test=4")]
    runs = [fake_run(name, name, 1, text[1], *few) for name in found]
    for run, name in zip(runs, found, strict=True):
        for test, (src, references) in texts.items():
            save_split(run, test, src, references if test == "WMT14" else [f"{name}'s own"])
        write_atomically(run.evaluation("WMT14") / "hypotheses.txt", "".join(f"{line}\n" for line in found[name]))
        summary = run.load_summary()
        write_json(run.summary_file, {**summary, "tests": dict.fromkeys(texts, summary["test"])})
    data = data_of_runs(runs, "test", [5, 11])
    assert data.warnings == ["the test set talks is not shown: not all runs were tested on the same text of it"]
    further = [each for each in Quality(data).overall().tables if each.name.startswith("test-")]
    assert [(each.name, each.title) for each in further] == [
        ("test-1", "Scores on the test set WMT14")
    ]  # a file's name
    scores = {(row[0], row[1]): row[2] for row in further[0].rows}
    for name, lines in found.items():
        wanted = score(lines, texts["WMT14"][1], "de")
        assert scores[name, "BLEU"] == pytest.approx(wanted["bleu"])
        assert scores[name, "chrF"] == pytest.approx(wanted["chrf"])
    write_atomically(runs[1].evaluation("WMT14") / "hypotheses.txt", "one line\n")
    with pytest.raises(UserError, match="has 1 lines but the test has 2 pairs"):
        Quality(data).overall()


def test_the_answer_says_that_the_gap_grows_with_length(data: ReportData) -> None:
    quality = Quality(data)
    assert [bucket.name for bucket in quality.buckets] == ["5", "6–11", "12–19"]
    gaps = [each.value for each in quality.behind["transformer"]]
    assert gaps[0] < gaps[1] < gaps[2]
    grown = quality.growths.of("transformer")
    assert grown is not None and grown.change is not None and grown.verdict == "grows" and grown.change.low > 0
    answer = quality.answer()
    assert len(answer) == 4
    assert (
        f"{gaps[1]:.1f} [" in answer[1] and f"{gaps[2]:.1f} [" in answer[1] and "with length it grows by" in answer[1]
    )
    assert "after Holm's correction" in answer[1]
    assert answer[0].endswith("it is more than 2 BLEU behind transformer from the shortest sentences on.")
    assert answer[2].startswith("The scales do not agree on how the gap changes. In BLEU the gap grows; in nats a ")
    assert "transformer gains 0.0 BLEU (100.0 to 100.0)" in answer[3]


def test_without_a_gap_no_gap_is_claimed(fake_run: FakeRun, text: Text) -> None:
    src, references = text
    runs = [fake_run("a", "lstm", 1, references), fake_run("b", "transformer", 1, references)]
    data = ReportData("test", grouped(runs), src, references, (src, references), [5, 11])
    quality = Quality(data)
    grown = quality.growths.of("transformer")
    assert grown is not None and grown.verdict == "may be chance"
    assert "does not fall 2 BLEU behind" in quality.answer()[0] and "may be chance" in quality.answer()[1]
    assert "fewer than three seeds" in quality.overall().text[0]


def test_a_gap_that_shrinks_is_said_to_shrink_and_the_models_are_called_what_they_are(
    fake_run: FakeRun, text: Text
) -> None:
    src, references = text
    shaky = [line if len(line.split()) > 10 else "falsch" for line in references]
    runs = [fake_run("a", "transformer", 1, shaky), fake_run("b", "bahdanau", 1, references)]
    answer = Quality(ReportData("test", grouped(runs), src, references, (src, references), [6, 11])).answer()
    assert "with length it shrinks by" in answer[1]
    assert "one vector" not in answer[0]
    alone = ReportData("test", grouped(runs[:1]), src, references, (src, references), [6, 11])
    assert "nothing to compare" in Quality(alone).answer()[0]
    assert page_of(alone).sections


def test_small_buckets_are_named(data: ReportData) -> None:
    quality = Quality(data)
    assert "Too few sentences to speak: 5 words." in quality.lengths().text and quality.ends == (1, 2)
    nothing = Quality(replace(data, edges=[18]))
    assert nothing.ends is None and "too few sentences" in nothing.answer()[0]


def test_the_model_that_the_answer_names_is_fixed_by_the_order_and_not_by_the_score(
    fake_run: FakeRun, text: Text
) -> None:
    src, references = text
    some = [" ".join(line.split()[:-1]) for line in references]
    runs = [fake_run("a", "lstm", 1, forgetful(references)), fake_run("b", "bahdanau", 1, some)]
    runs.append(fake_run("c", "transformer", 1, references))
    for order in (runs, [runs[0], runs[2], runs[1]]):
        quality = Quality(ReportData("test", grouped(order), src, references, (src, references), [5, 11]))
        assert quality.growths.named.model == quality.data.others[0].model
        assert f"The gap to {quality.data.others[0].model} is" in quality.answer()[1]
    assert len({each.p for each in quality.growths.found}) > 1
    family = [each for each in quality.growths.found if each.change]
    assert {each.group.model for each in family} == {"bahdanau", "transformer"}
    uncorrected = [each.change.p for each in family if each.change]
    assert all(each.p is not None and each.p >= p for each, p in zip(family, uncorrected, strict=True))


def log_probabilities(group: ModelRuns, values: list[float]) -> None:
    for run in group.runs:
        (run.evaluation("test") / "log_probability.txt").write_text("".join(f"{value}\n" for value in values))


@pytest.fixture
def informed(data: ReportData, fake_run: FakeRun) -> ReportData:
    """A language model at 4 nats a token; transformer takes 3 of them, lstm 2.4 on short sources and 1.2 on long."""
    tokens = data.reference_tokens
    blind = ModelRuns("blind", [fake_run(f"blind/{seed}", "transformer", seed) for seed in (1, 2)])
    log_probabilities(blind, list(-4.0 * tokens))
    log_probabilities(data.groups[1], list(-1.0 * tokens))
    jitter = 0.02 * (data.lengths % 3) + 0.01 * (tokens % 5)
    log_probabilities(data.groups[0], list(-tokens * ((data.lengths < 12) * 1.6 + (data.lengths >= 12) * 2.8 + jitter)))
    return replace(data, language_model=blind)


def test_information_is_what_the_source_adds_to_the_likelihood(informed: ReportData) -> None:
    [information] = [section for section in page_of(informed).sections if section.name == "information"]
    nats = {(row[0], row[1]): (row[3], row[6]) for row in table(information, "information")}
    assert nats["transformer", "12–19"][0] == pytest.approx(3) and nats["blind (NLL)", "5"][0] == pytest.approx(4)
    assert nats["lstm", "6–11"][0] == pytest.approx(2.4, abs=0.1)
    assert nats["lstm", "12–19"][0] == pytest.approx(1.2, abs=0.1)
    chosen = informed.buckets[-1].indices
    mean = informed.reference_tokens[chosen].sum() / len(chosen)
    assert nats["transformer", "12–19"][1] == pytest.approx(3 * mean)
    shares = {row[1]: row[2] for row in table(information, "information-share")}
    assert shares["12–19"] == pytest.approx(nats["lstm", "12–19"][0] / 3)
    assert "Of what transformer takes, lstm takes 0.7" in information.text[-1]
    assert "the mean over 2 seeds" in information.text[0] and "it changes by" in information.text[1]


def test_scales_that_agree_are_said_to_agree(informed: ReportData) -> None:
    quality = Quality(informed)
    for scale in (LIKELIHOOD, SHARE):
        found = quality.growths.of("transformer", scale)
        assert found is not None and found.verdict == "grows"
    share = quality.growths.of("transformer", SHARE)
    assert share is not None and share.change is not None and share.change.value == pytest.approx(0.5, abs=0.05)
    said = quality.answer()[2]
    assert said.startswith("The other scales agree that the gap grows: in nats a token it goes from 0.6")
    assert "lstm's share of the information that transformer takes from the source goes from 0.7" in said
    assert "100 BLEU" not in said, "transformer misses nothing, so there is no ratio"
    rows = {(row[1], row[2]): row[-1] for row in table(quality.growths.section(), "growth")}
    assert rows["ratio of what is missing from 100 BLEU", "all"] == "not defined"


def test_without_a_language_model_a_line_says_how_to_get_one(data: ReportData) -> None:
    [information] = [section for section in page_of(data).sections if section.name == "information"]
    assert len(information.text) == 1 and "language_model" in information.text[0] and not information.figures


def test_where_the_growth_lies_and_that_the_floor_is_near_are_said(fake_run: FakeRun, text: Text) -> None:
    src, references = text
    worse = [line if len(line.split()) < 8 else " ".join(line.split()[:4]) for line in references]
    runs = [fake_run("a", "lstm", 1, worse), fake_run("b", "transformer", 1, references)]
    quality = Quality(ReportData("test", grouped(runs), src, references, (src, references), [7, 11, 15]))
    said = quality.growths.where("transformer")
    steps = table(quality.growths.section(), "growth-steps")
    assert [row[1:3] for row in steps] == [["5–7", "8–11"], ["8–11", "12–15"], ["12–15", "16–19"]]
    assert sum(row[-1] for row in steps) == pytest.approx(100)
    assert "of this growth lies between 5–7 and 8–11 words." in said
    assert "near the scale's floor" in said and said in quality.answer()[1]


def test_near_sentences_and_others_are_shown_apart(data: ReportData) -> None:
    near = [n for n, length in enumerate(data.lengths) if length == 5][:30]
    found = replace(data, nearness={"origin": "", "near": near, "read": 1000, "cut": False}, edges=[9, 13])
    page = page_of(found)
    [section] = [section for section in page.sections if section.name == "nearness"]
    assert "of 160 test sentences" in section.text[0] and "1,000" not in section.text[0]
    counts = {(row[0], row[1]): (row[2], row[6]) for row in table(section, "nearness")}
    assert counts["lstm", "5–9"] == (len(near), 60 - len(near)) and counts["lstm", "14–19"] == (0, 60)
    assert [row[:3] for row in table(section, "nearness-by-length")] == [[5, 20, len(near)]]
    whole, apart = (Quality(found).growths.of("transformer", sentences=each) for each in ("all", APART))
    assert whole is not None and apart is not None and apart.change is not None
    assert apart.verdict == "grows" and "the growth survives without them" in section.text[1]
    alike = Quality(replace(data, nearness={"origin": "", "near": [], "read": 9, "cut": True}, edges=[9, 13]))
    assert alike.growths.of("transformer", sentences=APART) is None
    most = replace(found, nearness={"origin": "", "near": list(range(150)), "read": 9, "cut": True})
    [section] = [section for section in page_of(most).sections if section.name == "nearness"]
    assert "the first 9 pairs" in section.text[0] and "too few sentences of 5–9 words are left" in section.text[1]


def test_without_the_training_text_a_line_says_so(data: ReportData) -> None:
    [section] = [section for section in page_of(data).sections if section.name == "nearness"]
    assert len(section.text) == 1 and "--corpus" in section.text[0] and not section.tables


def test_words_are_found_by_their_frequency_in_training(data: ReportData) -> None:
    rare, middle = {"Hund", "Katze"}, {"Kind", "Mann", "Haus"}
    words = sorted({word for line in data.references for word in line.split()})
    counts = {word: 0 if word in rare else 10 if word in middle else 40_000 for word in words}
    found = replace(data, frequencies={"origin": "", "counts": counts, "read": 900, "cut": True})
    [section] = [section for section in page_of(found).sections if section.name == "frequency"]
    rows = {(row[0], row[1]): row[2:] for row in table(section, "frequency")}
    assert list(rows)[:3] == [("lstm", "0"), ("lstm", "1–10"), ("lstm", "more")]
    all_words = [(n, word) for line in data.references for n, word in enumerate(line.split())]
    for bucket, own in (("0", rare), ("1–10", middle), ("more", {*words} - rare - middle)):
        total = sum(word in own for _, word in all_words)
        assert rows["transformer", bucket] == [total, 1.0, 1.0, 1.0]
        count, share, low, high = rows["lstm", bucket]
        at_least = sum(word in own and n < 6 for n, word in all_words) / total  # the six that it keeps
        assert count == total and share == pytest.approx(at_least) and low < share < high
    assert f"{rows['lstm', '0'][0]:,} (" in section.text[0] and "the first 900 training pairs" in section.text[0]
    assert "training pairs, without those that the filters drop." in section.text[0]
    assert section.text[1].startswith("lstm finds ") and section.text[1].endswith("those that they have most often.")
    assert "of the words that the first 900 pairs do not have, and " in section.text[1]
    whole = replace(data, frequencies={"origin": "", "counts": counts, "read": 900, "cut": False})
    [section] = [section for section in page_of(whole).sections if section.name == "frequency"]
    assert "are in no target of the 900 training pairs" in section.text[0]
    assert "of the words that training never has, and " in section.text[1]
    assert section.text[1].endswith("those that it has most often.")
    assert not [section for section in page_of(data).sections if section.name == "frequency"], "without the text"


def test_a_p_value_is_never_zero() -> None:
    assert [chance(p) for p in (0.0, 0.0009, 0.04)] == ["< 0.001", "< 0.001", "0.040"]


# --------------------------------------------------------------------------------------------------------- level


def weak(references: list[str], share: int = 12) -> list[str]:
    """Translations with every ``share``-th word right: about as bad as those of a model that has learned nothing."""
    return [" ".join(word if n % share == 0 else "und" for n, word in enumerate(line.split())) for line in references]


@pytest.fixture
def learned_nothing(fake_run: FakeRun, text: Text) -> ReportData:
    """Two models of which neither has learned enough to be compared, with extrapolation measured."""
    src, references = text
    runs = [fake_run("lstm/1", "lstm", 1, weak(references)), fake_run("bahdanau/1", "bahdanau", 1, ["und"] * len(src))]
    return ReportData("test", grouped(runs), src, references, (src, references), [5, 11])


ATTENDING = {"attention": True, "sentences": 20}


def beyond(group: ModelRuns, hypotheses: list[str], text: Text) -> None:
    joined = {
        "name": "two joined",
        "kind": "joined",
        "parts": 2,
        "src": text[0],
        "references": text[1],
        "hypotheses": hypotheses,
    }
    measure(group, "extrapolation", {"beam": 1, "sets": [joined]})


def words_of(data: ReportData) -> str:
    page = page_of(data)
    return "\n".join([*page.answer, *(line for section in page.sections for line in section.text)])


def test_models_that_learned_nothing_get_no_verdict(learned_nothing: ReportData, text: Text) -> None:
    for group, lines in zip(learned_nothing.groups, (weak(text[1]), ["und"] * len(text[0])), strict=True):
        beyond(group, lines, text)
        masked = {"positions": 9, "word": effect(-1.0), "random": effect(-0.001), "difference": effect(-1.0)}
        measure(group, "attention", {**ATTENDING, "masking": {"drawn": 9, "attended": masked}})
    page = page_of(learned_nothing)
    assert learned_nothing.level.below == ["lstm", "bahdanau"] and not learned_nothing.compared
    assert page.answer[0].startswith("No verdict on lstm (") and "have not learned enough" in page.answer[0]
    assert "above 5.0: at least 5, and 2 more" in page.answer[1] and len(page.answer) == 2
    said = words_of(learned_nothing)
    for verdict in (
        "it holds",
        "loses content",
        "stays short",
        "falls behind",
        "The gap",
        "excludes zero",
        "objection",
    ):
        assert verdict not in said
    assert "costs 1.00 nats, another 0.00." in said and "matters" not in said
    assert [
        row["BLEU"] for section in page.sections for figure in section.figures for row in figure.rows if "BLEU" in row
    ]


def effect(change: float) -> dict[str, float]:
    return {"change": change, "standard_error": 0.01, "prediction_changes": 0.5}


def test_a_weak_model_beside_sound_ones_is_left_out_of_the_comparison(
    data: ReportData, fake_run: FakeRun, text: Text
) -> None:
    weak_one = ModelRuns("bahdanau", [fake_run("bahdanau/1", "bahdanau", 1, weak(text[1]))])
    mixed = replace(data, groups=[*data.groups, weak_one])
    for group in mixed.groups:
        beyond(group, text[1] if group is not weak_one else weak(text[1]), text)
    answer = Quality(mixed).answer()
    assert answer[0].startswith("No verdict on bahdanau (") and "has not learned enough" in answer[0]
    assert "transformer has attention over all source positions" in answer[-1] and "bahdanau" not in " ".join(
        answer[2:]
    )
    said = [line for line in words_of(mixed).splitlines() if "it holds" in line]
    assert len(said) == 2 and not any("bahdanau" in line for line in said)


def test_a_model_must_be_above_what_needs_no_model(fake_run: FakeRun, text: Text) -> None:
    src = text[1]  # a test whose sources copied are nearly right
    runs = [fake_run("lstm/1", "lstm", 1, src)]
    level = ReportData("test", grouped(runs), src, text[1], ([], []), [5, 11]).level
    assert level.trivial["the source copied"] == pytest.approx(100) and level.needed == pytest.approx(102)
    assert level.below == ["lstm"] and not level.reached("lstm")
    same = ["Haus " * 9] * 100 + text[1][:60]
    trivial = trivial_translations(same, same)
    assert set(trivial["one reference for all"]) == {"Haus " * 9}
    assert sorted(trivial["the references shuffled"]) == sorted(same) and trivial["the references shuffled"] != same


def test_a_model_that_reads_one_vector_is_not_said_to_look(fake_run: FakeRun, text: Text) -> None:
    initial = "model.decoder.context=initial"
    runs = [fake_run("a/1", "lstm", 1), fake_run("b/1", "lstm", 1, text[1], initial)]
    answer = Quality(ReportData("test", grouped(runs), *text, text, [5, 11])).answer()
    assert "attention" not in " ".join(answer)


def test_masking_that_found_no_position_leaves_its_row_out(data: ReportData) -> None:
    maps = [{"map": "mean", "entropy": 1.0, "coverage": 0.5}]
    none = {"drawn": 0, "attended": {"positions": 0}, "gold": {"positions": 0}}
    measure(data.groups[1], "attention", {**ATTENDING, "maps": maps, "masking": none})
    section = attention(data)
    assert [table.name for table in section.tables] == ["sharpness"]


def test_value_zeroing_stands_beside_hiding(data: ReportData) -> None:
    hidden = {"positions": 9, "word": effect(-1.0), "random": effect(-0.25), "difference": effect(-0.75)}
    zeroed = {"positions": 9, "word": effect(-0.5), "random": effect(-0.125), "difference": effect(-0.375)}
    measured = {"drawn": 9, "attended": hidden, "zeroed": zeroed}
    measure(data.groups[1], "attention", {**ATTENDING, "masking": measured})
    section = attention(data)
    assert {row[1]: row[2] for row in table(section, "masking")} == {
        "the word most attended": -1.0,
        "a random word beside the word most attended": -0.25,
        "the values of the word most attended": -0.5,
        "the values of a random word": -0.125,
    }
    assert "that costs 0.50, at another word 0.12." in section.text[1]


def test_alignment_stands_beside_its_bounds(data: ReportData) -> None:
    def agreeing(name: str, state: str, aer: float) -> dict[str, Any]:
        shares = dict.fromkeys(("aer", "precision", "recall", "aer_words", "precision_words", "recall_words"), aer)
        return {"map": name, "state": state, **shares}

    none = {"drawn": 0, "attended": {"positions": 0}, "gold": {"positions": 0}}
    measured = {"alignment": [agreeing("mean", state, 0.25) for state in ("before", "after")], "masking": none}
    limits = [agreeing("the best single links", "before", 0.029), agreeing("the diagonal", "before", 0.566)]
    measure(data.groups[1], "attention", {**ATTENDING, **measured, "bounds": limits})
    section = attention(data)
    assert "the AER is 0.029 for the best single links and 0.566 for the diagonal, by no model" in words_of(data)
    assert [row[:4] for row in table(section, "aer")] == [
        ["transformer", "mean", "before", 0.25],
        ["transformer", "mean", "after", 0.25],
        ["bound", "the best single links", "", 0.029],
        ["bound", "the diagonal", "", 0.566],
    ]


# ------------------------------------------------------------------------------------------------------ fairness


def test_what_is_equal_and_what_differs_is_told_apart(data: ReportData, fake_run: FakeRun) -> None:
    checks = {row[0]: row[2] for row in table(fairness(data), "declared")}
    assert checks["updates"] == "the same" and checks["search"] == "the same"
    odd = fake_run("odd", "bahdanau", 1, valid=[(30, 1.0)], fingerprint={"machine": {"processor": "q", "threads": 1}})
    changed = replace(data, groups=[*data.groups, ModelRuns("bahdanau", [odd])])
    section = fairness(changed)
    checks = {row[0]: row[2] for row in table(section, "declared")}
    assert checks["updates"] == checks["machine"] == "differ" and checks["subwords"] == "the same"
    assert "The models differ in: seeds, updates" in section.text[0]
    large = fake_run("large", "bahdanau", 1, parameters=1021)
    section = fairness(replace(data, groups=[*data.groups, ModelRuns("bahdanau", [large])]))
    assert "parameters" in section.text[0]


def test_options_that_no_row_names_are_compared_as_well(data: ReportData, fake_run: FakeRun) -> None:
    told = {row[0]: row[1:] for row in table(fairness(data), "declared")}
    assert told["other options"] == ["equal in all runs", "the same"]
    assert "other options" not in fairness(data).text[0]
    options = ["trainer.optimizer.clip_norm=7", "trainer.label_smoothing=0.3", "trainer.optimizer.lr=0.5"]
    began = {"initial": "checksum"}
    odd = fake_run("odd", "bahdanau", 1, (), *options, "model.decoder.width=64", fingerprint=began)
    section = fairness(replace(data, groups=[*data.groups, ModelRuns("bahdanau", [odd])]))
    [value, verdict] = next(row[1:] for row in table(section, "declared") if row[0] == "other options")
    assert value == "trainer.optimizer.clip_norm: 1.0 … 7.0; weights from which it began" and verdict == "differ"
    assert "other options" in section.text[0]


def test_runs_without_a_common_seed_are_compared_in_all_that_no_seed_decides(
    data: ReportData, fake_run: FakeRun
) -> None:
    runs = [fake_run("a", "lstm", 1, [], "trainer.optimizer.lr=0.001"), fake_run("b", "transformer", 2)]
    checks = {row[0]: row[2] for row in table(fairness(replace(data, groups=grouped(runs))), "declared")}
    assert checks["peak learning rate"] == checks["seeds"] == "differ"
    assert checks["updates"] == checks["subwords"] == "the same"


def test_the_tolerance_of_the_study_is_the_pages(data: ReportData, fake_run: FakeRun) -> None:
    large = replace(data, groups=grouped([*data.groups[0].runs, fake_run("large", "bahdanau", 1, parameters=1040)]))
    told = [table(fairness(each), "declared")[-1] for each in (large, replace(large, tolerance=0.05))]
    assert [row[2] for row in told] == ["differ", "within 4.0%"]


def test_likelihoods_are_of_the_tokens_that_were_scored(data: ReportData, fake_run: FakeRun) -> None:
    cut = grouped([fake_run("cut", "lstm", 1, data.references, "decode.max_input=4")])
    assert max(data.reference_tokens) > 4 == max(replace(data, groups=cut).reference_tokens)


def test_every_trial_is_shown_and_the_chosen_one_marked(data: ReportData) -> None:
    tried = {("adamw", 0.002): 2.1, ("adamw", 0.004): 2.0, ("muon", 0.002): 1.8, ("muon", 0.004): 1.9}
    trials = [Trial("lstm", optimizer, rate, 1000, 5.0, nll) for (optimizer, rate), nll in tried.items()]
    section = fairness(replace(data, trials=trials, settings={"lstm": Setting("muon", 0.002)}))
    assert [(*row[1:3], row[-1]) for row in table(section, "trials")] == [
        ("adamw", "0.002", ""),
        ("adamw", "0.004", "best of its optimiser"),
        ("muon", "0.002", "chosen"),
        ("muon", "0.004", ""),
    ]
    said = section.text[-1]
    assert "Chosen: lstm muon 0.002." in said and "at their end for lstm (adamw 0.004), lstm (muon 0.002)" in said


def test_finals_decide_and_the_choice_alone_must_not_be_at_their_end(data: ReportData) -> None:
    short = {("adamw", 0.002): 2.1, ("adamw", 0.004): 2.0, ("muon", 0.004): 1.9, ("muon", 0.008): 1.8}
    long = {("adamw", 0.004): 1.1, ("adamw", 0.008): 1.3, ("muon", 0.004): 1.4, ("muon", 0.008): 1.5}
    trials = [
        Trial("lstm", optimizer, rate, tokens, 5.0, nll, tokens == 2500)
        for tokens, tried in ((1000, short), (2500, long))
        for (optimizer, rate), nll in tried.items()
    ]
    section = fairness(replace(data, trials=trials, settings={"lstm": Setting("adamw", 0.004)}))
    said, rows = section.text[-1], table(section, "trials")
    assert [row[-1] for row in rows] == [
        *("", "in the finals", "in the finals", "in the finals"),
        *("chosen", "", "best of its optimiser", ""),
    ]
    assert "a training of 1,000 target tokens" in said and "trained in full, for 2,500 target tokens" in said
    assert "at their end for lstm (adamw 0.004):" in said, "the other optimiser's best does not compete"


# ---------------------------------------------------------------------------------------- training, causes, page


def test_what_is_left_of_the_gap_after_a_long_run_is_said(data: ReportData, fake_run: FakeRun, text: Text) -> None:
    section = undertraining(data)
    assert "STUDY=causes" in section.text[-1]
    ends = {row[0]: row[-1] for row in table(section, "bleu-by-tokens")}
    assert ends["transformer"] == pytest.approx(100)
    long_run = fake_run("long", "lstm", 1, text[1], valid=[(100, 50.0), (200, 60.0)])
    for step in (100, 200):
        long_run.validation(step).parent.mkdir(exist_ok=True)
        long_run.validation(step).write_text("".join(f"{line}\n" for line in text[1]))
    variant = VariantConfig("lstm-long", "lstm", [], "undertraining")
    section = undertraining(replace(data, variants=[(variant, ModelRuns("lstm-long", [long_run]))]))
    losses = {row[0]: row[2:4] for row in table(section, "bleu-by-tokens")}
    assert losses["lstm-long"] == losses["lstm"] == [3.0, 2.0]
    closed = [(row[2], row[-2], row[-1]) for row in table(section, "closed")]
    assert [bucket for bucket, *_ in closed] == [bucket.name for bucket in data.buckets]
    assert closed[-1][1:] == (pytest.approx(0), pytest.approx(1)), "nothing is left, all is closed"
    longest = data.buckets[-1].name
    assert "Trained on 10 times as many tokens, lstm-long closes" in section.text[1]
    assert "(test; lstm's run with the same seed)" in section.text[1]
    assert f"100% on {longest}" in section.text[1] and "transformer at no length for good" in section.text[1]


def test_the_response_to_the_number_of_vectors_is_shown_by_length(
    data: ReportData, fake_run: FakeRun, text: Text
) -> None:
    assert dose(data).text == []
    variants = []
    for vectors, keep in ((4, 12), (1, 6)):
        kept = [" ".join(line.split()[:keep]) for line in text[1]]
        run = fake_run(f"slots-{vectors}", "transformer", 1, kept, f"model.encoder.slots={vectors}")
        variant = VariantConfig(f"slots-{vectors}", "transformer", [], "slots")
        variants.append((variant, ModelRuns(variant.name, [run])))
    section = dose(replace(data, variants=variants))
    found = {(row[1], row[2]): row[3] for row in table(section, "dose") if row[0] == "BLEU"}
    names = [bucket.name for bucket in data.buckets]
    assert list(found) == [(vectors, name) for vectors in ("1", "4", "all") for name in names]
    assert found["1", names[0]] == found["all", names[-1]] == pytest.approx(100), "six words are enough for five"
    assert found["1", names[-1]] < found["4", names[-1]] < 90
    assert section.figures[0].order == ("1", "4", "all")
    assert f"On sources of {names[-1]} words: {found['1', names[-1]]:.1f} with 1, " in section.text[-1]
    assert "Against all, 1 costs" in section.text[-1]


def slots(fake_run: FakeRun, of: str, model: str, vectors: int, lines: list[str], seed: int = 1) -> Any:
    """A variant of a model whose decoder sees so many vectors, with its run."""
    name = f"{of}-slots-{vectors}"
    run = fake_run(f"{name}/seed{seed}", model, seed, lines, f"model.encoder.slots={vectors}")
    return VariantConfig(name, of, [], "slots"), ModelRuns(name, [run])


def test_each_model_whose_vectors_are_varied_has_a_dose_of_its_own(
    data: ReportData, fake_run: FakeRun, text: Text
) -> None:
    bahdanau = ModelRuns("bahdanau", [fake_run("bahdanau/seed1", "bahdanau", 1, text[1])])
    variants = [slots(fake_run, of, of, 1, forgetful(text[1])) for of in ("transformer", "bahdanau")]
    both = replace(data, groups=[*data.groups, bahdanau], variants=variants)
    section = dose(both)
    assert [figure.name for figure in section.figures] == ["dose", "dose-nll", "dose-2", "dose-nll-2"]
    assert [figure.title.rpartition(", ")[2] for figure in section.figures[::2]] == ["transformer", "bahdanau"]
    assert [line.partition("'s encoder")[0] for line in section.text[::3]] == ["transformer", "bahdanau"]
    assert {row[1] for row in table(section, "dose-2")} == {"1", "all"}
    failed = replace(both, groups=data.groups)
    assert [figure.name for figure in dose(failed).figures] == ["dose", "dose-nll"]
    assert "bahdanau" not in " ".join(dose(failed).text)


def test_there_is_no_dose_without_the_model_that_is_varied(data: ReportData, fake_run: FakeRun, text: Text) -> None:
    variants = [slots(fake_run, "transformer", "transformer", 1, forgetful(text[1]))]
    page = page_of(replace(data, groups=data.groups[:1], variants=variants))
    assert "dose" not in [section.name for section in page.sections]


def test_the_model_that_is_varied_may_have_another_name_in_its_config(
    data: ReportData, fake_run: FakeRun, text: Text
) -> None:
    run = fake_run("sinusoidal/seed1", "transformer", 1, text[1], "model.name=transformer-sinusoidal")
    variants = [slots(fake_run, "sinusoidal", "transformer", 1, forgetful(text[1]))]
    section = dose(replace(data, groups=[data.groups[0], *grouped([run])], variants=variants))
    assert section.text[0].startswith("transformer-sinusoidal's encoder")
    assert {row[1] for row in table(section, "dose")} == {"1", "all"}


def test_of_two_optimisers_the_dose_has_the_likelier_and_says_so(
    data: ReportData, fake_run: FakeRun, text: Text
) -> None:
    variants = []
    for optimizer, nll, lines in (("muon", 1.0, text[1]), ("adamw", 2.0, forgetful(text[1]))):
        options = ["model.encoder.slots=1", f"trainer.optimizer.name={optimizer}"]
        run = fake_run(f"slots-1-{optimizer}", "transformer", 1, lines, *options, nll=nll)
        variants.append((VariantConfig(f"slots-1-{optimizer}", "transformer", [], "slots"), ModelRuns("x", [run])))
    attending = fake_run("transformer/seed1", "transformer", 1, text[1], "trainer.optimizer.name=adamw")
    both = replace(data, groups=[data.groups[0], *grouped([attending])], variants=variants)
    for each in (both, replace(both, variants=variants[::-1])):
        section = dose(each)
        assert [row[3] for row in table(section, "dose") if row[:2] == ["BLEU", "1"]][-1] == pytest.approx(100)
        assert (
            "by which optimiser, the likelier on the validation split (muon with 1; adamw with all)" in section.text[0]
        )


def test_variants_are_compared_with_the_run_of_their_own_seed(data: ReportData, fake_run: FakeRun, text: Text) -> None:
    """Their seed is the first of the study's ``seeds``, which need not be the least, and whose run may have failed."""
    runs = [fake_run(f"lstm/seed{seed}", "lstm", seed, text[1] if seed == 2 else forgetful(text[1])) for seed in (1, 2)]
    attending = [fake_run("transformer/seed1", "transformer", 1), fake_run("transformer/seed2", "transformer", 2)]

    def of_seed(seed: int) -> ReportData:
        kinds: dict[str, list[str]] = {"cause": [], "width": ["model.decoder.context_width=8"], "undertraining": []}
        variants = []
        for question, changed in kinds.items():
            run = fake_run(f"{question}/seed{seed}", "lstm", seed, forgetful(text[1]), *changed)
            variants.append((VariantConfig(question, "lstm", [], question), ModelRuns(question, [run])))
        variants.append(slots(fake_run, "transformer", "transformer", 1, forgetful(text[1]), seed))
        return replace(data, groups=grouped([*runs, *attending]), variants=variants)

    own = of_seed(2)
    longest = {row[0]: row[-1] for row in table(causes(own), "variants")}
    assert longest["lstm"] == pytest.approx(100) and longest["cause"] < 90
    assert {row[0]: row[-1] for row in table(causes(own), "width")}["lstm"] == pytest.approx(100)
    closed = table(undertraining(own), "closed")[-1]
    assert closed[3] == pytest.approx(100) and closed[4] < 90
    assert dose(own).text
    absent = of_seed(3)
    page = page_of(absent)
    assert "lstm" not in {row[0] for row in [*table(causes(absent), "variants"), *table(causes(absent), "width")]}
    assert "BLEU goes from" not in " ".join(causes(absent).text)
    assert "closed" not in [each.name for each in page.tables]
    assert undertraining(absent).text[1:] == [
        "How much of the gap undertraining closes is not known, for lstm has no run with its seed."
    ]
    assert "dose" not in [section.name for section in page.sections]


def test_interventions_and_forgetting_are_read_from_the_measurements(data: ReportData, text: Text) -> None:
    chosen = list(range(16))
    right, wrong = [text[1][n] for n in chosen], ["falsch"] * 16
    rows = [{"attention": "trained", "hypotheses": right}, {"attention": "uniform", "hypotheses": wrong}]
    rows.append({"attention": "shuffled", "hypotheses": wrong})
    measure(data.groups[1], "interventions", {"search": "greedy", "sentences": chosen, "rows": rows})
    measure(data.groups[0], "forgetting", {"rows": [[5, 0, 10, 1.0, 9], [19, 18, 10, 40.0, 1], [19, None, 3, 1, 1]]})
    section = causes(data)
    assert "With uniform weights transformer goes from 100.0 to 0.0 BLEU" in " ".join(section.text)
    cells = {(row[1], row[2]): row[3] for row in table(section, "forgetting")}
    assert cells == {("5", "first fifth"): pytest.approx(0.9), ("12–19", "last fifth"): pytest.approx(0.1)}


def of_fifths(nats: tuple[float, float, float]) -> dict[str, Any]:
    """Sums of 200 tokens by the first, middle and last fifth of sources of 5 and 15 words; other places have few."""
    cells = [(length, place) for length in (5, 15) for place in (0, length // 2, length - 1)]
    rows = [[n, place, 200, 200 * value, 100] for (n, place), value in zip(cells, (*nats, *nats), strict=True)]
    return {"rows": [*rows, [15, None, 200, 1.0, 200]]}


def test_what_a_language_model_knows_is_subtracted(data: ReportData, fake_run: FakeRun) -> None:
    """Without a source the first word is hardest, so that least is taken from the source in the middle."""
    blind = ModelRuns("language_model", [fake_run("language_model/1", "transformer", 1, data.references)])
    measure(blind, "forgetting", of_fifths((5.0, 3.0, 2.0)))
    measure(data.groups[1], "forgetting", of_fifths((1.0, 2.0, 0.5)))
    section = causes(replace(data, language_model=blind))
    assert {tuple(row[2:]) for row in table(section, "forgetting")} == {
        ("first fifth", 0.5, 1.0, 4.0, 200 * 3),
        ("third", 0.5, 2.0, 1.0, 200 * 3),
        ("last fifth", 0.5, 0.5, 1.5, 200 * 3),
    }
    told = "transformer takes from the source, in nats a token aligned with the first, the middle and the last fifth: "
    assert told + "4.00, 1.00 and 1.50 in sources of 5 words; 4.00, 1.00 and 1.50 in sources of" in " ".join(
        section.text
    )
    figure = next(figure for figure in section.figures if figure.name == "forgetting")
    assert figure.y == "information" and figure.title == "Information taken from the source"
    without = " ".join(causes(data).text)
    assert "50%, 50% and 50% in sources of 5 words" in without and "nats a token" not in without


def test_runs_of_one_name_that_are_not_one_model_are_kept_apart(fake_run: FakeRun) -> None:
    runs = [fake_run("lstm/seed1"), fake_run("narrow/seed1", "lstm", 1, (), "model.decoder.context_width=8")]
    assert [group.model for group in grouped(runs)] == ["lstm", "narrow"]


def test_measurements_that_are_missing_are_named(data: ReportData) -> None:
    assert len(page_of(data).warnings) == 6 and "lacks measurements: interventions" in page_of(data).warnings[0]


def test_a_page_is_made_with_what_is_there(data: ReportData) -> None:
    page = page_of(replace(data, warnings=["x is not like y"]))
    names = [section.name for section in page.sections]
    assert names[:6] == ["lengths", "scales", "information", "nearness", "quality", "fairness"]
    assert names[-1] == "repeat"
    assert page.explorer is None and page.warnings[0] == "x is not like y" and page.colours == ("lstm", "transformer")
    figures = [figure for section in page.sections for figure in section.figures] + [page.figure]
    assert len({figure.name for figure in figures}) == len(figures)
    for figure in figures:
        for column in (figure.x, figure.y, figure.colour, figure.low, figure.high, figure.row, figure.facet):
            assert column is None or all(column in row for row in figure.rows), (figure.name, column)
    tables = [each for section in page.sections for each in section.tables]
    assert len({each.name for each in tables}) == len(tables)
    assert all(len(row) == len(each.columns) for each in tables for row in each.rows)


def test_the_page_says_by_what_a_token_is_placed_in_the_source(data: ReportData, fake_run: FakeRun) -> None:
    assert aligned_by(data) == "the grammar's gold alignment"
    text = ["data=text", "data.train.src=a", "data.train.tgt=b"]
    of_text = replace(data, groups=grouped([fake_run("text/seed1", "text/lstm", 1, (), *text)]))
    assert aligned_by(of_text) == "the attention of the first model that has any"
    for each in (of_text, data):
        assert aligned_by(replace(each, gold="gold.pharaoh")) == "the gold alignment", "also in place of the grammar's"


def test_the_machine_that_makes_the_page_is_not_taken_for_that_of_the_runs(data: ReportData) -> None:
    rows = {row[0]: row[1] for row in table(repetition(data), "environment")}
    assert rows["processor"] == "p" and rows["cores and memory where this page was made"] == hardware()


def test_the_explorer_counts_words_as_the_buckets_do(data: ReportData) -> None:
    src = ["The dog, the cat and the man sleep.", *data.src[1:]]
    split = ["The", "dog", ",", "the", "cat", "and", "the", "man", "sleep", "."]
    told = {"index": 0, "src": split, "reference": "x", "words": ["x"], "nll": 1.0, "chrf": 9.0, "attention": []}
    for group in data.groups:
        measure(group, "explorer", {"sentences": [told], "maps": []})
    found = explorer(replace(data, src=src))
    assert found is not None and found.lengths == [8]
    [packed] = pack_explorer(found)["sentences"]
    assert packed["length"] == 8


def probed(rows: list[list[int]]) -> dict[str, Any]:
    """The record of a probe that finds the same at both widths, and in the baseline."""
    record = {"vector": "summary", "units": 8, "narrow_units": 4, "fitted_on": 9, "asked": ["x"], "places": []}
    shares = {"recall": 0.6, "narrow_recall": 0.5, "baseline_recall": 0.2}
    return {**record, **shares, "rows": rows, "narrow": rows, "baseline": rows}


def test_a_probe_has_intervals_over_sentences_and_stands_beside_its_baseline(data: ReportData) -> None:
    for group in data.groups:
        of_all = [[5, 10, 10 * (n % 2)] for n in range(40)]
        chance = [[5, 10, 1]] * 40
        measure(group, "probe", {**probed(of_all), "baseline": chance})
    section = causes(data)
    figure = next(figure for figure in section.figures if figure.name == "probe")
    assert [row["vector"] for row in figure.rows] == [
        "lstm", "lstm, baseline", "transformer", "transformer, baseline",
    ]  # fmt: skip
    first, second = figure.rows[:2]
    assert first["recall"] == 0.5 and 0.3 < first["low"] < 0.4 and 0.6 < first["high"] < 0.7
    assert [second[key] for key in ("recall", "low", "high")] == pytest.approx([0.1] * 3)
    row = table(section, "probe")[0]
    assert row[:5] == ["lstm", "summary", 8, 0.5, 4] and row[-1] == pytest.approx(0.4)


def test_a_baseline_has_a_tint_of_its_models_colour(data: ReportData) -> None:
    for group in data.groups:
        rows = [[5, 10, 7], [12, 10, 4]]
        measure(group, "probe", probed(rows))
    figure = next(figure for figure in causes(data).figures if figure.name == "probe")
    keys = [(key.label, key.colour) for key in legend(figure, ("lstm", "transformer"))]
    assert keys == [("lstm", "c0"), ("lstm, baseline", "t0"), ("transformer", "c1"), ("transformer, baseline", "t1")]
    [(_, spec)] = on_page(figure, ("lstm", "transformer")).panels
    outlined = spec["layer"][0]["encoding"]["stroke"]["scale"]  # a tint alone has too little contrast with the page
    assert outlined["range"] == ["var(--c0)", "var(--c0)", "var(--c1)", "var(--c1)"]


@pytest.fixture
def unspaced(fake_run: FakeRun, text: Text) -> ReportData:
    """Sources in Chinese characters, three for each English word, and an attention model that forgets nothing."""
    _, references = text
    src = ["".join(chr(0x4E00 + 3 * (sum(map(ord, word)) % 900) + n) for word in line.split() for n in range(3))
           for line in text[0]]  # fmt: skip
    runs = [fake_run(f"lstm/{seed}", "lstm", seed, forgetful(references)) for seed in (1, 2, 3)]
    runs += [fake_run(f"transformer/{seed}", "transformer", seed, references) for seed in (1, 2, 3)]
    for run in runs:
        save_split(run, "test", src, references)
        save_split(run, "valid", src, references)
        run.validation(20).parent.mkdir(exist_ok=True)
        run.validation(20).write_text("".join(f"{line}\n" for line in references))
    return data_of_runs(runs, "test", None)


def test_a_page_about_a_source_without_spaces_counts_characters(unspaced: ReportData) -> None:
    group = unspaced.groups[1]
    told = {"index": 0, "src": list(unspaced.src[0]), "reference": "x", "words": ["x"], "nll": 1.0, "chrf": 9.0}
    masked = {"positions": 9, "word": effect(-1.0), "random": effect(-0.001), "difference": effect(-1.0)}
    rows = [[15, 10, 7], [57, 10, 4]]
    for each in unspaced.groups:
        measure(each, "explorer", {"sentences": [{**told, "attention": []}], "maps": []})
        measure(each, "probe", probed(rows))
        measure(each, "forgetting", {"rows": [[15, 0, 200, 1.0, 190], [57, 56, 200, 40.0, 20]]})
        beyond(each, unspaced.references, (unspaced.src, unspaced.references))
    measure(group, "attention", {**ATTENDING, "masking": {"drawn": 9, "attended": masked}})
    page = page_of(unspaced)
    assert unspaced.edges == [20, 40, 60, 80]
    assert [bucket.name for bucket in Quality(unspaced).buckets] == ["15–20", "21–40", "41–57"]
    assert page.figure.x == "source characters"
    assert "on sources of 21–40 characters to" in page.answer[0]
    assert "% of this growth lies between" not in page.answer[1], "there are two buckets"
    figures = [page.figure, *(figure for section in page.sections for figure in section.figures)]
    columns = [column for section in page.sections for table in section.tables for column in table.columns]
    drawn = [on_page(figure, ("lstm", "transformer")) for figure in figures]
    whole = json.dumps([spec for chart in drawn for _, spec in chart.panels], default=str)
    assert "source characters" in whole and "source words" not in f"{whole} {columns} {words_of(unspaced)}"
    assert not any(column.endswith(" words") for column in columns)
    assert "the test, up to 57 characters" in words_of(unspaced)
    assert "Hiding the character that transformer looks at most costs 1.00 nats, another 0.00" in words_of(unspaced)
    assert page.explorer is not None and pack_explorer(page.explorer)["units"] == ("characters", "words")
    assert pack_explorer(page.explorer)["sentences"][0]["length"] == 15
