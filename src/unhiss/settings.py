"""Settings of a training experiment: frozen dataclasses that validate their values."""

import math
from dataclasses import dataclass, fields

from unhiss.errors import ConfigError, nearest


def check(good: bool, line: str) -> None:
    if not good:
        raise ConfigError(line)


def one_of(key: str, value: str, *known: str) -> None:
    check(value in known, f"{key} = {value!r}; {nearest(value, list(known))}")


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    kind: str = "unet"  # unet | rced (frames in, frames out) | causal (spectra and state)
    output: str = "attenuation"  # "magnitude": the clean frame itself, as the reference; "attenuation": its gain in dB
    dropout: float = 0.5  # of the U-Net; R-CED has none

    def __post_init__(self) -> None:
        one_of("model.kind", self.kind, "unet", "rced", "causal")
        one_of("model.output", self.output, "magnitude", "attenuation")
        check(0 <= self.dropout < 1, f"model.dropout = {self.dropout}; expected 0 up to below 1")


@dataclass(frozen=True, kw_only=True)
class FrameConfig:
    sample_rate: int = 22050
    scaling: str = "file"  # "frame": each frame by its own maximum, as the reference; "file": one scale for all
    edges: str = "context"  # audio around a frame: "zeros", as the reference, or "context": that of the recording

    def __post_init__(self) -> None:
        one_of("frames.scaling", self.scaling, "frame", "file")
        one_of("frames.edges", self.edges, "zeros", "context")
        check(self.sample_rate > 0, f"frames.sample_rate = {self.sample_rate}; expected Hz above 0")


@dataclass(frozen=True, kw_only=True)
class CausalConfig:
    """Shape of a causal model (train/causal.py) and of its training examples."""

    sample_rate: int = 48000  # of the training set; the model itself serves 8 to 96 kHz
    segment_s: float = 4.0  # length of an example
    width: int = 48  # channels over the 64 groups of four bins
    channels: int = 36  # channels over the bands
    bands: int = 28  # fine below 2 kHz, coarse above
    blocks: int = 3  # LSTM over time, then mixing over bands
    bottleneck: int = 96  # units of the LSTM over all bands at once
    normalise: bool = False  # divide the input by a running level (train/running_level.py): every level is alike
    speech: bool = False  # also give the probability of speech (train/speech.py); all else is frozen and needs --init

    def __post_init__(self) -> None:
        for name in ("width", "channels", "bands", "blocks", "bottleneck"):
            check(getattr(self, name) >= 1, f"causal.{name} = {getattr(self, name)}; expected 1 or more")
        check(self.bands <= 64, f"causal.bands = {self.bands}; expected 64 at most, one for each group of bins")
        check(self.segment_s >= 0.5, f"causal.segment_s = {self.segment_s}; expected 0.5 or more")
        rates = (16000, 24000, 32000, 48000)
        check(self.sample_rate in rates, f"causal.sample_rate = {self.sample_rate}; expected one of {rates}")


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """Augmentation besides mixing: shares of examples from 0 to 1, and ranges."""

    babble: float = 0.0  # the noise is several voices, some of them raised to a child's pitch
    gate: float = 0.0  # the noise is intermittent
    reverb: float = 0.0  # speech and noise at two positions in one room
    speed: float = 0.0  # half of the speech is played up to this share faster or slower
    noise_speed: float = 0.0  # the same for the noise
    eq_db: float = 0.0  # speech and noise each get a smooth random response within +- this
    band_limit: float = 0.0  # the mixture is band-limited to 3.4 to 16 kHz
    clip: float = 0.0  # the mixture is clipped
    codec: float = 0.0  # the mixture passes a telephone or lossy codec (media/codecs.py)

    def __post_init__(self) -> None:
        for name in ("babble", "gate", "reverb", "speed", "band_limit", "clip", "codec"):
            check(0 <= getattr(self, name) <= 1, f"augment.{name} = {getattr(self, name)}; expected 0 to 1")
        check(0 <= self.noise_speed < math.inf, f"augment.noise_speed = {self.noise_speed}; expected a share from 0")
        check(0 <= self.eq_db < math.inf, f"augment.eq_db = {self.eq_db}; expected dB from 0")


@dataclass(frozen=True, kw_only=True)
class VaryConfig:
    """Mixing that varies every example in more ways (train/varied_batches.py); shares are of examples.

    With on = true it replaces `augment.speed` and the SNRs, numbers of noises and levels of `mixing`;
    validation is then plain: no augmentation, SNRs and levels of `mixing`.
    """

    on: bool = False
    speed: tuple[float, float] = (0.85, 1.2)  # playback speeds of speech: pitch and formants move along
    speed_share: float = 0.8
    formants: float = 0.4  # the formants move alone, by up to 0.85 to 1.2
    people: float = 0.3  # two or three people in turn
    people_db: tuple[float, float] = (-25.0, 0.0)  # level of each, re the loudest
    speaker_share: float = 0.03  # of the speech: what one speaker has at most
    snr_db: tuple[float, float] = (-10.0, 40.0)  # drawn from a triangle with its peak at 5 dB
    clean: float = 0.1  # no noise
    noise_only: float = 0.04  # no speech
    noises: int = 3  # at most
    reverse: float = 0.3  # of noises: played backwards
    noise_spectrum: float = 0.12  # the noise gets the spectrum of another
    noise_envelope: float = 0.08  # the noise rises and falls as another sound does
    resonances: float = 0.4  # of speech and of noise, beside augment.eq_db
    rooms: int = 64  # simulated when training starts; share: augment.reverb. Late reverberation is noise
    gain_control: float = 0.08  # gain control that pumps
    packet_loss: float = 0.04
    level_dbfs: tuple[float, float] = (-75.0, 0.0)  # of the loudest speech, as far as full scale allows

    def __post_init__(self) -> None:
        for name in ("speed", "people_db", "snr_db", "level_dbfs"):
            low, high = (float(value) for value in getattr(self, name))
            check(low <= high and math.isfinite(high - low), f"vary.{name} = [{low:g}, {high:g}]; expected [low, high]")
            object.__setattr__(self, name, (low, high))
        check(self.speed[0] > 0, f"vary.speed = {list(self.speed)}; expected above 0")
        shares = ("speed_share", "formants", "people", "clean", "noise_only", "reverse", "noise_spectrum",
                  "noise_envelope", "resonances", "gain_control", "packet_loss")  # fmt: skip
        for name in shares:
            check(0 <= getattr(self, name) <= 1, f"vary.{name} = {getattr(self, name)}; expected 0 to 1")
        check(0 < self.speaker_share <= 1, f"vary.speaker_share = {self.speaker_share}; expected above 0 up to 1")
        check(1 <= self.noises <= 8, f"vary.noises = {self.noises}; expected 1 to 8")
        check(self.rooms >= 1, f"vary.rooms = {self.rooms}; expected 1 or more")


@dataclass(frozen=True, kw_only=True)
class MixConfig:
    snr_db: tuple[float, float] = (-5.0, 20.0)  # uniform, relative to the active speech level
    level_dbfs: tuple[float, float] = (-40.0, -15.0)  # active speech level of the mixture
    two_noises: float = 0.0  # share of examples with a second noise
    noise_only: float = 0.0  # share of examples without speech
    speech_only: float = 0.0  # share of examples without noise
    kind_balance: float = 0.5  # 0: every noise clip as likely; 1: every kind of noise as likely
    reference_offset_db: tuple[float, float] = (0.0, 0.0)  # level of a frame's maximum below the file's
    dynamic: bool = True  # new mixtures each epoch; False: the same ones, as the reference

    def __post_init__(self) -> None:
        for name in ("snr_db", "level_dbfs", "reference_offset_db"):
            pair = tuple(float(value) for value in getattr(self, name))
            good = len(pair) == 2 and all(map(math.isfinite, pair)) and pair[0] <= pair[1]
            check(good, f"mixing.{name} = {list(pair)}; expected [low, high]")
            object.__setattr__(self, name, pair)
        for name in ("two_noises", "noise_only", "speech_only", "kind_balance"):
            check(0 <= getattr(self, name) <= 1, f"mixing.{name} = {getattr(self, name)}; expected 0 to 1")
        both = self.noise_only + self.speech_only
        check(both <= 1, f"mixing.noise_only + mixing.speech_only = {both:g}; expected 1 at most")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    seed: int = 0
    epochs: int = 60
    minutes: float = 0.0  # of training by the clock, validation aside: then the run ends; 0: it ends by epochs
    examples: int = 21000  # frames an epoch
    valid_examples: int = 1179
    batch_size: int = 64
    micro_batches: int = 1  # parts of a batch whose gradients a step adds up; processes share them
    part: str = ""  # a part of the network, such as high_bands, that is trained alone; all else stays as it is
    optimiser: str = "adamw"  # adamw | muon (matrices by Muon, the rest by AdamW)
    lr: float = 1e-3
    schedule: str = "constant"  # constant | cosine (to a hundredth of lr)
    warmup_steps: int = 0
    clip_norm: float = 5.0  # largest norm of a step's gradient; 0: unlimited, as the reference
    loss: str = "mse"  # mse (scaled dB, as the reference) | compressed_spectrum (train/losses.py); causal: the latter
    # Of causal models: how compressed_spectrum weighs bins, and weights of terms beside it (train/losses.py).
    erb_weighting: float = 0.0  # 0: every bin below 8 kHz counts alike; 1: every ERB does; between: a power of that
    pesq_weight: float = 0.0  # of the points of MOS that PESQ would take off
    stoi_weight: float = 0.0  # of one minus STOI's correlation of envelopes
    mel_weight: float = 0.0  # of each neper (8.7 dB) between log-mel spectra
    sdr_weight: float = 0.0  # of each dB of signal-to-distortion ratio
    si_sdr_weight: float = 0.0  # of each dB of scale-invariant SDR, up to 40 dB
    dnsmos_weight: float = 0.0  # of each point of DNSMOS P.808 below the clean recording's
    adversarial_weight: float = 0.0  # norm of the discriminators' gradient, relative to that of the loss
    weight_decay: float = 0.0  # decoupled, as in AdamW
    ema_decay: float = 0.0  # of the averaged weights, which are validated and shipped; 0: no averaging
    curriculum_epochs: float = 0.0  # SNRs start in the upper half of mixing.snr_db and cover all of it by then
    precision: str = "auto"  # auto (bf16 where the hardware multiplies it) | fp32 | bf16
    save_every_steps: int = 200
    samples_every_epochs: int = 1  # epochs between audio samples and spectrograms in the run's folder; 0: none

    def __post_init__(self) -> None:
        one_of("train.optimiser", self.optimiser, "adamw", "muon")
        one_of("train.schedule", self.schedule, "constant", "cosine")
        one_of("train.loss", self.loss, "mse", "compressed_spectrum")
        one_of("train.precision", self.precision, "auto", "fp32", "bf16")
        for name in ("epochs", "examples", "valid_examples", "batch_size", "micro_batches", "save_every_steps"):
            check(getattr(self, name) >= 1, f"train.{name} = {getattr(self, name)}; expected 1 or more")
        for name in ("seed", "minutes", "warmup_steps", "curriculum_epochs", "clip_norm", "weight_decay",
                     "samples_every_epochs", *LOSS_WEIGHTS):  # fmt: skip
            check(getattr(self, name) >= 0, f"train.{name} = {getattr(self, name)}; expected 0 or more")
        check(self.seed < 2**32, f"train.seed = {self.seed}; expected at most {2**32 - 1}")
        check(
            self.batch_size % self.micro_batches == 0,
            f"train.micro_batches = {self.micro_batches}; expected a divisor of train.batch_size = {self.batch_size}",
        )
        check(0 <= self.erb_weighting <= 1, f"train.erb_weighting = {self.erb_weighting}; expected 0 to 1")
        check(0 < self.lr < math.inf, f"train.lr = {self.lr}; expected above 0")
        check(0 <= self.ema_decay < 1, f"train.ema_decay = {self.ema_decay}; expected 0 up to below 1")

    @property
    def micro_batch_size(self) -> int:
        """Examples in a micro-batch."""
        return self.batch_size // self.micro_batches

    @property
    def steps_per_epoch(self) -> int:
        return -(-self.examples // self.batch_size)

    @property
    def steps(self) -> int:
        return self.epochs * self.steps_per_epoch


LOSS_WEIGHTS = tuple(item.name for item in fields(TrainConfig) if item.name.endswith("_weight"))
