"""Failures by hand: each on a sentence where the answer is plain."""

from __future__ import annotations

from seq2seq.evaluation.failures import FAILURES, left_out, not_copied, repeats, too_short


def test_a_repetition_is_three_words_that_come_again_and_more_often_than_in_the_reference() -> None:
    assert repeats("der alte Hund und der alte Hund und", "der alte Hund und die Katze")
    assert repeats("ja ja ja ja", "ja")
    assert not repeats("der alte Hund schläft", "der alte Hund schläft")
    assert not repeats("sie geht , weil sie geht", "sie geht")
    twice = "was er sagt , ist , was er sagt"
    assert not repeats(twice, twice)


def test_short_is_below_four_fifths_of_the_words() -> None:
    assert too_short("eins zwei drei", "eins zwei drei vier fünf")
    assert not too_short("eins zwei drei vier", "eins zwei drei vier fünf")
    assert too_short("", "eins")


def test_what_is_left_out_is_counted_with_multiplicity_and_without_case() -> None:
    assert left_out("Der Hund", "der Hund sieht der") == (2, 4)
    assert left_out("der Hund der Hund", "Hund") == (0, 1)


def test_names_and_numbers_are_what_source_and_reference_share() -> None:
    assert not_copied("Anna has 3,5 cats in Rome.", "Eva hat 3,5 Katzen in Rom.", "Anna hat 3,5 Katzen in Rom.") == (
        1,
        2,
    )
    assert not_copied("the house", "das Haus", "das Haus") == (0, 0)
    assert not_copied("is Is in", "x", "in Is") == (1, 1)


def test_a_text_without_spaces_is_counted_by_its_characters() -> None:
    """Chinese: cut short, one part six characters long twice, whole; a Latin name and a number between characters."""
    references = ["我喜欢你的新房子和花园。", "老师今天在学校看书。", "我叫Anna今年3岁。"] * 4
    hypotheses = ["我。", "老师今天在学校老师今天在学校看书。", "我叫Eva今年3岁。"] * 4
    sources = ["I like your new house and garden.", "The teacher reads at school today.", "I am Anna, and I am 3."] * 4
    found = {metric.key: metric.statistics(hypotheses, references, "zh", sources).tolist()[:3] for metric in FAILURES}
    assert found["short"] == [[1, 1], [0, 1], [0, 1]]
    assert found["repeats"] == [[0, 1], [1, 1], [0, 1]]
    assert found["left_out"] == [[10, 11], [0, 9], [1, 7]]
    assert found["not_copied"] == [[0, 0], [0, 0], [1, 2]]


def test_every_sentence_is_counted_in_every_kind() -> None:
    texts = (["1", "b b b b"], ["1", "b c"], "de")
    found = {metric.label: metric.statistics(*texts, ["a 1", "b"]).tolist() for metric in FAILURES}
    assert {len(rows) for rows in found.values()} == {2}
    assert found["names and numbers not copied"] == [[0, 1], [0, 0]]
    assert found["repeats three words"] == [[0, 1], [1, 1]]
    for metric in FAILURES:
        if not metric.needs_source:
            assert metric.statistics(*texts).tolist() == found[metric.label]
