"""Fixed validation mixtures, denoised during training, to be heard and seen: RUN/samples/."""

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
from unhiss.train import stft

SNRS_DB = (0.0, 5.0, 10.0)
LEVEL_DBFS = -26.0
CLIPS = 16  # drawn for each SNR; the one nearest to LENGTH_S, of a kind of noise not yet taken, becomes the example
LENGTH_S = 4.0
MAX_STEPS = 16  # steps whose samples are kept; of more, every second is deleted
RANGE_DB = 80.0
IMAGE_COLUMNS = 480  # about


@dataclass(frozen=True)
class Example:
    """One mixture: float32 `(T,)` each, and a title for people."""

    title: str
    noisy: np.ndarray
    clean: np.ndarray


class Samples:
    """The examples of a run and its model's output at some steps, as FLAC and PNG.

    samples/1.noisy.flac, 1.clean.flac and their .png; samples/000500/1.flac, 1.png: denoised at step 500;
    sheet.png: all of the latest in one picture. Steps after the one that the run resumes from are deleted.
    """

    def __init__(self, folder: Path, store: Store, experiment: Experiment, step: int) -> None:
        self.folder, self.rate, self.experiment = folder / "samples", store.rate, experiment
        self.examples = draw_examples(store, experiment)
        for later in stored_steps(folder):
            if later > step:
                shutil.rmtree(self.folder / f"{later:06d}")
        self.folder.mkdir(parents=True, exist_ok=True)
        for number, example in enumerate(self.examples, 1):
            for name in ("noisy", "clean"):
                self._write(f"{number}.{name}", getattr(example, name), example)
        titles = json.dumps([example.title for example in self.examples], ensure_ascii=False)
        (self.folder / "titles.json").write_text(titles + "\n", encoding="utf-8")

    def add(self, model: nn.Module, step: int, board: Any = None) -> None:
        """Denoise the examples with `model`, in evaluation mode. board: a TensorBoard writer that gets them too."""
        (self.folder / f"{step:06d}").mkdir(exist_ok=True)
        denoised = [denoise(model, example.noisy, self.experiment) for example in self.examples]
        for number, (example, audio) in enumerate(zip(self.examples, denoised, strict=True), 1):
            self._write(f"{step:06d}/{number}", audio, example)
            if board:
                board.add_audio(f"sample {number}", audio[None], step, sample_rate=self.rate)
        pixels = draw_sheet(self.examples, denoised, self.rate, self.folder / "sheet.png")
        if board:
            board.add_image("samples", pixels, step, dataformats="HWC")
        stored = stored_steps(self.folder.parent)
        for old in stored[1:-1:2] if len(stored) > MAX_STEPS else []:
            shutil.rmtree(self.folder / f"{old:06d}")

    def _write(self, name: str, audio: np.ndarray, example: Example) -> None:
        from matplotlib import colormaps
        from matplotlib.image import imsave

        write(self.folder / f"{name}.flac", audio, self.rate, "PCM_16")
        with atomic_write(self.folder / f"{name}.png") as draft:
            imsave(draft, colormaps["magma"](spectrogram(audio, example.noisy)), format="png")


def stored_steps(folder: Path) -> list[int]:
    """The steps of which a run's folder has samples, ascending."""
    return sorted(int(path.name) for path in folder.glob("samples/*") if path.name.isdigit())


def draw_examples(store: Store, experiment: Experiment) -> list[Example]:
    """One validation mixture for each of SNRS_DB, the same in every run on this data set, whatever its seed."""
    level = (LEVEL_DBFS, LEVEL_DBFS)
    plain = dataclasses.replace(experiment.mixing, level_dbfs=level, two_noises=0, noise_only=0, speech_only=0)
    mixer, rng = Mixer(store, "valid", plain), np.random.default_rng(0)
    kinds: list[str] = []
    examples: list[Example] = []
    for snr_db in SNRS_DB:
        drawn = [(mixer.noise[each.noises[0]].kind, each) for each in mixer.draw(rng, CLIPS, None, (snr_db, snr_db))]
        kind, recipe = min(drawn, key=lambda pair: (pair[0] in kinds, abs(pair[1].length - LENGTH_S * store.rate)))
        noisy, clean = mix(recipe, store, "valid")
        gain = np.float32(min(1, 0.99 / max(np.abs(noisy).max(), np.abs(clean).max())))
        examples.append(Example(f"{kind.replace('_', ' ')}, {snr_db:g} dB", noisy * gain, clean * gain))
        kinds.append(kind)
    return examples


@torch.no_grad()
def denoise(model: nn.Module, audio: np.ndarray, experiment: Experiment) -> np.ndarray:
    """float32 `(T,)` at the experiment's rate -> the model's output, of the same shape; without a limit."""
    device = next(model.parameters()).device
    if experiment.model.kind != "causal":

        def predict(scaled: np.ndarray) -> np.ndarray:
            frames = torch.from_numpy(scaled[:, None]).to(device)
            change_db: np.ndarray = ((model(frames) - frames)[:, 0] * RANGE_DB).cpu().numpy()
            return change_db

        engine, blocks = FrameProcessor(predict, experiment.frames.scaling), [audio[None]]
        return np.concatenate(list(engine.denoise(blocks, engine.reference(blocks, 1), np.inf)), 1)[0, : audio.size]
    hop = round(experiment.sample_rate * stft.HOP_S)
    padded = torch.from_numpy(np.pad(audio, (0, -audio.size % hop)))[None].to(device)
    spectrum = model(stft.analyse(padded, experiment.sample_rate))[0]
    denoised: np.ndarray = stft.synthesise(spectrum, experiment.sample_rate)[0, : audio.size].cpu().numpy()
    return denoised


def spectrogram(audio: np.ndarray, noisy: np.ndarray) -> np.ndarray:
    """`(257, N)` in [0, 1], high frequencies first: 1 is the loudest bin of the noisy one, 0 is 80 dB below."""
    size, hop = 512, max(64, audio.size // IMAGE_COLUMNS)
    level, noisy_level = (np.abs(analyse(np.pad(sound, (size // 2, size)), size, hop)) for sound in (audio, noisy))
    level_db = 20 * np.log10(np.maximum(level, 1e-9) / max(float(noisy_level.max()), 1e-9))
    image: np.ndarray = np.clip(level_db / RANGE_DB + 1, 0, 1)[::-1]
    return image


def draw_sheet(examples: list[Example], denoised: list[np.ndarray], rate: int, path: Path) -> np.ndarray:
    """Write one PNG: an example a row, noisy, denoised and clean beside each other. Returns pixels `(H, W, 3)`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 2.1 * len(examples)), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    rows = figure.subplots(len(examples), 3, squeeze=False, sharey=True)
    for row, example, output in zip(rows, examples, denoised, strict=True):
        sounds = {"noisy": example.noisy, "denoised": output, "clean": example.clean}
        for axes, (name, audio) in zip(row, sounds.items(), strict=True):
            extent = (0, audio.size / rate, 0, rate / 2000)
            axes.imshow(spectrogram(audio, example.noisy), "magma", aspect="auto", extent=extent, vmin=0, vmax=1)
            title = name if audio is example.clean else f"{name}: SNR {snr_db(audio, example.clean):.1f} dB"
            axes.set_title(title, fontsize=9)
            axes.tick_params(labelsize=8)
            axes.label_outer()  # fewer labels to draw
        row[0].set_ylabel(f"{example.title}\nkHz", fontsize=9)
    with atomic_write(path) as draft:
        canvas.print_png(str(draft))  # type: ignore[no-untyped-call]
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()  # type: ignore[no-untyped-call]


def snr_db(audio: np.ndarray, clean: np.ndarray) -> float:
    """Signal-to-noise ratio in dB."""
    return float(10 * np.log10((np.sum(clean**2) + 1e-12) / (np.sum((audio - clean) ** 2) + 1e-12)))
