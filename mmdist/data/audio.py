"""Encoded recordings to log-mel spectrograms."""

from functools import cache
from math import gcd
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.signal import resample_poly

from mmdist.data.recording import BadAudio, read_audio
from mmdist.data.values import byte_views, plain_column
from mmdist.spec.audio import AudioSpec

__all__ = ["AudioEncoder", "decode_audio", "log_mel", "mel_weights"]

_LOWEST_HZ = 20.0
_FLOOR = 1e-8
"""Power below which all is silence: 80 dB under the loudest tone."""


class AudioEncoder:
    """Turns a column of recordings into arrays."""

    def __init__(self, spec: AudioSpec) -> None:
        self.spec = spec

    def encode(self, column: "pa.ChunkedArray[Any]") -> tuple[dict[str, npt.NDArray[Any]], dict[int, str]]:
        """A binary column's recordings, and by row the reasons of those that cannot be used.

        Returns:
            `audio`, float32 (n, F, M), as `log_mel` makes it and zeros where there is none; `audio_present`,
            bool (n,).
        """
        views = [view for chunk in plain_column(column).chunks for view in byte_views(chunk)]
        values = np.zeros((len(views), *self.spec.shape), np.float32)
        present = np.array([view is not None for view in views], np.bool_)
        reasons: dict[int, str] = {}
        for row, view in enumerate(views):
            if view is None:
                continue
            try:
                values[row] = log_mel(decode_audio(view, self.spec), self.spec)
            except BadAudio as error:
                reasons[row] = str(error)
        return {"audio": values, "audio_present": present}, reasons


def decode_audio(data: bytes | memoryview, spec: AudioSpec) -> npt.NDArray[np.float32]:
    """Decodes a WAV or FLAC recording whole: the mean of its channels, resampled, cut or followed by silence.

    Returns:
        float32 (samples,), full scale is 1.

    Raises:
        BadAudio: as `read_audio`.
    """
    header, read = read_audio(data, max_samples=spec.max_samples)
    rate = header.sample_rate
    mono = read.mean(axis=1, dtype=np.float64)
    # What lies behind the part that is heard need not be resampled, but for what the filter looks ahead.
    mono = mono[: int((spec.samples / spec.sample_rate + 0.5) * rate) + 1]
    if rate != spec.sample_rate:
        shared = gcd(rate, spec.sample_rate)
        mono = resample_poly(mono, spec.sample_rate // shared, rate // shared)
    out = np.zeros(spec.samples, np.float32)
    heard = mono[: spec.samples]
    out[: len(heard)] = heard
    return out


def log_mel(samples: npt.NDArray[np.float32], spec: AudioSpec) -> npt.NDArray[np.float32]:
    """The power in each window and band, in decibels: float32 (F, M), from -1 (silence) to about 1 (a full tone).

    Each recording is computed by itself in float64, so that its numbers do not depend on the rows beside it.
    """
    frames, _ = spec.shape
    padded = np.zeros(max(len(samples), spec.window), np.float64)
    padded[: len(samples)] = samples
    window = np.hanning(spec.window + 1)[:-1]
    cut = np.lib.stride_tricks.sliding_window_view(padded, spec.window)[:: spec.hop][:frames]
    power = np.abs(np.fft.rfft(cut * window, n=_fft_length(spec.window))) ** 2 / (window.sum() / 2) ** 2
    bands = power @ mel_weights(spec.mels, power.shape[1], spec.sample_rate)
    scaled: npt.NDArray[np.float32] = (np.log10(np.maximum(bands, _FLOOR)) / 4 + 1).astype(np.float32)
    return scaled


@cache
def mel_weights(mels: int, bins: int, sample_rate: int) -> npt.NDArray[np.float64]:
    """What each bin of a spectrum adds to each band, float64 (bins, mels): triangles, evenly spaced in mel.

    Ref: the mel scale of HTK, 1127 ln(1 + f / 700), as `tf.signal.linear_to_mel_weight_matrix` has it.
    """
    nyquist = sample_rate / 2
    bin_mel = _mel(np.linspace(0.0, nyquist, bins))[:, None]
    edges = np.linspace(_mel(np.array(_LOWEST_HZ)), _mel(np.array(nyquist)), mels + 2)
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    weights: npt.NDArray[np.float64] = np.maximum(
        0.0, np.minimum((bin_mel - low) / (centre - low), (high - bin_mel) / (high - centre))
    )
    weights[0] = 0.0  # a constant offset is no sound
    return weights


def _mel(hertz: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    mel: npt.NDArray[np.float64] = 1127.0 * np.log1p(hertz / 700.0)
    return mel


def _fft_length(window: int) -> int:
    return 1 << (window - 1).bit_length()
