"""What is written while training: the same curves for every model, in TensorBoard and as JSON lines."""

from __future__ import annotations

import html
import io
import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugin_util import markdown_to_safe_html
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from seq2seq.config.schema import Config
from seq2seq.decoding.translator import Translation
from seq2seq.errors import UserError
from seq2seq.runs.run import EVENTS, Run
from seq2seq.training import session
from seq2seq.training.logging import DRAWN_TOKENS, RunLog, _labels, attention_picture
from seq2seq.training.trainer import Stopped, Trainer

TRAIN = {"loss", "nll", "ppl", "grad_norm", "lr", "tokens_per_s", "padding"}
VALID = {"nll", "ppl", "bleu", "chrf", "token_accuracy"}
TAGS = {f"train/{tag}" for tag in TRAIN} | {f"valid/{tag}" for tag in VALID} | {f"whole test/{tag}" for tag in VALID}
MODELS = ("lstm", "bahdanau", "transformer", "hybrid")
ATTENTIVE = ("bahdanau", "transformer", "hybrid")


def events(folder: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0, "images": 0})
    return accumulator.Reload()


def steps(accumulator: EventAccumulator, tag: str) -> list[int]:
    return [event.step for event in accumulator.Scalars(tag)]


def train_to_the_end(config: Config, folder: Path, start: Callable[..., Trainer]) -> None:
    learner = start(config, folder)
    learner.train()
    session.print_result(learner.run, session._finish(learner))


@pytest.fixture(scope="module")
def runs(
    toy_config: Callable[..., Config], start: Callable[..., Trainer], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """A short run of each model that died once, after more curves than its last checkpoint knew of."""
    folders = {}
    for model in MODELS:
        folder = folders[model] = tmp_path_factory.mktemp(model)
        config = toy_config(model, max_steps=5, valid_every=2, save_every=3, samples=2, average=2)
        first = start(config, folder)
        save = first._save

        def die_at_four(first: Trainer = first, save: Callable[[], None] = save) -> None:
            if first.state.step == 4:
                raise Stopped
            save()

        first._save = die_at_four  # type: ignore[method-assign]
        with pytest.raises(Stopped):
            first.train()
        assert steps(events(folder), "valid/bleu") == [2, 4]
        # TensorBoard puts files in the order of their second, then of their process: a new process has a later one.
        stopped = int(time.time())
        while int(time.time()) == stopped:
            time.sleep(0.02)
        train_to_the_end(config, folder, start)
    return folders


@pytest.mark.parametrize("model", MODELS)
def test_every_model_has_the_same_tags(model: str, runs: dict[str, Path]) -> None:
    tags = set(events(runs[model]).Tags()["scalars"])
    assert tags >= TAGS
    assert sorted(tags)[0].startswith("train/"), "curves come before the single points of the test"
    assert tags == set(events(runs["lstm"]).Tags()["scalars"])


@pytest.mark.parametrize("model", MODELS)
def test_no_point_is_there_twice_after_a_resume(model: str, runs: dict[str, Path]) -> None:
    accumulator = events(runs[model])
    assert steps(accumulator, "train/loss") == [1, 2, 3, 4, 5]
    assert steps(accumulator, "valid/bleu") == [2, 4, 5]
    assert steps(accumulator, "whole test/bleu") == [5]
    lines = [json.loads(line) for line in (runs[model] / "metrics.jsonl").read_text().splitlines()]
    points = [(line["step"], tag) for line in lines for tag in line if tag != "step"]
    assert len(points) == len(set(points))


@pytest.mark.parametrize("model", MODELS)
def test_the_json_lines_are_the_events(model: str, runs: dict[str, Path]) -> None:
    lines = [json.loads(line) for line in (runs[model] / "metrics.jsonl").read_text().splitlines()]
    written = {(line["step"], tag): value for line in lines for tag, value in line.items() if tag != "step"}
    accumulator = events(runs[model])
    tags = {tag for _, tag in written}
    shown = {tag: tag.replace("test/", "whole test/") for tag in tags}
    drawn = {(event.step, tag): event.value for tag in tags for event in accumulator.Scalars(shown[tag])}
    assert written == pytest.approx(drawn, rel=1e-6)


def test_a_run_killed_before_its_first_checkpoint_leaves_no_curves(
    toy_config: Callable[..., Config], start: Callable[..., Trainer], tmp_path: Path
) -> None:
    config = toy_config("lstm", max_steps=2, valid_every=2)
    killed = RunLog(Run(tmp_path), 0)
    killed.scalars(1, {"train/loss": 9.0})
    killed.close()
    train_to_the_end(config, tmp_path, start)
    assert steps(events(tmp_path), "train/loss") == [1, 2]
    assert events(tmp_path).Scalars("train/loss")[0].value < 9


@pytest.mark.parametrize("model", MODELS)
def test_attention_is_drawn_where_there_is_any(model: str, runs: dict[str, Path]) -> None:
    accumulator = events(runs[model])
    images = accumulator.Tags()["images"]
    assert images == (["weights of attention"] if model in ATTENTIVE else [])
    assert all(tag > "valid/" for tag in images), "TensorBoard sorts by name: the curves come first"
    for tag in images:
        assert [event.step for event in accumulator.Images(tag)] == [2, 4, 5], "at most five in a training"
        picture = Image.open(io.BytesIO(accumulator.Images(tag)[0].encoded_image_string))
        assert 100 < picture.width <= 1600
        assert 80 < picture.height <= 1600
        assert len(picture.convert("L").getcolors() or []) > 10  # not a blank sheet


@pytest.mark.parametrize("model", MODELS)
def test_samples_show_source_translation_and_reference(
    model: str, runs: dict[str, Path], toy_config: Callable[..., Config]
) -> None:
    data = toy_config(model).data
    accumulator = events(runs[model])
    shown = accumulator.Tensors("samples/text_summary")
    assert [event.step for event in shown] == [2, 4, 5]
    page = markdown_to_safe_html(shown[-1].tensor_proto.string_val[0])
    cells = [html.unescape(cell) for cell in re.findall(r"<td>(.*?)</td>", page)]
    assert len(cells) == 2 * 3
    for place, path in ((0, data.valid.src), (2, data.valid.tgt)):
        assert cells[place::3] == Path(path or "").read_text().splitlines()[:2]


def test_samples_stand_in_the_table_as_they_are(tmp_path: Path) -> None:
    lines = ["a | b *c* _d_ `e` \\ <b>f</b> &amp; $g$", "# [x](http://y.z) ~~k~~", "- 1. 再見 https://a.b"]
    log = RunLog(Run(tmp_path), 0)
    log.samples(1, lines, lines, [Translation(line, 0.0, 0.0, [], [], None) for line in lines])
    log.close()
    (shown,) = events(tmp_path).Tensors("samples/text_summary")
    page = markdown_to_safe_html(shown.tensor_proto.string_val[0])
    cells = [html.unescape(cell) for cell in re.findall(r"<td>(.*?)</td>", page)]
    assert cells == [line for line in lines for _ in range(3)]


def test_a_long_sentence_is_cut_to_what_can_be_read() -> None:
    tokens = [f"t{n}" for n in range(90)]
    drawn = _labels(tokens)
    assert len(drawn) == DRAWN_TOKENS
    assert drawn[-1].endswith("…")
    picture = attention_picture(Translation("", 0.0, 0.0, tokens, tokens, torch.full((90, 1, 90), 1 / 90)))
    assert max(picture.shape) < 900


@pytest.mark.parametrize(("lengths", "drawn"), [((3, 19, 12, 40), 19), ((50, 30, 40), DRAWN_TOKENS)])
def test_the_sentence_that_is_drawn_fits_into_the_picture(tmp_path: Path, lengths: list[int], drawn: int) -> None:
    sizes: list[int] = []
    log = RunLog(Run(tmp_path), 0)
    log.writer.add_image = lambda tag, picture, step, dataformats: sizes.append(picture.shape[1])
    tokens = {length: [f"t{n}" for n in range(length)] for length in (*lengths, drawn)}
    found = {n: Translation("", 0.0, 0.0, own, own, torch.full((n, 1, n), 1 / n)) for n, own in tokens.items()}
    log.attention(1, [found[length] for length in lengths])
    log.attention(2, [Translation("", 0.0, 0.0, ["a"], ["a"], None)])
    log.close()
    assert sizes == [attention_picture(found[drawn]).shape[1]]


def test_an_older_run_keeps_its_folder_of_events(tmp_path: Path) -> None:
    (tmp_path / "tensorboard").mkdir()
    log = RunLog(Run(tmp_path), 3)
    log.scalars(4, {"train/loss": 1.0})
    log.close()
    assert {path.parent for path in tmp_path.rglob(EVENTS)} == {tmp_path / "tensorboard"}


def test_a_layout_puts_the_curves_on_one_page(runs: dict[str, Path]) -> None:
    layout = events(runs["lstm"]).Tensors("custom_scalars__config__")
    assert len(layout) == 1
    text = layout[0].tensor_proto.string_val[0].decode("latin-1")
    assert "valid/bleu" in text
    assert "train/nll" in text


@pytest.mark.parametrize("model", MODELS)
def test_hyperparameters_stand_in_the_run_itself(model: str, runs: dict[str, Path]) -> None:
    folders = {path.parent for path in runs[model].rglob("events.out.tfevents.*")}
    assert folders == {runs[model]}, "TensorBoard calls a run as the folder of its events, and each folder a run"
    content = events(runs[model]).PluginTagToContent("hparams")
    assert set(content) == {"_hparams_/experiment", "_hparams_/session_start_info", "_hparams_/session_end_info"}
    for column in (b"batch_tokens", b"encoder_width", b"decoder_layers", b"parameters", b"seed"):
        assert column in content["_hparams_/session_start_info"]
    experiment = HParamsPluginData.FromString(content["_hparams_/experiment"]).experiment
    shown_first = sorted(column.name for column in experiment.hparam_infos if column.differs)
    assert shown_first == ["decoder_layers", "decoder_width", "model", "parameters", "seed"]
    assert experiment.metric_infos[0].name.tag == "whole test/bleu"


def test_resuming_forgets_later_and_broken_lines(tmp_path: Path) -> None:
    run = Run(tmp_path)
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "a": 1}\n{"step": 2, "a": 2}\n{"step": 3, "a": 3}\n{"step": 2')
    log = RunLog(run, 2)
    log.scalars(3, {"a": 4.0})
    log.close()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines == [{"step": 1, "a": 1}, {"step": 2, "a": 2}, {"step": 3, "a": 4.0}]


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        RunLog(Run(tmp_path / "file" / "run"), 0)
