"""A session with devices made of arrays: what comes out, what is recorded, and what a device may do."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import unhiss
from unhiss.errors import AudioError, MissingExtra
from unhiss.infer.stream import Stream
from unhiss.live import portaudio, systems
from unhiss.live.devices import SINK, SOURCE, Device, Gone, check_no_howl, find
from unhiss.live.recorder import Recorder
from unhiss.live.session import Session

BLOCK = 480
STEP = 2.0**-22
MIC, SPEAKER = Device(0, "in", "mic", "USB mic", True, True), Device(1, "out", "speaker", "Speaker", True, True)


class Room:
    """A microphone that hears `sound`, goes away now and then, and a speaker that keeps what it plays."""

    def __init__(self, sound: np.ndarray, leaves_at: tuple[int, ...] = (), full_at: tuple[int, ...] = ()) -> None:
        self.blocks, self.leaves_at, self.full_at = np.split(sound, sound.shape[1] // BLOCK, axis=1), leaves_at, full_at
        self.at, self.played, self.over, self.there, self.closed = 0, [], threading.Event(), True, 0
        self.latency_s = 0.01

    def devices(self) -> list[Device]:
        back, self.there = self.there, True  # gone at the first look, there at the second
        return [MIC, SPEAKER] if back else [SPEAKER]

    def opened(self, *_: object) -> Room:
        return self

    def read(self, size: int) -> np.ndarray:
        assert size == BLOCK
        if self.at == len(self.blocks):
            self.over.set()
            threading.Event().wait(0.01)
            return np.zeros((1, size), np.float32)
        if self.at in self.leaves_at:
            self.leaves_at = self.leaves_at[1:]
            self.there = False
            raise Gone("unplugged")
        self.at += 1
        return self.blocks[self.at - 1]

    def write(self, block: np.ndarray) -> bool:
        if len(self.played) in self.full_at:
            self.full_at = self.full_at[1:]
            return False
        self.played.append(block)
        return True

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def stream(causal_model) -> Stream:
    return Stream(48000, model=causal_model("leveller"))


def run(room: Room, stream: Stream, monkeypatch: pytest.MonkeyPatch, **options) -> tuple[Session, list[str]]:
    monkeypatch.setattr("unhiss.live.session.devices", room.devices)
    monkeypatch.setattr("unhiss.live.session.opened", room.opened)
    monkeypatch.setattr("unhiss.live.session.there", lambda device: True)
    monkeypatch.setattr("unhiss.live.session.RETRY_S", 0.01)
    lines: list[str] = []
    with Session(stream, "mic", "speaker", tell=lines.append, **options) as session:
        assert room.over.wait(30), session.failed
    return session, lines


def test_what_is_played_and_recorded_is_the_offline_result_though_the_device_left(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator, tmp_path: Path
) -> None:
    sound, model = rng.uniform(-0.9, 0.9, (1, 100 * BLOCK)).astype(np.float32), stream.model._session.path
    room, recorder = Room(sound, leaves_at=(30, 31)), Recorder(tmp_path / "both.wav", stream)
    session, lines = run(room, stream, monkeypatch, recorder=recorder)
    recorder.close()
    assert [line.split(" (")[0] for line in lines] == [
        "USB mic -> Speaker, 52 ms late in all", "a device went away", "USB mic -> Speaker, 52 ms late in all",
        "a device went away", "USB mic -> Speaker, 52 ms late in all",
    ]  # fmt: skip
    assert session.meters.missed == 0 and room.closed == 6 and not session.running
    noisy, clean = (unhiss.read(path)[0] for path in recorder.paths)
    np.testing.assert_allclose(noisy[: sound.size], sound[0], atol=STEP)
    assert noisy.shape == clean.shape
    expected = unhiss.denoise(noisy, 48000, model=model)
    np.testing.assert_allclose(clean, expected, atol=1e-5 + STEP)
    twin = Stream(48000, model=model)
    pushed = [twin.push(block) for block in room.blocks]
    played, pushed = ([block for block in side if block.any()] for side in (room.played, pushed))  # less silent starts
    np.testing.assert_array_equal(np.concatenate(played[: len(pushed)], axis=1), np.concatenate(pushed, axis=1))


def test_a_speaker_that_is_full_loses_a_block_and_holds_nobody_up(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    room = Room(rng.uniform(-1, 1, (1, 50 * BLOCK)).astype(np.float32), full_at=(10, 20))
    session, _ = run(room, stream, monkeypatch)
    assert session.meters.missed == 2


def test_samples_that_are_no_numbers_do_no_harm(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = np.full((1, 20 * BLOCK), 0.1, np.float32)
    sound[0, 3000:3100] = np.nan
    sound[0, 3200] = np.inf
    room = Room(sound)
    session, _ = run(room, stream, monkeypatch)
    assert session.failed is None and all(np.isfinite(block).all() for block in room.played)


def test_recordings_are_not_overwritten(stream: Stream, tmp_path: Path) -> None:
    (tmp_path / "a.clean.wav").write_text("mine")
    with pytest.raises(AudioError, match=r"a\.clean\.wav exists; --force overwrites it"):
        Recorder(tmp_path / "a", stream)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.clean.wav"]


def some() -> list[Device]:
    names = [
        ("in", "mon", "Monitor"),
        ("in", SOURCE, "Unhiss microphone"),
        ("in", "usb", "USB mic"),
        ("out", "hd", "HDMI"),
    ]
    names += [("out", SINK, "Unhiss output"), ("out", "usb", "USB headset")]
    return [
        Device(number, side, name, label, name in (SOURCE, "hd"), True)
        for number, (side, name, label) in enumerate(names)
    ]  # type: ignore[arg-type]


def test_devices_are_found_by_number_name_and_part_of_it() -> None:
    for wanted, side, name in (
        ("2", "in", "usb"),
        ("usb", "out", "usb"),
        ("hdmi", "out", "hd"),
        ("Monitor", "in", "mon"),
    ):
        assert find(wanted, side, some()).name == name  # type: ignore[arg-type]
    assert find(None, "out", some()).name == SINK  # the virtual microphone, where it is installed
    assert find(None, "in", some()).name != SOURCE  # though it is the default
    with pytest.raises(AudioError, match="did you mean 'USB headset'"):
        find("USB heatset", "out", some())
    with pytest.raises(AudioError, match="--out '99': no such speaker or virtual microphone"):
        find("99", "out", some())
    with pytest.raises(AudioError, match="no microphone here; plug one in"):
        find(None, "in", [SPEAKER])


def test_what_would_howl_is_refused() -> None:
    by_name = {(device.side, device.name): device for device in some()}
    with pytest.raises(AudioError, match="would howl"):
        check_no_howl(by_name["in", SOURCE], by_name["out", SINK])
    check_no_howl(by_name["in", "usb"], by_name["out", "usb"])


def test_a_missing_package_and_a_missing_library_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unhiss.live.pulse.answers", lambda: False)
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MissingExtra, match=r"pip install 'unhiss\[live\]'"):
        systems.devices()

    def no_library(*_: str) -> None:
        raise OSError("PortAudio library not found")

    monkeypatch.setattr(portaudio, "need", no_library)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(MissingExtra, match=r"PortAudio, .* is not installed; run: apt-get install libportaudio2"):
        systems.devices()
