"""Encoded recordings to their samples. The header is judged before a sample is decoded."""

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from mmdist.errors import words_of

__all__ = ["AudioHeader", "BadAudio", "read_audio", "read_audio_header"]

_MOST_CHANNELS = 64
_MOST_HZ = 384_000
_UNTOLD = 2**63 - 1
"""The length that libsndfile gives where a header has none."""
_CODINGS = {
    "PCM_S8": "8-bit",
    "PCM_U8": "8-bit",
    "PCM_16": "16-bit",
    "PCM_24": "24-bit",
    "PCM_32": "32-bit",
    "FLOAT": "32-bit float",
    "DOUBLE": "64-bit float",
}
"""How samples may be written, by the names that libsndfile has for it."""
_ACCEPTED = "WAV and FLAC are read"


class BadAudio(Exception):  # noqa: N818 - it marks a row, and never ends a job
    """The bytes are not a recording that can be used; the text is the reason, fit for the quarantine file."""


@dataclass(frozen=True)
class AudioHeader:
    """What a recording says of itself."""

    format: str
    """`WAV` or `FLAC`."""
    coding: str
    """How samples are written: `16-bit`, `32-bit float`."""
    sample_rate: int
    channels: int
    frames: int
    """Samples per channel."""

    @property
    def milliseconds(self) -> int:
        """How long the recording is."""
        return round(1000 * self.frames / self.sample_rate)


def read_audio_header(data: bytes | memoryview, *, max_samples: int) -> AudioHeader:
    """What a WAV or FLAC recording says of itself; no sample is decoded. Raises BadAudio, as far as that tells."""
    with _opened(data, max_samples) as (_, header):
        return header


def read_audio(data: bytes | memoryview, *, max_samples: int) -> tuple[AudioHeader, npt.NDArray[np.float32]]:
    """Decodes a WAV or FLAC recording as it is. What follows it in the bytes is ignored.

    Returns:
        Its header, and float32 (frames, channels), full scale is 1.

    Raises:
        BadAudio: where the bytes are no whole recording of these formats within the cap; it gives the reason.
    """
    with _opened(data, max_samples) as (file, header):
        samples: npt.NDArray[np.float32] = file.read(frames=header.frames, dtype="float32", always_2d=True)
    if len(samples) != header.frames:
        raise BadAudio(f"{header.format} cut off: {len(samples)} of {header.frames} samples")
    if not np.isfinite(samples).all():
        raise BadAudio("samples that are no finite numbers")
    return header, samples


@contextmanager
def _opened(data: bytes | memoryview, max_samples: int) -> Iterator[tuple[Any, AudioHeader]]:
    """The recording as libsndfile reads it, once its header is within the caps; what it raises is BadAudio."""
    kind, end = _kind_and_end(data)
    try:
        with soundfile.SoundFile(io.BytesIO(memoryview(data)[:end])) as file:
            yield file, _header_of(file, kind, max_samples)
    except soundfile.LibsndfileError as error:
        # Its own words alone: the whole message names an object by its address.
        raise BadAudio(f"{kind} that cannot be decoded: {' '.join(error.error_string.split())}") from error
    except (soundfile.SoundFileError, OSError, ValueError, RuntimeError) as error:
        raise BadAudio(f"{kind} that cannot be decoded: {words_of(error)}") from error


def _kind_and_end(data: bytes | memoryview) -> tuple[str, int]:
    """The format by the first bytes, and where the recording ends as far as its header says.

    A WAV must hold all the bytes that it claims: its decoder would not miss them.
    """
    view = memoryview(data)
    if not view.nbytes:
        raise BadAudio("empty: 0 bytes")
    start = bytes(view[:12])
    if start.startswith(b"fLaC"):
        return "FLAC", view.nbytes
    if not (start.startswith(b"RIFF") and start[8:] == b"WAVE"):
        raise BadAudio(
            f"not a recording of a known format: {view.nbytes} bytes that begin with {start[:8].hex(' ')} ({_ACCEPTED})"
        )
    position = 12
    while position + 8 <= view.nbytes:
        name, length = struct.unpack_from("<4sI", view, position)
        position += 8
        if name == b"data":
            if length > view.nbytes - position:
                raise BadAudio(f"WAV cut off: {view.nbytes - position} of {length} bytes of samples")
            return "WAV", position + length
        position += length + length % 2
    raise BadAudio(f"WAV cut within the header: {view.nbytes} bytes")


def _header_of(file: Any, kind: str, max_samples: int) -> AudioHeader:
    """What the header says, held against the caps."""
    if file.format not in ("WAV", "WAVEX", "FLAC") or file.subtype not in _CODINGS:
        raise BadAudio(f"{file.format} with samples of type {file.subtype}, which are not read")
    if file.frames == _UNTOLD:
        raise BadAudio(f"{kind} whose header does not say how long it is")
    if file.frames <= 0:
        raise BadAudio(f"{kind} without samples")
    if not 1 <= file.channels <= _MOST_CHANNELS:
        raise BadAudio(f"{file.channels} channels by its header, over the cap of {_MOST_CHANNELS}")
    if file.frames * file.channels > max_samples:
        raise BadAudio(f"{file.frames} x {file.channels} samples by its header, over the cap of {max_samples}")
    if not 1 <= file.samplerate <= _MOST_HZ:
        raise BadAudio(f"{file.samplerate} samples per second by its header, over the cap of {_MOST_HZ}")
    return AudioHeader(kind, _CODINGS[file.subtype], file.samplerate, file.channels, file.frames)
