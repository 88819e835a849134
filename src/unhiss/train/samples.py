"""A few fixed mixtures, cleaned as training goes on, to be heard and seen: RUN/samples/."""

from __future__ import annotations

import dataclasses
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from unhiss.atomic import atomic_write
from unhiss.config import Experiment
from unhiss.data.mixing import Mixer, mix
from unhiss.data.store import Store
from unhiss.dsp.stft import analyse
from unhiss.infer.frame_model import FrameProcessor
from unhiss.media.writer import write
from unhiss.train import grid

SNRS_DB = (0.0, 5.0, 10.0)
LEVEL_DBFS = -26.0
LONG_S = 4.0  # of the clips drawn, the one nearest to this, and of a noise not yet heard
CLIPS = 16  # drawn for each
KEPT = 16  # steps whose sounds stay; of more, every second goes
RANGE_DB = 80.0
WIDE = 480  # columns of a picture, about


@dataclass(frozen=True)
class Example:
    """One mixture: float32 `(T,)` each, and what it is, for people."""

    title: str
    noisy: np.ndarray
    clean: np.ndarray


class Samples:
    """The examples of a run and what its model made of them at some steps, as FLAC and PNG.

    samples/1.noisy.flac, 1.clean.flac and their .png; samples/000500/1.flac, 1.png: cleaned at step 500;
    sheet.png: all of the latest in one picture. Steps past the one that the run resumes from are dropped.
    """

    def __init__(self, folder: Path, store: Store, experiment: Experiment, step: int) -> None:
        self.folder, self.rate, self.experiment = folder / "samples", store.rate, experiment
        self.examples = examples(store, experiment)
        for old in steps(folder):
            if old > step:
                shutil.rmtree(self.folder / f"{old:06d}")
        self.folder.mkdir(parents=True, exist_ok=True)
        for number, example in enumerate(self.examples, 1):
            for name in ("noisy", "clean"):
                self._keep(f"{number}.{name}", getattr(example, name), example)
        titles = json.dumps([example.title for example in self.examples], ensure_ascii=False)
        (self.folder / "titles.json").write_text(titles + "\n", encoding="utf-8")

    def add(self, model: nn.Module, step: int, board: Any = None) -> None:
        """Clean the examples with `model`, in evaluation mode; TensorBoard gets them too where there is one."""
        (self.folder / f"{step:06d}").mkdir(exist_ok=True)
        found = [clean(model, example.noisy, self.experiment) for example in self.examples]
        for number, (example, audio) in enumerate(zip(self.examples, found, strict=True), 1):
            self._keep(f"{step:06d}/{number}", audio, example)
            if board:
                board.add_audio(f"sample {number}", audio[None], step, sample_rate=self.rate)
        pixels = sheet(self.examples, found, self.rate, self.folder / "sheet.png")
        if board:
            board.add_image("samples", pixels, step, dataformats="HWC")
        stored = steps(self.folder.parent)
        for old in stored[1:-1:2] if len(stored) > KEPT else []:
            shutil.rmtree(self.folder / f"{old:06d}")

    def _keep(self, name: str, audio: np.ndarray, example: Example) -> None:
        from matplotlib import colormaps
        from matplotlib.image import imsave

        write(self.folder / f"{name}.flac", audio, self.rate, "PCM_16")
        with atomic_write(self.folder / f"{name}.png") as draft:
            imsave(draft, colormaps["magma"](picture(audio, example.noisy)), format="png")


def steps(folder: Path) -> list[int]:
    """The steps whose sounds lie in a run's folder, ascending."""
    return sorted(int(path.name) for path in folder.glob("samples/*") if path.name.isdigit())


def examples(store: Store, experiment: Experiment) -> list[Example]:
    """One validation mixture for each of SNRS_DB, the same in every run on this data set, whatever its seed."""
    level = (LEVEL_DBFS, LEVEL_DBFS)
    plain = dataclasses.replace(experiment.mixing, level_dbfs=level, two_noises=0, noise_only=0, speech_only=0)
    mixer, rng = Mixer(store, "valid", plain), np.random.default_rng(0)
    kinds: list[str] = []
    found = []
    for snr_db in SNRS_DB:
        named = [(mixer.noise[each.noises[0]].kind, each) for each in mixer.draw(rng, CLIPS, None, (snr_db, snr_db))]
        kind, recipe = min(named, key=lambda pair: (pair[0] in kinds, abs(pair[1].length - LONG_S * store.rate)))
        noisy, wanted = mix(recipe, store, "valid")
        gain = np.float32(min(1, 0.99 / max(np.abs(noisy).max(), np.abs(wanted).max())))
        found.append(Example(f"{kind.replace('_', ' ')}, {snr_db:g} dB", noisy * gain, wanted * gain))
        kinds.append(kind)
    return found


def _processor(model: nn.Module, experiment: Experiment) -> FrameProcessor:
    """The frame processing of `unhiss denoise` with a torch network in place of an ONNX file."""
    device = next(model.parameters()).device

    def predict(scaled: np.ndarray) -> np.ndarray:
        frames = torch.from_numpy(scaled[:, None]).to(device)
        change_db: np.ndarray = ((model(frames) - frames)[:, 0] * RANGE_DB).cpu().numpy()
        return change_db

    return FrameProcessor(predict, experiment.frames.scaling)


@torch.no_grad()
def clean(model: nn.Module, audio: np.ndarray, experiment: Experiment) -> np.ndarray:
    """float32 `(T,)` at the experiment's rate -> the same, as the model would have it; no guard, no limit."""
    if experiment.model.kind != "causal":
        engine, blocks = _processor(model, experiment), [audio[None]]
        return np.concatenate(list(engine.denoise(blocks, engine.reference(blocks, 1), np.inf)), 1)[0, : audio.size]
    hop = round(experiment.sample_rate * grid.HOP_S)
    device = next(model.parameters()).device
    sound = torch.from_numpy(np.pad(audio, (0, -audio.size % hop)))[None].to(device)
    spectrum = model(grid.analyse(sound, experiment.sample_rate))[0]
    found: np.ndarray = grid.synthesise(spectrum, experiment.sample_rate)[0, : audio.size].cpu().numpy()
    return found


def picture(audio: np.ndarray, noisy: np.ndarray) -> np.ndarray:
    """Spectrogram in [0, 1], high frequencies first: 1 is the loudest bin of the noisy one, 0 is 80 dB below."""
    size, hop = 512, max(64, audio.size // WIDE)
    level, loudest = (np.abs(analyse(np.pad(sound, (size // 2, size)), size, hop)) for sound in (audio, noisy))
    level_db = 20 * np.log10(np.maximum(level, 1e-9) / max(float(loudest.max()), 1e-9))
    return np.clip(level_db / RANGE_DB + 1, 0, 1)[::-1]


def sheet(cases: list[Example], cleaned: list[np.ndarray], rate: int, path: Path) -> np.ndarray:
    """One PNG: an example a row, noisy, cleaned and clean beside each other. Returns its pixels `(H, W, 3)`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 2.1 * len(cases)), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    rows = figure.subplots(len(cases), 3, squeeze=False, sharey=True)
    for axes, example, audio in zip(rows, cases, cleaned, strict=True):
        sounds = {"noisy": example.noisy, "cleaned": audio, "clean": example.clean}
        for place, (name, sound) in zip(axes, sounds.items(), strict=True):
            extent = (0, sound.size / rate, 0, rate / 2000)
            place.imshow(picture(sound, example.noisy), "magma", aspect="auto", extent=extent, vmin=0, vmax=1)
            title = name if sound is example.clean else f"{name}: SNR {snr_db(sound, example.clean):.1f} dB"
            place.set_title(title, fontsize=9)
            place.tick_params(labelsize=8)
            place.label_outer()  # fewer labels to draw
        axes[0].set_ylabel(f"{example.title}\nkHz", fontsize=9)
    with atomic_write(path) as draft:
        canvas.print_png(str(draft))
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def snr_db(audio: np.ndarray, wanted: np.ndarray) -> float:
    return float(10 * np.log10((np.sum(wanted**2) + 1e-12) / (np.sum((audio - wanted) ** 2) + 1e-12)))
