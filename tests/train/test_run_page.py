"""What a run shows while it trains: samples to hear and see, its page, and the comparison of runs."""

from __future__ import annotations

import dataclasses
import html.parser
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from chromium import Chromium
from click.testing import CliRunner
from PIL import Image
from tiny_sets import TINY_CAUSAL, train_to_end

from unhiss.cli.runs import command
from unhiss.config import Experiment
from unhiss.data.store import Store
from unhiss.errors import ConfigError, DataError
from unhiss.media.source import read
from unhiss.train import samples
from unhiss.train.export import export
from unhiss.train.loop import Run, train
from unhiss.train.networks import build_network
from unhiss.train.run_comparison import find_runs
from unhiss.train.samples import Samples, stored_steps

CPU = torch.device("cpu")
FULL_SCALE_16 = 1 / 32768  # what a FLAC of 16 bits rounds to
SAME = 2e-4  # torch against onnxruntime, of full scale

Tiny = Callable[..., Experiment]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples without running a model and without drawing the sheet."""
    monkeypatch.setattr(samples, "draw_sheet", lambda *_: None)
    monkeypatch.setattr(samples, "denoise", lambda model, audio, experiment: audio)


def trained(experiment: Experiment, store: Store, folder: Path) -> Run:
    folder.mkdir(parents=True)
    run = Run(experiment, store, folder, CPU)
    train_to_end(run)
    return run


@pytest.fixture(scope="module")
def runs(store: Store, wide: Store, tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two runs on one data set and one on another."""
    folder = tmp_path_factory.mktemp("several") / "runs"
    for name, rate in (("fast", 0.002), ("slow", 0.0001)):
        trained(
            tiny("rced", "train.samples_every_epochs=1", "train.epochs=1", f"train.lr={rate}"), store, folder / name
        )
    trained(tiny("small", "train.samples_every_epochs=1", "train.epochs=1", *TINY_CAUSAL), wide, folder / "live <1>")
    return folder


class PageLinks(html.parser.HTMLParser):
    """The links of a page, and whether every element that was opened was closed."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.open: list[str] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value for key, value in attrs if key in ("src", "href") and value]
        if tag not in ("meta", "img", "input", "html"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag != "html":
            assert self.open.pop() == tag


@pytest.mark.parametrize("name", ["fast", "live <1>"])
def test_a_run_stores_its_models_output_for_the_samples(runs: Path, name: str) -> None:
    stored = stored_steps(runs / name)
    assert stored == [3]
    for number in (1, 2, 3):
        for sound in (f"{number}.noisy", f"{number}.clean", f"{stored[-1]:06d}/{number}"):
            audio, rate = read(runs / name / "samples" / f"{sound}.flac")
            assert rate == (22050 if name == "fast" else 48000) and audio.any()
            with Image.open(runs / name / "samples" / f"{sound}.png") as picture:
                assert picture.height == 257 and len(picture.convert("RGB").getcolors(1 << 20) or []) > 10
    with Image.open(runs / name / "samples" / "sheet.png") as picture:
        assert picture.size == (1200, 630)


def test_samples_have_their_snr_and_are_the_same_whatever_the_seed(store: Store, tiny: Tiny) -> None:
    one, other = samples.draw_examples(store, tiny("rced")), samples.draw_examples(store, tiny("unet", "train.seed=7"))
    for example, same in zip(one, other, strict=True):
        assert example.title == same.title
        np.testing.assert_array_equal(example.noisy, same.noisy)
    assert [example.title.split(", ")[1] for example in one] == ["0 dB", "5 dB", "10 dB"]
    # The voices never pause for long, so their active level is nearly their mean level.
    assert [samples.snr_db(example.noisy, example.clean) for example in one] == pytest.approx([0, 5, 10], abs=1)


@pytest.mark.parametrize("name", ["fast", "live <1>"])
def test_a_sample_equals_the_output_of_the_exported_model(runs: Path, tmp_path: Path, name: str) -> None:
    from unhiss.infer.denoiser import Denoiser

    export(runs / name / "last.safetensors", tmp_path / "mine.onnx", name="mine", licence=None, summary="")
    noisy, rate = read(runs / name / "samples" / "1.noisy.flac")
    sample, _ = read(runs / name / "samples" / f"{stored_steps(runs / name)[-1]:06d}" / "1.flac")
    denoised = Denoiser(tmp_path / "mine.onnx", threads=1)(noisy, rate)
    assert np.abs(denoised - sample).max() < SAME + 2 * FULL_SCALE_16


@pytest.mark.usefixtures("quick")
def test_samples_after_the_step_that_a_run_resumes_from_are_deleted(store: Store, tiny: Tiny, tmp_path: Path) -> None:
    experiment = tiny("rced")
    model = build_network(experiment).eval()
    kept = Samples(tmp_path, store, experiment, 0)
    for step in (3, 6):
        kept.add(model, step)
    Samples(tmp_path, store, experiment, 3)
    assert stored_steps(tmp_path) == [3]


@pytest.mark.usefixtures("quick")
def test_of_many_samples_every_second_is_deleted_and_the_latest_stays(
    store: Store, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Samples(tmp_path, store, tiny("rced"), 0)
    monkeypatch.setattr(kept, "_write", lambda *_: None)
    for step in range(1, 60):
        kept.add(torch.nn.Identity(), step)
        stored = stored_steps(tmp_path)
        assert stored[0] == 1 and stored[-1] == step and len(stored) <= samples.MAX_STEPS
    assert len(stored) >= samples.MAX_STEPS // 2


class Board:
    """Stands in for a TensorBoard writer."""

    def __init__(self) -> None:
        self.audio: list[tuple[str, tuple[int, ...], int]] = []
        self.images: list[tuple[str, tuple[int, ...], int]] = []

    def add_audio(self, tag: str, audio: np.ndarray, step: int, sample_rate: int) -> None:
        assert sample_rate == 22050
        self.audio.append((tag, audio.shape, step))

    def add_image(self, tag: str, pixels: np.ndarray, step: int, dataformats: str) -> None:
        assert dataformats == "HWC" and pixels.dtype == np.uint8
        self.images.append((tag, pixels.shape, step))


def test_tensorboard_gets_the_sounds_and_one_picture(store: Store, tiny: Tiny, tmp_path: Path) -> None:
    board, experiment = Board(), tiny("rced")
    kept = Samples(tmp_path, store, experiment, 0)
    kept.add(build_network(experiment).eval(), 4, board)
    assert [(tag, step) for tag, _, step in board.audio] == [(f"sample {number}", 4) for number in (1, 2, 3)]
    assert [shape for _, shape, _ in board.audio] == [(1, example.noisy.size) for example in kept.examples]
    assert board.images == [("samples", (630, 1200, 3), 4)]


@pytest.mark.parametrize("name", ["fast", "live <1>"])
def test_the_page_of_a_run_links_only_existing_files(runs: Path, name: str) -> None:
    page = PageLinks(runs / name / "index.html")
    links = [link.partition("?")[0] for link in page.links]
    assert not page.open
    assert "curves.png" in links and sum(link.endswith(".flac") for link in links) == 9
    assert all((runs / name / link).is_file() for link in links), links


def test_the_page_reloads_itself_until_the_run_is_done(store: Store, tiny: Tiny, tmp_path: Path) -> None:
    pages = []
    run = Run(tiny("rced"), store, tmp_path, CPU)
    for progress in train(run):
        if progress.metrics:
            pages.append((tmp_path / "index.html").read_text())
    assert ["live = true" in page for page in pages] == [True, False]
    assert "Step 3 of 6, epoch 1/2" in pages[0] and "to go" in pages[0]
    assert "Step 6 of 6, epoch 2/2" in pages[1] and "to go" not in pages[1]


@pytest.mark.usefixtures("quick")
def test_samples_are_made_every_so_many_epochs_and_at_the_end(store: Store, tiny: Tiny, tmp_path: Path) -> None:
    trained(tiny("rced", "train.epochs=3", "train.samples_every_epochs=2"), store, tmp_path / "run")
    assert stored_steps(tmp_path / "run") == [6, 9]
    trained(tiny("rced", "train.epochs=1"), store, tmp_path / "none")
    assert not (tmp_path / "none" / "samples").exists()


def test_runs_are_compared_on_one_page(runs: Path) -> None:
    done = CliRunner().invoke(command, [str(runs)])
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert [line.split(": ")[0] for line in lines] == ["fast", "live <1>", "slow", "page"]
    page, text = PageLinks(runs / "index.html"), (runs / "index.html").read_text(encoding="utf-8")
    assert not page.open
    inside = [link for link in page.links if not link.startswith("data:")]
    assert all((runs / link).is_file() for link in inside), inside
    assert {"fast/index.html", "slow/index.html", "live <1>/index.html"} <= set(inside)
    settings = re.findall(r'<tr><th scope="row">([\w.]+(?: set \(SHA-256\))?)</th>', text)
    assert {"train.lr", "model.kind"} <= set(settings) and "train.batch_size" not in settings
    # The two runs on one data set share each example's row: noisy, two cleaned, clean; the third has its own.
    assert [row.count("<audio") for row in text.split('class="example"')[1:]] == [4, 4, 4, 3, 3, 3]


def show(browser: Chromium, page: Path) -> None:
    browser.call("Emulation.setDeviceMetricsOverride", width=1280, height=900, deviceScaleFactor=1, mobile=False)
    browser.call("Page.navigate", url=page.as_uri())
    browser.wait_for(f"location.href === {page.as_uri()!r} && document.readyState === 'complete'")


def test_a_run_that_is_killed_promises_no_end_for_long(
    store: Store, tiny: Tiny, tmp_path: Path, browser: Chromium
) -> None:
    """What kills a process lets it write no word, so the page itself knows until when the next epoch was due."""
    progress = train(Run(tiny("rced"), store, tmp_path, CPU))
    assert any(now.metrics for now in progress)
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    progress.close()  # type: ignore[attr-defined]
    due = int(re.findall(r'data-late="(\d+)"', text)[0])
    assert 120 <= due - time.time() <= 180
    for name, when, says in (("early", due, "to go"), ("late", time.time() - 1, "it may have ended")):
        (tmp_path / f"{name}.html").write_text(text.replace(str(due), f"{when:.0f}"), encoding="utf-8")
        show(browser, tmp_path / f"{name}.html")
        assert says in browser.evaluate("document.querySelector('p').innerText")


def test_the_tables_of_ten_runs_are_not_cut_at_1280_pixels(runs: Path, tmp_path: Path, browser: Chromium) -> None:
    for number in range(10):
        name = f"the_training_of_the_{number}th_with_more_noise"  # a browser breaks no line at an underscore
        shutil.copytree(runs / ("fast", "slow")[number % 2], tmp_path / "ten" / name)
    assert CliRunner().invoke(command, [str(tmp_path / "ten")]).exit_code == 0
    show(browser, tmp_path / "ten" / "index.html")
    measured = browser.evaluate(
        "[...document.querySelectorAll('.wide')].map(part => [part.scrollWidth, part.clientWidth])"
    )
    assert measured and all(content <= shown for content, shown in measured), measured
    assert browser.evaluate("document.querySelectorAll('table').length") == 2


def test_a_run_without_its_last_checkpoint_is_still_compared(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "fast", tmp_path / "tidied")
    (tmp_path / "tidied" / "last.safetensors").unlink()
    (tidied,), (whole,) = find_runs([tmp_path / "tidied"]), find_runs([runs / "fast"])
    assert tidied.settings == whole.settings


def test_runs_can_be_named_one_by_one(runs: Path, tmp_path: Path) -> None:
    words = [str(runs / "fast"), str(runs / "slow"), "-o", str(tmp_path / "two.html")]
    assert CliRunner().invoke(command, words).exit_code == 0
    links = [link for link in PageLinks(tmp_path / "two.html").links if not link.startswith("data:")]
    assert all((tmp_path / link).is_file() for link in links)
    refused = CliRunner().invoke(command, [str(runs / "fast")]).exception
    assert isinstance(refused, ConfigError) and "give it a path: -o compare.html" in str(refused)


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    refused = CliRunner().invoke(command, [str(tmp_path)]).exception
    assert isinstance(refused, DataError) and "expected metrics.jsonl" in str(refused)
    (tmp_path / "young").mkdir()
    (tmp_path / "young" / "metrics.jsonl").touch()
    refused = CliRunner().invoke(command, [str(tmp_path)]).exception
    assert isinstance(refused, DataError) and "reached its first validation" in str(refused)


def test_hours_count_training_alone() -> None:
    from unhiss.train.curves import training_hours

    rows = [{"frames": 3600.0, "samples_per_second": 1.0}, {"frames": 7200.0, "samples_per_second": 2.0}]
    assert training_hours(rows) == [1.0, 1.5]


def test_samples_every_epochs_may_change_when_a_run_resumes(store: Store, tiny: Tiny, tmp_path: Path) -> None:
    experiment = tiny("rced", "train.epochs=1")
    trained(experiment, store, tmp_path / "run")
    often = dataclasses.replace(experiment.train, samples_every_epochs=5)
    Run(dataclasses.replace(experiment, train=often), store, tmp_path / "run", CPU).resume()
