"""FFmpeg's own meter, the filter ebur128, as an oracle for loudness and true peak."""

from __future__ import annotations

from fractions import Fraction

import av
import av.filter
import numpy as np

LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1"}


def ffmpeg_loudness(audio: np.ndarray, rate: int) -> tuple[float, float]:
    """Integrated loudness in LUFS, in bins of 0.01, and true peak as a factor, to 0.001, of float32 `(C, T)`."""
    layout = LAYOUTS[len(audio)]
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=rate, format="fltp", layout=layout, time_base=Fraction(1, rate))
    meter, sink = graph.add("ebur128", "peak=true:metadata=1:framelog=quiet"), graph.add("abuffersink")
    source.link_to(meter)
    meter.link_to(sink)
    graph.configure()
    values: dict[str, str] = {}
    for start in range(0, audio.shape[1], rate // 10):
        samples = np.ascontiguousarray(audio[:, start : start + rate // 10], np.float32)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
        frame.sample_rate, frame.pts = rate, start
        graph.push(frame)
        while True:
            try:
                values |= sink.pull().metadata
            except (BlockingIOError, EOFError):
                break
    peaks = [float(value) for name, value in values.items() if name.startswith("lavfi.r128.true_peaks_ch")]
    return float(values["lavfi.r128.I"]), max(peaks)
