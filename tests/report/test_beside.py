"""What was trained on which lengths, other studies beside, and scores by the number of training pairs, on the page."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from seq2seq.analysis.trained_lengths import trained_lengths
from seq2seq.config.overrides import override
from seq2seq.data.encoded import prepare
from seq2seq.data.lengths import WORDS
from seq2seq.data.streamed import batches_of
from seq2seq.errors import UserError
from seq2seq.evaluation.metrics import BLEU
from seq2seq.evaluation.onset import crossover
from seq2seq.report.beside import Beside, pages_beside, read_page
from seq2seq.report.data import ReportData, data_of_runs, data_of_study
from seq2seq.report.model_runs import grouped
from seq2seq.report.page.document import Page, Section
from seq2seq.report.page.formatting import plain
from seq2seq.report.sections.assembly import page_of
from seq2seq.report.sections.behaviour import _what_is_beyond
from seq2seq.report.sections.beside import _below, beside
from seq2seq.report.sections.data_size import data_size
from seq2seq.report.sections.quality import Quality
from seq2seq.report.sections.trained import covered, trained
from seq2seq.runs.loading import save_split
from seq2seq.runs.records import TrainedLengths
from seq2seq.runs.run import Run
from seq2seq.study.conduct import Outcome
from seq2seq.study.options import StudyConfig
from seq2seq.study.plan import Study
from seq2seq.system.files import write_json

Text = tuple[list[str], list[str]]
FakeRun = Callable[..., Run]
TAKE = ["data.take=1000"]
JOIN = ["data=text", "data.name=toy", "data.join=60"]


def cut(references: list[str], words: int) -> list[str]:
    """Translations that keep the first words alone."""
    return [" ".join(line.split()[:words]) for line in references]


def damaged(references: list[str], every: int) -> list[str]:
    """Translations of which every so manieth is nonsense."""
    return ["falsch" if n % every == 0 else line for n, line in enumerate(references)]


def table(section: Section, name: str) -> list[list[Any]]:
    return next(table.rows for table in section.tables if table.name == name)


# ------------------------------------------------------------------------------------------------------ lengths


def lengths(*counts: tuple[int, int]) -> TrainedLengths:
    return {"origin": "", "counts": [list(pair) for pair in counts], "read": 500, "cut": False}


def with_lengths(fake_run: FakeRun, text: Text, found: TrainedLengths | None, *overrides: str) -> ReportData:
    src, references = text
    runs = [fake_run(f"{found is None}{overrides}/a".replace("=", ""), "lstm", 1, references, *overrides)]
    valid = ([" ".join(["word"] * 13)] * 50, ["Wort"] * 50)
    return ReportData("Study test", grouped(runs), src, references, valid, [6, 12], trained=found)


def test_the_first_sentence_says_which_lengths_were_trained_on(fake_run: FakeRun, text: Text) -> None:
    data = with_lengths(fake_run, text, lengths((3, 100), (10, 300), (37, 100)))
    assert covered(data) == ["Trained on sources of 3 to 37 words (half of them 10 to 10); the test has 5 to 19."]
    assert page_of(data).answer[0] == covered(data)[0]
    assert covered(with_lengths(fake_run, text, None)) == [] and not trained(replace(data, trained=None)).tables


def test_it_says_that_neighbours_were_joined_and_where_alone(fake_run: FakeRun, text: Text) -> None:
    joined = with_lengths(fake_run, text, lengths((5, 50), (40, 50)), *JOIN)
    assert "neighbouring sentences joined; the test has 5 to 19, joined likewise." in covered(joined)[0]
    assert (
        "As one epoch" not in trained(joined).text[0] and "as one epoch joins them: to 100" in trained(joined).text[0]
    )
    single = with_lengths(fake_run, text, lengths((5, 500)), *JOIN, "data.join_training=false")
    assert covered(single) == [
        "Trained on sources of 5 to 5 words (half of them 5 to 5); the test has 5 to 19, neighbouring sentences "
        "joined. None of the training sources have 13 words or more, as the longest of the test have."
    ]
    rare = with_lengths(fake_run, text, lengths((5, 999), (15, 5)))
    few = " 0.50 % of the training sources have 13 words or more, as the longest of the test have."
    assert covered(rare)[0].endswith(few)


def test_what_is_said_of_lengths_is_of_the_pairs_that_were_read(fake_run: FakeRun, text: Text) -> None:
    found: TrainedLengths = {**lengths((4, 60_000), (9, 40_000)), "read": 100_000, "cut": True}
    assert covered(with_lengths(fake_run, text, found)) == [
        "The sources of the first 100,000 training pairs have 4 to 9 words (half of them 4 to 9); the test has 5 to "
        "19. None of the sources of the first 100,000 training pairs have 13 words or more, as the longest of the test "
        "have."
    ]
    whole = covered(with_lengths(fake_run, text, {**found, "cut": False}))
    assert "first" not in whole[0] and "None of the training sources have 13 words" in whole[0]


@pytest.mark.parametrize(
    ("found", "covers"),
    [(lengths((5, 100), (19, 2)), True), (lengths((5, 100)), False), (lengths((5, 100), (18, 9)), False),
     (lengths((5, 999), (19, 2)), False), (None, False)],
)  # fmt: skip
def test_training_is_said_to_cover_the_test_only_where_it_is_known_to(
    fake_run: FakeRun, text: Text, found: TrainedLengths | None, covers: bool
) -> None:
    said = _what_is_beyond(with_lengths(fake_run, text, found))
    assert ("up to 19 words, which training covers. Beyond them an" in said) is covers
    assert ("up to 19 words. Beyond the trained lengths an" in said) is not covers


def test_only_where_sentences_were_not_joined_in_training_a_full_stop_ends_the_output(
    fake_run: FakeRun, text: Text
) -> None:
    stops = {
        options: "a full stop ends" in _what_is_beyond(with_lengths(fake_run, text, None, *options))
        for options in ((), (*JOIN, "data.join_training=false"), (*JOIN,))
    }
    assert [*stops.values()] == [True, True, False]


def test_the_table_holds_all_splits_side_by_side(fake_run: FakeRun, text: Text) -> None:
    data = with_lengths(fake_run, text, lengths((3, 100), (10, 300), (37, 100)))
    rows = table(trained(data), "trained")
    assert [row[0] for row in rows] == ["1–6", "7–12", "13–37"]
    assert [row[1:5] for row in rows] == [[100, 20.0, 0, 0.0], [300, 60.0, 0, 0.0], [100, 20.0, 50, 100.0]]
    assert sum(row[5] for row in rows) == len(text[0]) and sum(row[6] for row in rows) == pytest.approx(100)


def corpus(folder: Path, fake_run: FakeRun, *more: str) -> Run:
    """A run whose training files are there: 3,000 pairs of 3 to 20 words, some empty or too long."""
    folder.mkdir()
    for split, count in (("train", 3_000), ("valid", 40), ("test", 40)):
        for side in ("src", "tgt"):
            lines = ["cat " * (n % 18) + f"dog {n}" for n in range(count)]
            lines[5:7] = ["", "dog " * 150]
            (folder / f"{split}.{side}").write_text("".join(f"{line.strip()}\n" for line in lines), encoding="utf-8")
    files = [
        f"data.{split}.{side}={folder}/{split}.{side}"
        for split in ("train", "valid", "test")
        for side in ("src", "tgt")
    ]
    options = ["data=text", f"data.cache={folder}/cache", "data.subwords.vocab_size=300", *files, *more]
    return fake_run(folder.name, "lstm", 3, (), *options)


@pytest.mark.parametrize("join", [None, 40])
def test_trained_lengths_are_those_that_the_batches_of_the_first_epoch_have(
    fake_run: FakeRun, tmp_path: Path, join: int | None
) -> None:
    run = corpus(tmp_path / "toy", fake_run, *([f"data.join={join}"] if join else []))
    config = override(run.load_config(), [], True)
    prepared = prepare(config.data)
    prepared.subwords.save(run.subwords)
    save_split(run, "valid", prepared.splits["valid"].lines(0), prepared.splits["valid"].lines(1))
    batches, seen = batches_of(config.data, prepared, 2_000, config.seed, 1), list[int]()
    while batches.epoch < 1:
        batch = next(batches)
        seen += [len(line.split()) for line in prepared.subwords.decode_tgt(batch.src.tolist())]
        if batches.batch_number == len(batches.planned):
            break
    found = trained_lengths(run, config, WORDS)
    assert found["counts"] == [[length, seen.count(length)] for length in sorted(set(seen))]
    assert (found["read"], found["cut"]) == (3_000, False)
    assert sum(length * count for length, count in found["counts"]) == sum(seen)
    file = run.folder / "measurements" / "lengths.json"
    stamp = file.stat().st_mtime_ns
    assert trained_lengths(run, config, WORDS) == found and file.stat().st_mtime_ns == stamp


# ------------------------------------------------------------------------------------------------------- beside


def study(fake_run: FakeRun, text: Text, name: str, words: int) -> ReportData:
    """A baseline that keeps so many words, and a model that is always right."""
    src, references = text
    runs = [fake_run(f"{name}/{model}", model, 1, lines) for model, lines in translations(references, words).items()]
    return ReportData(f"Study {name}", grouped(runs), src, references, ([], []), [6, 12])


def translations(references: list[str], words: int) -> dict[str, list[str]]:
    return {"lstm": cut(references, words), "transformer": references}


def write(page: Page, folder: Path) -> None:
    """The numbers of a page, as they are written beside it."""
    write_json(folder / "report.json", plain(asdict(replace(page, explorer=None))))


def test_another_study_is_put_beside_with_its_gap_on_the_longest_sentences(
    fake_run: FakeRun, text: Text, tmp_path: Path
) -> None:
    other = study(fake_run, text, "other", 4)
    other = replace(other, trained=lengths((5, 10)))
    write(page_of(other), tmp_path / "studies" / "other" / "report")
    own = study(fake_run, text, "own", 10)
    found, warnings = pages_beside(tmp_path / "studies" / "own" / "report", ["other", "gone"])
    assert len(warnings) == 1 and "study gone is not shown beside" in warnings[0]
    section = beside(replace(own, beside=found), Quality(own))
    assert section.text[0] == f"Study other: {covered(other)[0]}"
    gaps = [Quality(each).behind["transformer"][-1] for each in (own, other)]
    assert gaps[0].value < gaps[1].value
    told = [f"{each.value:.1f} [{each.low:.1f}, {each.high:.1f}] BLEU on 13–19 words in Study" for each in gaps]
    assert section.text[1] == (f"The gap transformer − lstm on the longest sentences: {told[0]} own; {told[1]} other.")
    assert "above" not in section.figures[0].caption, "nothing above says what differs between the studies"
    rows = table(section, "beside")
    assert [row[0] for row in rows] == ["Study own"] * 3 + ["Study other"] * 3
    [figure] = section.figures
    assert {row["study"] for row in figure.rows} == {"Study own", "Study other"} and len(figure.rows) == 12
    assert "beside" in [each.name for each in page_of(replace(own, beside=found)).sections]
    assert "beside" not in [each.name for each in page_of(own).sections]


def test_a_model_that_is_behind_is_not_said_to_be_above(fake_run: FakeRun, text: Text) -> None:
    own = study(fake_run, text, "own", 19)
    worse = replace(own, groups=[own.groups[0], *study(fake_run, text, "worse", 10).groups[:1]])
    worse = replace(worse, groups=[worse.groups[0], replace(worse.groups[1], model="transformer")])
    quality = Quality(worse)
    [told] = beside(
        replace(worse, beside=[Beside("Study other", [], [], "source words", quality.gaps())]), quality
    ).text
    assert told.startswith("The gap transformer − lstm on the longest sentences: −") and "above" not in told


def test_a_model_that_has_learned_nothing_in_another_study_is_not_compared_there(
    fake_run: FakeRun, text: Text, tmp_path: Path
) -> None:
    own, other = study(fake_run, text, "own", 10), study(fake_run, text, "other", 4)
    nothing = [fake_run(f"nothing/{name}", name, 1, ["und"] * len(text[0])) for name in ("transformer", "bahdanau")]
    weak = replace(other, groups=[other.groups[0], *grouped(nothing)])
    assert weak.level.below == ["transformer", "bahdanau"]
    write(page_of(weak), tmp_path / "studies" / "other" / "report")
    found, _ = pages_beside(tmp_path / "studies" / "own" / "report", ["other"])
    [answer] = beside(replace(own, beside=found), Quality(own)).text
    assert answer.startswith("Study other: No verdict on transformer (")
    for each in (weak, replace(weak, groups=[weak.groups[0], weak.groups[2]])):
        assert _below(Beside("", page_of(each).answer, [], "", [])) == {*each.level.below}


@pytest.mark.parametrize("longest", ["13–19", "45–47"])
def test_a_gap_on_a_few_sentences_of_another_study_is_not_told(fake_run: FakeRun, text: Text, longest: str) -> None:
    own = study(fake_run, text, "own", 10)
    rows = Quality(own).gaps()
    few = [{**row, "source words": longest, "sentences": 3} if row["source words"] == "13–19" else row for row in rows]
    other = Beside("Study other", [], [], "source words", few)
    [told] = beside(replace(own, beside=[other]), Quality(own)).text
    assert "BLEU on 13–19 words in Study own; " in told and told.endswith("BLEU on 7–12 words in Study other.")
    alone = replace(other, gaps=[row for row in few if row["sentences"] == 3])
    assert beside(replace(own, beside=[alone]), Quality(own)).text == [], "there is no other gap to tell"


def test_a_study_that_counts_in_another_unit_is_named_in_a_warning(fake_run: FakeRun, text: Text) -> None:
    own = study(fake_run, text, "own", 10)
    other = Beside("Study other", [], [], "source characters", [])
    before, warnings = (page_of(each).warnings for each in (own, replace(own, beside=[other])))
    assert [warning for warning in warnings if warning not in before] == [
        "Study other is not shown beside: its figures are by source characters, those of this study by source words"
    ]


@pytest.mark.parametrize(
    "text_of_it", ["", "[]", "{}", '{"figure": {"name": "x", "rows": [], "x": ""}, "sections": []}']
)
def test_what_is_no_page_is_one_line(tmp_path: Path, text_of_it: str) -> None:
    (tmp_path / "report.json").write_text(text_of_it)
    with pytest.raises(UserError, match="no page of this version"):
        read_page(tmp_path / "report.json")


# --------------------------------------------------------------------------------------------------------- sizes


@pytest.fixture
def sized(fake_run: FakeRun, text: Text) -> ReportData:
    """The Transformer is behind on few pairs and ahead on all."""
    src, references = text
    every = {100: (3, 2), 300: (4, 3), 1_000: (5, 12)}  # of so many translations one is nonsense
    groups = {
        size: grouped(
            [
                fake_run(f"{model}-{size}", model, 1, damaged(references, n), *TAKE)
                for model, n in zip(("lstm", "transformer"), found, strict=True)
            ]
        )
        for size, found in every.items()
    }
    rest = {size: groups[size] for size in (300, 100)}
    return ReportData("test", groups[1_000], src, references, ([], []), [6, 12], sized=rest)


def test_the_best_at_each_size_and_the_crossover_are_told(sized: ReportData) -> None:
    section = data_size(sized)
    assert [row[:3] for row in table(section, "best-by-pairs")] == [
        [100, "lstm", "transformer"], [300, "lstm", "transformer"], [1_000, "transformer", "lstm"],
    ]  # fmt: skip
    [row] = table(section, "crossovers")
    by_size = [*(sized.sized[size] for size in (100, 300)), sized.groups]
    lstm, transformer = ([sized.system(groups[n], BLEU) for groups in by_size] for n in (0, 1))
    found = crossover(transformer, lstm, [100, 300, 1_000], BLEU)
    assert row == ["transformer", "lstm", found.size, found.low, found.high, "sentences"]
    assert found.size is not None and 300 < found.size < 1_000
    assert section.text[1].startswith("The best: lstm at 100 (by ")
    assert section.text[2].startswith(f"transformer is ahead of lstm from {found.size:,.0f} training pairs on (95 % ")
    assert "the rate of its experiment" in section.text[0], "there were no trials"
    [figure] = section.figures
    assert figure.log_x and [row["training pairs"] for row in figure.rows] == [100, 300, 1_000] * 2
    assert "sizes" in [each.name for each in page_of(sized).sections]


def test_what_has_learned_nothing_is_neither_the_best_nor_ahead(
    sized: ReportData, fake_run: FakeRun, text: Text
) -> None:
    nothing = grouped(
        [fake_run(f"{model}-0", model, 1, damaged(text[1], 1), *TAKE) for model in ("lstm", "transformer")]
    )
    section = data_size(replace(sized, sized={**sized.sized, 100: nothing}))
    assert section.text[1].startswith("The best: lstm at 300 (by ")
    assert section.text[2].startswith("On 100 training pairs no model has learned enough to be compared")
    assert section.text[3].startswith("transformer is ahead of lstm from ")
    assert table(section, "crossovers")[0][3] >= 300  # nothing is interpolated from where both are noise
    fewest = data_size(replace(sized, groups=nothing, sized=dict.fromkeys(sized.sized, nothing)))
    assert len(fewest.text) == 2 and "On 100 and 300 and 1,000 training pairs no model" in fewest.text[1]
    assert [each.name for each in fewest.tables] == ["best-by-pairs"]


def test_a_model_that_is_ahead_everywhere_and_one_whose_run_failed(sized: ReportData) -> None:
    swapped = replace(sized, sized=dict.fromkeys(sized.sized, sized.groups))
    assert "transformer is ahead of lstm at every number from 100 on" in data_size(swapped).text[-1]
    lost = replace(sized, sized={**sized.sized, 100: sized.sized[100][:1]})
    section = data_size(lost)
    assert {row["model"] for row in section.figures[0].rows} == {"lstm"} and not section.tables
    assert data_size(replace(sized, sized={})).figures == []


def test_an_end_at_the_least_number_stands_for_all_below_it(sized: ReportData) -> None:
    ahead = replace(sized, sized=dict.fromkeys(sized.sized, sized.groups))
    assert data_size(ahead).text[-1] == (
        "transformer is ahead of lstm at every number from 100 on (95 % interval of the crossover 100 or fewer to 100 "
        "or fewer)."
    )


def test_nothing_is_interpolated_across_a_number_at_which_every_run_failed(
    sized: ReportData, fake_run: FakeRun, text: Text, tmp_path: Path
) -> None:
    gone = ["data=text", f"data.train.src={tmp_path}/gone", f"data.train.tgt={tmp_path}/gone"]
    models = ("lstm", "transformer")
    runs = [fake_run(f"{model}/seed1", model, 1, text[1], *gone, *TAKE) for model in models]
    fewer = [(100, fake_run(f"{model}-100/seed1", model, 1, text[1], *gone, "data.take=100")) for model in models]
    for run in runs:
        save_split(run, "valid", ["dog"], ["Hund"])
    study = Study(StudyConfig("sizes", models=list(models), sizes=[100, 300, 1_000], outputs=str(tmp_path)))
    data = data_of_study(Outcome(study, {}, runs, [], None, fewer, [], {}))
    assert {size: len(groups) for size, groups in data.sized.items()} == {100: 2, 300: 0}
    for lost in (data, replace(sized, sized={**sized.sized, 300: []})):
        section = data_size(lost)
        assert not section.figures[0].rows and not section.tables
        assert section.text[1:] == ["No two models have runs at every number of training pairs, so none is compared."]


def test_a_study_without_its_training_text_says_so_and_goes_on(fake_run: FakeRun, text: Text, tmp_path: Path) -> None:
    run = fake_run(
        "a", "lstm", 1, text[1], "data=text", f"data.train.src={tmp_path}/gone", f"data.train.tgt={tmp_path}/gone"
    )
    save_split(run, "valid", ["dog"], ["Hund"])
    data = data_of_runs([run], "test", [6, 12], corpus=True)
    assert data.trained is None and data.nearness is None
    [warning] = data.warnings
    assert "which lengths were trained on" in warning and "gone" in warning
    assert json.dumps(plain(asdict(page_of(data))))
