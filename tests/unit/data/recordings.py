"""Recordings for the tests: one tone, encoded in every way that matters, some of them by hand."""

import io
import struct
from typing import Any

import numpy as np
import soundfile

RATE = 8000
WIDTHS = {8: "u1", 16: "<i2", 32: "<i4"}


def tone(*, hertz: float = 1000, rate: int = RATE, seconds: float = 0.5) -> np.ndarray:
    """float64 (n,), half of full scale."""
    found: np.ndarray = np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate) / 2
    return found


def encoded(*, rate: int = RATE, kind: str = "WAV", channels: int = 1, subtype: str | None = None, **of: Any) -> bytes:
    """A tone, as libsndfile writes it."""
    out = io.BytesIO()
    samples = np.repeat(tone(rate=rate, **of)[:, None], channels, axis=1)
    soundfile.write(out, samples, rate, format=kind, subtype=subtype)
    return out.getvalue()


def raw(samples: np.ndarray, rate: int = RATE) -> bytes:
    """Samples as they are, in a WAV of floating point."""
    out = io.BytesIO()
    soundfile.write(out, samples, rate, format="WAV", subtype="FLOAT")
    return out.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack("<4sI", name, len(data)) + data + b"\0" * (len(data) % 2)


def wav(data: bytes, bits: int, *, is_float: bool = False, channels: int = 1, rate: int = RATE) -> bytes:
    """A WAV made by hand from the bytes of its samples."""
    frame = channels * bits // 8
    facts = struct.pack("<HHIIHH", 3 if is_float else 1, channels, rate, rate * frame, frame, bits)
    body = b"WAVE" + chunk(b"fmt ", facts) + chunk(b"data", data)
    return struct.pack("<4sI", b"RIFF", len(body)) + body


def wav_of(samples: np.ndarray, bits: int, **keys: Any) -> bytes:
    """Samples in [-1, 1) as a WAV of integers: the middle of 8 bits is 128, all others have a sign."""
    numbers = np.rint(samples * 2.0 ** (bits - 1)).astype(np.int64)
    if bits == 24:
        data = b"".join(int(number).to_bytes(3, "little", signed=True) for number in numbers.ravel())
    else:
        data = (numbers + 128 if bits == 8 else numbers).astype(WIDTHS[bits]).tobytes()
    return wav(data, bits, **keys)


def claiming(data: bytes, samples: int) -> bytes:
    """A FLAC whose header claims another number of samples, in 36 bits."""
    changed = bytearray(data)
    changed[21] = changed[21] & 0xF0 | samples >> 32
    changed[22:26] = struct.pack(">I", samples & 0xFFFFFFFF)
    return bytes(changed)


def wav_claiming(data: bytes, size: int) -> bytes:
    """A WAV whose header claims so many bytes of samples."""
    at = data.index(b"data") + 4
    return data[:at] + struct.pack("<I", size) + data[at + 4 :]


def with_rate(data: bytes, rate: int) -> bytes:
    """A WAV whose header claims another rate."""
    return data[:24] + struct.pack("<I", rate) + data[28:]


def sounds_alike(found: np.ndarray, expected: np.ndarray) -> bool:
    """Whether spectrograms agree where there is sound; the ends ring where a recording was resampled."""
    found, expected = found[2:-3], expected[2:-3]
    loud = expected > 0.2
    return bool(loud.any() and np.abs(found - expected)[loud].max() < 0.02 and (found[~loud] < 0.5).all())
