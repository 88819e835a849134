"""What is wrong with an upload, or was chosen for the client, is said in a header of the response."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from serving import RunningServer, request

RATE = 48000


def two_tracks(path: Path) -> bytes:
    """An MKV with two audio tracks of silence, written by FFmpeg."""
    with av.open(str(path), "w") as out:
        tracks = [out.add_stream("pcm_s16le", rate=RATE, layout="mono") for _ in range(2)]
        for track in tracks:
            frame = av.AudioFrame.from_ndarray(np.zeros((1, RATE // 2), np.int16), "s16", "mono")
            frame.sample_rate = RATE
            out.mux(track.encode(frame))
    return path.read_bytes()


@pytest.mark.parametrize("format", ["wav", "flac"])
def test_a_response_says_which_of_several_tracks_was_taken(format: str, server: RunningServer, tmp_path: Path) -> None:
    data, query = two_tracks(tmp_path / "a.mkv"), f"/v1/denoise?format={format}"
    status, answer, _ = request(server, "POST", query, data)
    assert status == 200 and "audio track 1 of 2 is taken; track=N takes another" in answer["x-warning"]
    chosen = request(server, "POST", f"{query}&track=1", data)[1]
    assert "is taken" not in chosen.get("x-warning", "")
