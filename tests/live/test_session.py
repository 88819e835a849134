"""A live session with simulated devices: its output, its recordings, and devices that fail."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import unhiss
from unhiss.errors import AudioError, MissingExtra
from unhiss.infer.stream import Stream
from unhiss.live import backends, portaudio
from unhiss.live.devices import SINK, SOURCE, Device, DeviceLost, Side, check_no_feedback, select_device
from unhiss.live.recorder import Recorder
from unhiss.live.session import LiveSession

BLOCK = 480
STEP = 2.0**-22
MIC, SPEAKER = Device(0, "in", "mic", "USB mic", True, True), Device(1, "out", "speaker", "Speaker", True, True)


class Devices:
    """A microphone that delivers `audio` and is lost at some blocks, and a speaker that stores what it plays."""

    def __init__(self, audio: np.ndarray, lost_at: tuple[int, ...] = (), full_at: tuple[int, ...] = ()) -> None:
        self.blocks = np.split(audio, audio.shape[1] // BLOCK, axis=1)
        self.lost_at, self.full_at = lost_at, full_at
        self.position, self.closed, self.available = 0, 0, True
        self.played: list[np.ndarray] = []
        self.finished = threading.Event()
        self.latency_s = 0.01

    def list_devices(self) -> list[Device]:
        available, self.available = self.available, True  # a lost device is missing once, then available again
        return [MIC, SPEAKER] if available else [SPEAKER]

    def open_device(self, *_: object) -> Devices:
        return self

    def read(self, size: int) -> np.ndarray:
        assert size == BLOCK
        if self.position == len(self.blocks):
            self.finished.set()
            threading.Event().wait(0.01)
            return np.zeros((1, size), np.float32)
        if self.position in self.lost_at:
            self.lost_at = self.lost_at[1:]
            self.available = False
            raise DeviceLost("unplugged")
        self.position += 1
        return self.blocks[self.position - 1]

    def write(self, block: np.ndarray) -> bool:
        if len(self.played) in self.full_at:
            self.full_at = self.full_at[1:]
            return False
        self.played.append(block)
        return True

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def stream(causal_model: Callable[..., Path]) -> Stream:
    return Stream(48000, model=causal_model("leveller"))


def run(
    devices: Devices, stream: Stream, monkeypatch: pytest.MonkeyPatch, recorder: Recorder | None = None
) -> tuple[LiveSession, list[str]]:
    monkeypatch.setattr("unhiss.live.session.list_devices", devices.list_devices)
    monkeypatch.setattr("unhiss.live.session.open_device", devices.open_device)
    monkeypatch.setattr("unhiss.live.session.exists", lambda device: True)
    monkeypatch.setattr("unhiss.live.session.RETRY_S", 0.01)
    lines: list[str] = []
    with LiveSession(stream, "mic", "speaker", notify=lines.append, recorder=recorder) as session:
        assert devices.finished.wait(60), session.error
    return session, lines


def test_played_and_recorded_audio_equals_the_offline_result_though_the_device_was_lost(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator, tmp_path: Path
) -> None:
    audio, model = rng.uniform(-0.9, 0.9, (1, 100 * BLOCK)).astype(np.float32), stream.model._session.path
    devices, recorder = Devices(audio, lost_at=(30, 31)), Recorder(tmp_path / "both.wav", stream)
    session, lines = run(devices, stream, monkeypatch, recorder=recorder)
    recorder.close()
    assert [line.split(" (")[0] for line in lines] == [
        "USB mic -> Speaker, total latency 52 ms", "device lost", "USB mic -> Speaker, total latency 52 ms",
        "device lost", "USB mic -> Speaker, total latency 52 ms",
    ]  # fmt: skip
    assert session.status.dropped == 0 and devices.closed == 6 and not session.running
    noisy, clean = (unhiss.read(path)[0] for path in recorder.paths)
    np.testing.assert_allclose(noisy[: audio.size], audio[0], atol=STEP)
    assert noisy.shape == clean.shape
    expected = unhiss.denoise(noisy, 48000, model=model)
    np.testing.assert_allclose(clean, expected, atol=1e-5 + STEP)
    twin = Stream(48000, model=model)
    pushed = [twin.push(block) for block in devices.blocks]
    played, pushed = (
        [block for block in side if block.any()] for side in (devices.played, pushed)
    )  # without the silent start
    np.testing.assert_array_equal(np.concatenate(played[: len(pushed)], axis=1), np.concatenate(pushed, axis=1))


def test_a_full_speaker_drops_a_block_and_does_not_block(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    devices = Devices(rng.uniform(-1, 1, (1, 50 * BLOCK)).astype(np.float32), full_at=(10, 20))
    session, _ = run(devices, stream, monkeypatch)
    assert session.status.dropped == 2


def test_samples_that_are_no_numbers_are_replaced(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    audio = np.full((1, 20 * BLOCK), 0.1, np.float32)
    audio[0, 3000:3100] = np.nan
    audio[0, 3200] = np.inf
    devices = Devices(audio)
    session, _ = run(devices, stream, monkeypatch)
    assert session.error is None and all(np.isfinite(block).all() for block in devices.played)


def test_recordings_are_not_overwritten(stream: Stream, tmp_path: Path) -> None:
    (tmp_path / "a.clean.wav").write_text("mine")
    with pytest.raises(AudioError, match=r"a\.clean\.wav exists; force=True overwrites it"):
        Recorder(tmp_path / "a", stream)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.clean.wav"]


def example_devices() -> list[Device]:
    rows: list[tuple[Side, str, str]] = [
        ("in", "mon", "Monitor"), ("in", SOURCE, "Unhiss microphone"), ("in", "usb", "USB mic"),
        ("out", "hd", "HDMI"), ("out", SINK, "Unhiss output"), ("out", "usb", "USB headset"),
    ]  # fmt: skip
    return [Device(number, *row, row[1] in (SOURCE, "hd"), True) for number, row in enumerate(rows)]


def test_a_device_is_selected_by_number_name_or_part_of_it() -> None:
    for query, side, name in (
        ("2", "in", "usb"),
        ("usb", "out", "usb"),
        ("hdmi", "out", "hd"),
        ("Monitor", "in", "mon"),
    ):
        assert select_device(query, side, example_devices()).name == name  # type: ignore[arg-type]
    assert select_device(None, "out", example_devices()).name == SINK  # the virtual microphone, if installed
    assert select_device(None, "in", example_devices()).name != SOURCE  # although it is the default
    with pytest.raises(AudioError, match="did you mean 'USB headset'"):
        select_device("USB heatset", "out", example_devices())
    with pytest.raises(AudioError, match="target = '99': no such speaker or virtual microphone"):
        select_device("99", "out", example_devices())
    with pytest.raises(AudioError, match="no microphone here; plug one in"):
        select_device(None, "in", [SPEAKER])


def test_a_feedback_loop_is_refused() -> None:
    by_name = {(device.side, device.name): device for device in example_devices()}
    with pytest.raises(AudioError, match="records what Unhiss output plays: feedback"):
        check_no_feedback(by_name["in", SOURCE], by_name["out", SINK])
    check_no_feedback(by_name["in", "usb"], by_name["out", "usb"])


def test_a_missing_package_or_library_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unhiss.live.pulse.is_available", lambda: False)
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MissingExtra, match=r"pip install 'unhiss\[live\]'"):
        backends.list_devices()

    def no_library(*_: str) -> None:
        raise OSError("PortAudio library not found")

    monkeypatch.setattr(portaudio, "need", no_library)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(MissingExtra, match=r"PortAudio, .* is not installed; run: apt-get install libportaudio2"):
        backends.list_devices()
