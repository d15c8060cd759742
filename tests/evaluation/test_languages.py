"""Languages by their codes and by their letters, and what is said of them."""

from __future__ import annotations

import unicodedata

import pytest
from sacrebleu.metrics.bleu import BLEU as SacreBLEU

from seq2seq.data.languages import language_of_text
from seq2seq.evaluation.languages import form_notices, tokenizer_of, word_notices
from seq2seq.evaluation.metrics import BLEU, CHRF, bleu_tokenizer

TEXTS = {
    "zh": ["今天天气很好，我们去公园散步。", "他昨天买了三本书。"],
    "ja": ["今日は天気がいいので、公園を散歩します。", "彼は昨日本を三冊買いました。"],
    "ko": ["오늘은 날씨가 좋아서 공원을 산책합니다.", "그는 어제 책 세 권을 샀습니다."],
    "th": ["วันนี้อากาศดีมาก เราไปเดินเล่นที่สวนสาธารณะ", "เมื่อวานเขาซื้อหนังสือสามเล่ม"],
    "km": ["ថ្ងៃនេះអាកាសធាតុល្អណាស់"],
    "my": ["ဒီနေ့ ရာသီဥတု ကောင်းတယ်"],
    "lo": ["ມື້ນີ້ອາກາດດີຫຼາຍ"],
    "bo": ["དེ་རིང་གནམ་གཤིས་ཡག་པོ་འདུག"],
}
SPACED = ["Der alte Hund schläft im Garten.", "Сегодня хорошая погода.", "आज मौसम बहुत अच्छा है।", "الطقس جميل اليوم."]


@pytest.mark.parametrize(
    ("tokenizer", "codes"),
    [
        ("zh", "zh zh-CN zh_TW ZH zho zho_Hans zho_Hant cmn cmn-Hans-CN yue chi cn"),
        ("ja-mecab", "ja JA ja_XX jpn jpn_Jpan jp"),
        ("ko-mecab", "ko ko-KR kor kor_Hang"),
        ("char", "th tha tha_Thai km khm khm_Khmr my mya bur my_MM lo lao bo bod dzo_Tibt"),
        ("13a", "de deu_Latn en-GB zh-Latn-pinyin vi hin_Deva ar tl"),
    ],
)
def test_a_code_in_any_spelling_gives_sacrebleus_tokenizer(tokenizer: str, codes: str) -> None:
    assert {tokenizer_of(code) for code in codes.split()} == {tokenizer}


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("code", TEXTS)
def test_letters_tell_the_languages_without_spaces(code: str, form: str) -> None:
    text = [unicodedata.normalize(form, line) for line in TEXTS[code]]
    assert language_of_text(text).code == code
    [warning] = word_notices("de", text, "data.tgt")
    assert f"set data.tgt={code}" in warning


def test_letters_of_other_languages_tell_nothing() -> None:
    for text in (*([line] for line in SPACED), [], ["", "…"], ["1 2 3"]):
        assert language_of_text(text) == ("", ""), text
        assert not list(word_notices("de", text, "data.tgt"))


@pytest.mark.parametrize("code", TEXTS)
def test_a_perfect_translation_scores_100_and_half_of_it_less(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if code in ("ja", "ko"):
        monkeypatch.setattr("seq2seq.evaluation.metrics.find_spec", lambda _: None)
    text = TEXTS[code]
    assert BLEU.corpus_score(text, text, code) == pytest.approx(100)
    assert CHRF.corpus_score(text, text, code) == pytest.approx(100)
    half = [line[: len(line) // 2] for line in text]
    assert 5 < BLEU.corpus_score(half, text, code) < 90


def test_a_script_without_a_tokenizer_is_told() -> None:
    [notice] = word_notices("tha_Thai", TEXTS["th"], "data.tgt")
    assert "BLEU is of characters" in notice


def test_words_that_are_whole_lines_are_told() -> None:
    [warning] = word_notices("de", ["donaudampfschifffahrtsgesellschaft" * 2], "data.tgt")
    assert "nearly whole lines" in warning


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKD"])
def test_texts_are_scored_in_one_unicode_form(form: str) -> None:
    references = ["Trời hôm nay rất đẹp và ấm áp", "오늘은 날씨가 매우 좋습니다 정말", "für ölige Äpfel grüßt er uns"]
    hypotheses = ["Trời hôm nay rất xấu và ấm áp", "오늘은 날씨가 아주 좋습니다 정말", "für ölige Äpfel grüßt er sie"]
    expected = SacreBLEU(tokenize="13a").corpus_score(hypotheses, [references]).score
    changed = [unicodedata.normalize(form, line) for line in references]
    assert BLEU.corpus_score(hypotheses, changed, "vi") == expected
    assert float(BLEU.score(BLEU.statistics(hypotheses, changed, "vi").sum(0))) == pytest.approx(expected)
    told = list(form_notices({"references": changed}))
    assert len(told) == (form != "NFC")
    assert form == "NFC" or told[0].startswith("references: 3 of 3 lines")


def test_the_signature_is_sacrebleus() -> None:
    assert bleu_tokenizer("zho_Hans") == "zh"
    assert "tok:zh|" in BLEU.signature("zho_Hans")
    assert "tok:char|" in BLEU.signature("tha")
