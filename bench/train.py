"""Training speed: the U-Net's frames/s against a plain PyTorch loop, and the causal models' seconds of sound a second.

Run on an idle machine: python bench/train.py [--rounds 5] [--frames 256] [--no-save]
The plain loop trains the reference as a competent user would write it: NCHW float32, precomputed frames in a
DataLoader, Adam, mean squared error, batch 64. The figures of unhiss include all of a run except validation and
checkpoints: dynamic mixtures, frames, loss, averaged weights. Each loop has a process of its own (unhiss changes
malloc's settings, which would also speed up the plain loop), and they take turns.
On a GPU the table also shows the arithmetic relative to the rate of a large bf16 matrix product.
The causal models train at 48 kHz with all that their configs mix, each alone on the machine, after the others.
"""

from __future__ import annotations

import argparse
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from multiprocessing.connection import Connection
from pathlib import Path

import machine
import torch
from torch import nn

ROOT = Path(__file__).parent.parent
LOOPS = {
    "plain": "plain eager float32 loop, batch 64",
    "unet-reference": "unhiss train configs/unet-reference.toml, batch 64",
    "unet": "unhiss train configs/unet.toml, batch 32",
}
SEGMENT_S = 4  # of an example of a causal model
CAUSAL = ("small", "small-long", "nano-long")  # the first is mixed without `vary`
# Clips are few here. Simulated rooms: fewer than in a real run, since only the start takes longer with more.
FEW = ("vary.speaker_share=1", "vary.rooms=16", "augment.reverb=0.1", f"causal.segment_s={SEGMENT_S}")
CAUSAL_CHANGES = {"cpu": FEW, "cuda": (*FEW, "train.batch_size=128", "train.micro_batches=1")}
GOAL = {"cpu": "≥ 1.5 × plain", "cuda": "≥ 10,000 samples/s"}
GFLOP = 5.0  # per frame, forward and backward: three times 0.83 billion multiply-adds
FRAMES = {"cpu": 256, "cuda": 64 * 200}  # per turn
EXAMPLES = {"cpu": 96, "cuda": 128 * 60}  # per turn of a causal model


class PlainUNet(nn.Module):
    """The reference's network, from its description."""

    def __init__(self) -> None:
        super().__init__()
        c = (1, 16, 32, 64, 128, 256)
        self.down = nn.ModuleList(self.pair(c[i], c[i + 1]) for i in range(5))
        self.pool, self.drop, self.act = nn.MaxPool2d(2), nn.Dropout(0.5), nn.LeakyReLU(0.3)
        self.widen = nn.ModuleList(
            nn.Sequential(
                nn.Upsample(scale_factor=2), nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(c[i + 1], c[i], 2), nn.LeakyReLU(0.3)
            )
            for i in range(4, 0, -1)
        )
        self.up = nn.ModuleList(self.pair(2 * c[i], c[i]) for i in range(4, 0, -1))
        self.head = nn.Sequential(nn.Conv2d(16, 2, 3, padding=1), nn.LeakyReLU(0.3), nn.Conv2d(2, 1, 1))

    @staticmethod
    def pair(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1), nn.LeakyReLU(0.3),
            nn.Conv2d(outputs, outputs, 3, padding=1), nn.LeakyReLU(0.3),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skips = []
        for level, pair in enumerate(self.down):
            x = pair(x if level == 0 else self.pool(x))
            if level >= 3:
                x = self.drop(x)
            skips.append(x)
        for widen, pair, skip in zip(self.widen, self.up, skips[-2::-1], strict=True):
            x = pair(torch.cat([widen(x), skip], dim=1))
        return self.head(x)


def plain_loop(folder: str, device: torch.device) -> Callable[[int], None]:
    from torch.utils.data import DataLoader, TensorDataset

    from unhiss.config import load
    from unhiss.data.store import Store
    from unhiss.train.frame_batches import FrameBatches

    batches = FrameBatches(Store(folder), "train", load(ROOT / "configs/unet-reference.toml"), torch.device("cpu"))
    precomputed = [batches.batch(0, number, 64) for number in range(8)]
    frames, target = (torch.cat([getattr(b, name) for b in precomputed]) for name in ("frames", "target"))
    loader = DataLoader(TensorDataset(frames, target), batch_size=64, shuffle=True)
    model = PlainUNet().to(device)
    assert sum(parameter.numel() for parameter in model.parameters()) == 1_941_093
    optimiser, loss_of = torch.optim.Adam(model.parameters(), lr=1e-3), nn.MSELoss()

    def run_frames(count: int) -> None:
        done = 0
        while done < count:
            for noisy, clean in loader:
                optimiser.zero_grad()
                loss_of(model(noisy.to(device)), clean.to(device)).backward()
                optimiser.step()
                done += len(noisy)
                if done >= count:
                    break

    return run_frames


def unhiss_loop(config: str, folder: str, device: torch.device, *changes: str) -> Callable[[int], None]:
    from unhiss.config import load
    from unhiss.data.store import Store
    from unhiss.train.device import keep_memory
    from unhiss.train.loop import Run

    keep_memory()
    changes = ("train.examples=1000000", "train.valid_examples=1", *changes)
    experiment = load(ROOT / f"configs/{config}.toml", changes)
    torch.set_flush_denormal(experiment.vary.on)  # as in a run
    run = Run(experiment, Store(folder), Path(folder), device)

    def run_frames(count: int) -> None:
        until = run.step + -(-count // experiment.train.batch_size)
        for batches in run.batches.epoch(0, run.step):
            run.train_step(*batches)
            if run.step == until:
                return

    return run_frames


def work(name: str, folder: str, device: str, pipe: Connection) -> None:
    """Set up a loop, then answer each number of frames with the seconds they took; None ends it."""
    torch_device = torch.device(device)
    changes = CAUSAL_CHANGES[device] if name in CAUSAL else ()
    plain = name == "plain"
    loop = plain_loop(folder, torch_device) if plain else unhiss_loop(name, folder, torch_device, *changes)
    while (count := pipe.recv()) is not None:
        start = time.perf_counter()
        loop(count)
        if device == "cuda":
            torch.cuda.synchronize()
        pipe.send(time.perf_counter() - start)


def make_data(folder: Path, *options: str) -> str:
    """A data set of pieces of the sample recording and synthetic noise; the speed does not depend on the content."""
    import soundfile

    audio, rate = soundfile.read(ROOT / "examples" / "clean.wav")
    for number in range(6):
        voice = folder / "voices" / str(number) / "a.wav"
        voice.parent.mkdir(parents=True)
        soundfile.write(voice, audio[number * len(audio) // 6 : (number + 1) * len(audio) // 6], rate)
    sources = ["--speech", f"folder:{folder / 'voices'}", "--noise", "synth:wind=20,hum=20", "--valid-share", "0.3"]
    target = str(folder / "dataset")
    words = [sys.executable, "-m", "unhiss", "prepare", *sources, "-o", target, *options]
    subprocess.run(words, check=True, capture_output=True)
    return target


def measure(names: Iterable[str], folder: str, device: str, rounds: int, frames: int) -> dict[str, list[float]]:
    """Frames or examples a second of each loop in each round, the loops in turn."""
    context = multiprocessing.get_context("spawn")
    pipes = {}
    for name in names:
        pipes[name], theirs = context.Pipe()
        context.Process(target=work, args=(name, folder, device, theirs), daemon=True).start()
    rates: dict[str, list[float]] = {name: [] for name in pipes}
    for turn in range(rounds + 1):
        for name, pipe in pipes.items():
            count = frames if turn else min(frames, 128)  # the first only warms up
            pipe.send(count)
            seconds = pipe.recv()
            if turn:
                rates[name].append(count / seconds)
                print(f"round {turn} {name}: {count / seconds:,.1f}", file=sys.stderr)
    for pipe in pipes.values():
        pipe.send(None)
    return rates


def matmul_tflops() -> float:
    """The rate of a large bf16 matrix product in TFLOP/s: the practical limit of this GPU."""
    size = 8192
    a, b = (torch.randn(size, size, device="cuda", dtype=torch.bfloat16) for _ in range(2))

    def multiply() -> None:
        for _ in range(20):
            a @ b
        torch.cuda.synchronize()

    return 20 * 2 * size**3 / min(machine.seconds(multiply, 5)) / 1e12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, help="per turn; default 256, on a GPU 12,800")
    parser.add_argument("--no-save", action="store_true")
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    described = machine.describe("torch") | {"threads": torch.get_num_threads()}
    with tempfile.TemporaryDirectory() as narrow, tempfile.TemporaryDirectory() as folder:
        rates = measure(LOOPS, make_data(Path(narrow)), device, options.rounds, options.frames or FRAMES[device])
        wide = make_data(Path(folder), "--sample-rate", "48000", "--keep-silence")
        causal = {}
        for name in CAUSAL:
            examples = measure([name], wide, device, options.rounds, EXAMPLES[device])[name]
            causal[name] = machine.spread([rate * SEGMENT_S for rate in examples])
    results: dict[str, object] = {"device": device, "goal": GOAL[device]}
    spreads = {name: machine.spread(values) for name, values in rates.items()}
    limit = 0.0
    if device == "cuda":
        described["gpu"] = torch.cuda.get_device_name()
        limit = results["matmul_tflops"] = matmul_tflops()
    plain, rows = spreads["plain"]["median"], []
    for name, spread in spreads.items():
        ratio = spread["median"] / plain
        row = [LOOPS[name], *(f"{spread[key]:,.1f}" for key in ("median", "min", "max")), f"{ratio:.2f}"]
        results[name] = spread | {"ratio": ratio}
        rows.append([*row, f"{spread['median'] * GFLOP / 1000 / limit:.1%}"] if limit else row)
    head = ["loop", "samples/s", "min", "max", "× plain", *(["of a matrix product"] if limit else [])]
    print(machine.table(head, rows))
    print(f"\n{device}, goal {GOAL[device]}\n")
    results["causal_s_per_s"] = causal
    rows = [[name, *(f"{spread[key]:,.1f}" for key in ("median", "min", "max"))] for name, spread in causal.items()]
    print(machine.table(["causal model", "s of sound a second", "min", "max"], rows))
    if not options.no_save:
        machine.save("train", described, results)


if __name__ == "__main__":
    main()
