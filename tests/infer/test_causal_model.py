"""CausalModel: the state passes from call to call, rows of a batch are independent, other files are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from unhiss.errors import ModelError
from unhiss.infer import causal_model as module
from unhiss.infer.causal_model import CausalModel
from unhiss.infer.frame_model import FrameModel
from unhiss.infer.models import load

Make = Callable[..., Path]
ROUND_OFF = 1e-6


def spectra(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


def test_a_model_has_the_properties_of_its_file(causal_model: Make) -> None:
    model = CausalModel(causal_model())
    assert (model.name, model.state_size, model.window_s, model.latency_ms) == ("identity", 1, 0.032, 32.0)
    assert model.config["model"] == {"kind": "causal"}
    assert model.start(3).shape == (3, 1)


def test_real_and_imaginary_parts_keep_their_positions(causal_model: Make, rng: np.random.Generator) -> None:
    spectrum = spectra(rng, 2, 300, 129)
    denoised, _ = CausalModel(causal_model("tilt")).run(spectrum, np.zeros((2, 1), np.float32))
    np.testing.assert_allclose(denoised, spectrum / (1 + np.arange(129) / 20), atol=ROUND_OFF)


@pytest.mark.parametrize("frames", [1, 7, 128, 1000])
def test_the_number_of_frames_per_call_changes_nothing(
    frames: int, causal_model: Make, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_FRAMES", frames)
    spectrum = spectra(rng, 2, 300, 9)
    model = CausalModel(causal_model("leveller"))
    denoised, state = model.run(spectrum, model.start(2))
    energy = np.square(np.abs(spectrum)).mean(axis=2) / 2
    before = np.pad(energy, ((0, 0), (1, 0)))[:, :-1, None]
    np.testing.assert_allclose(denoised, spectrum / (1 + before), atol=ROUND_OFF)
    np.testing.assert_allclose(state, energy[:, -1:], rtol=1e-5)


def test_a_run_continues_where_the_last_one_ended(causal_model: Make, rng: np.random.Generator) -> None:
    spectrum, model = spectra(rng, 1, 400, 5), CausalModel(causal_model("counter"))
    first, state = model.run(spectrum[:, :131], model.start(1))
    nothing, state = model.run(spectrum[:, 131:131], state)
    second, state = model.run(spectrum[:, 131:], state)
    expected = spectrum * (0.6 + 0.4 * np.sin(np.arange(1, 401)))[None, :, None]
    np.testing.assert_allclose(np.concatenate([first, nothing, second], axis=1), expected, atol=1e-4)
    assert state.item() == 400


def test_streams_in_one_batch_do_not_influence_each_other(causal_model: Make, rng: np.random.Generator) -> None:
    model, spectrum = CausalModel(causal_model("leveller")), spectra(rng, 3, 20, 9)
    states = rng.random((3, 1)).astype(np.float32)
    denoised, after = model.run(spectrum, states)
    for one in range(3):
        alone, alone_after = model.run(spectrum[one : one + 1], states[one : one + 1])
        np.testing.assert_allclose(denoised[one], alone[0], atol=ROUND_OFF)
        np.testing.assert_allclose(after[one], alone_after[0], rtol=1e-5)


def test_neither_input_nor_state_is_written(causal_model: Make, rng: np.random.Generator) -> None:
    spectrum, state = spectra(rng, 1, 10, 5), np.ones((1, 1), np.float32)
    spectrum.flags.writeable = state.flags.writeable = False
    CausalModel(causal_model("counter")).run(spectrum, state)
    assert state.item() == 1


def test_the_inputs_say_which_kind_a_model_is(causal_model: Make, frame_model: Make) -> None:
    assert isinstance(load(causal_model(), 1), CausalModel)
    assert isinstance(load(frame_model(), 1), FrameModel)


def test_a_frame_model_is_no_causal_model(frame_model: Make) -> None:
    with pytest.raises(ModelError, match=r"'frames', .*; expected spectrum \(B, T, F, 2\) and state \(B, S\)"):
        CausalModel(frame_model())


def test_a_state_without_a_fixed_size_is_refused(causal_model: Make) -> None:
    with pytest.raises(ModelError, match="S a number"):
        CausalModel(causal_model(size="S"))


@pytest.mark.parametrize(
    ("stft", "line"),
    [({"window_s": 0.032}, "damaged metadata"), ({"window_s": 0.032, "hop_s": 0.008}, "expected 0.016, half of")],
)
def test_an_stft_that_does_not_overlap_by_half_is_refused(stft: dict, line: str, causal_model: Make) -> None:
    with pytest.raises(ModelError, match=line):
        CausalModel(causal_model(stft=stft))


def test_a_call_that_fails_names_the_file(causal_model: Make, rng: np.random.Generator) -> None:
    path = causal_model("leveller")
    with pytest.raises(ModelError, match=f"{path.name}: the model cannot be run"):
        CausalModel(path).run(spectra(rng, 2, 3, 4), np.zeros((3, 1), np.float32))
