"""Records the input and output of a live session to two files, on a thread of its own."""

import queue
import threading
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from unhiss.errors import AudioError
from unhiss.infer.stream import Stream
from unhiss.media.formats import AudioFormat
from unhiss.media.soundfile_writer import SoundfileWriter


class Recorder:
    """Writes BASE.noisy.wav and BASE.clean.wav, 24 bit, of equal length and aligned: the latency is removed.

    Raises AudioError if a file exists (without force) or cannot be created, and from `close` if it could not be
    written. The files appear when `close` returns.
    """

    def __init__(self, base: Path, stream: Stream, *, force: bool = False) -> None:
        base = base.with_suffix("") if base.suffix.lower() == ".wav" else base
        self.paths = [base.with_name(f"{base.name}.{side}.wav") for side in ("noisy", "clean")]
        for path in self.paths:
            if path.exists() and not force:
                raise AudioError(f"{path} exists; force=True overwrites it")
        self._stream, self._to_drop = stream, stream.latency.samples
        self._files = ExitStack()
        like = AudioFormat(stream.rate, stream.channels, 0)
        self._writers = [self._files.enter_context(SoundfileWriter(path, like, "PCM_24")) for path in self.paths]
        self._blocks: queue.SimpleQueue[tuple[np.ndarray, np.ndarray] | None] = queue.SimpleQueue()
        self._error: AudioError | None = None
        self._thread = threading.Thread(target=self._write, name="unhiss recorder", daemon=True)
        self._thread.start()

    def put(self, noisy: np.ndarray, clean: np.ndarray) -> None:
        """Queue blocks `(C, T)`, which must not be written to afterwards. Never blocks."""
        self._blocks.put((noisy, clean))

    def close(self) -> None:
        """Flush the stream, write the rest, and move both files into place."""
        rest = self._stream.flush().reshape(self._stream.channels, -1)
        self._blocks.put((rest[:, :0], rest))
        self._blocks.put(None)
        self._thread.join()
        if self._error:
            raise self._error

    def _write(self) -> None:
        try:
            with self._files:
                while (pair := self._blocks.get()) is not None:
                    noisy, clean = pair
                    cut = min(self._to_drop, clean.shape[1])
                    self._to_drop -= cut
                    self._writers[0].write(noisy)
                    self._writers[1].write(clean[:, cut:])
        except AudioError as error:
            self._error = error
