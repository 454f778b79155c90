"""What `mmdist data inspect` finds in recordings, and how it shows one."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from mmdist.data.audio import decode_audio, log_mel
from mmdist.data.dataset import Dataset
from mmdist.data.distribution import spread
from mmdist.data.duplicates import joined
from mmdist.data.prepare import image_views
from mmdist.data.recording import BadAudio, read_audio, read_audio_header
from mmdist.spec.audio import AudioSpec

__all__ = ["Sounds", "look_at_recordings", "mean_samples", "spectrogram"]

MAX_SAMPLES = AudioSpec().max_samples
_BANDS, _WINDOWS = 48, 96
_SHOWN_MS, _WINDOW_MS = 5000, 25
_BINS_S = (0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800)


@dataclass
class Sounds:
    """Facts of the recordings of a row group, or of several."""

    looked_at: int = 0
    """Rows whose recording was looked for."""
    decoded: int = 0
    formats: Counter[str] = field(default_factory=Counter)
    """Such as `FLAC 16-bit`."""
    sample_rates: Counter[int] = field(default_factory=Counter)
    channels: Counter[int] = field(default_factory=Counter)
    milliseconds: list[npt.NDArray[np.int64]] = field(default_factory=list)

    def add(self, other: "Sounds") -> None:
        """Adds what was found in further rows."""
        self.looked_at += other.looked_at
        self.decoded += other.decoded
        self.milliseconds += other.milliseconds
        for name in ("formats", "sample_rates", "channels"):
            getattr(self, name).update(getattr(other, name))

    def facts(self) -> dict[str, Any]:
        """As they stand in the facts of a split."""
        lengths = joined(self.milliseconds, np.int64)
        places = np.bincount(np.searchsorted(_BINS_S, lengths / 1000), minlength=len(_BINS_S) + 1).tolist()
        return {
            "looked_at": self.looked_at,
            "decoded": self.decoded,
            "formats": dict(self.formats.most_common()),
            "sample_rates": {str(rate): rows for rate, rows in self.sample_rates.most_common()},
            "channels": {str(count): rows for count, rows in self.channels.most_common()},
            "milliseconds": spread(lengths),
            "lengths": [
                {"most_s": most, "rows": rows} for most, rows in zip((*_BINS_S, None), places, strict=True) if rows
            ],
        }


def look_at_recordings(
    views: Sequence[memoryview | None], rows: npt.NDArray[np.int64], *, decode_every: int
) -> tuple[Sounds, dict[int, str]]:
    """Reads the headers of a row group's recordings, and decodes some.

    Args:
        views: Encoded recordings, None where a row has none.
        rows: The rows' numbers in the split.
        decode_every: Every so many-th row's recording is decoded.

    Returns:
        What was found, and by place the reasons of recordings that cannot be used.
    """
    found, bad, milliseconds = Sounds(looked_at=len(views)), {}, []
    for number, (view, row) in enumerate(zip(views, rows.tolist(), strict=True)):
        if view is None:
            continue
        try:
            header = read_audio_header(view, max_samples=MAX_SAMPLES)
            found.formats[f"{header.format} {header.coding}"] += 1
            found.sample_rates[header.sample_rate] += 1
            found.channels[header.channels] += 1
            milliseconds.append(header.milliseconds)
            if row % decode_every == 0:
                found.decoded += 1
                read_audio(view, max_samples=MAX_SAMPLES)
        except BadAudio as error:
            bad[number] = str(error)
    found.milliseconds.append(np.array(milliseconds, np.int64))
    return found, bad


def mean_samples(dataset: Dataset, column: str) -> float:
    """Samples of all channels in a recording of the first row group, on the average; 1 where none can be read."""
    sizes = []
    for view in image_views(dataset.read_row_group(0, [column]).column(column)).tolist():
        try:
            if view is not None:
                header = read_audio_header(view, max_samples=MAX_SAMPLES)
                sizes.append(header.frames * header.channels)
        except BadAudio:
            continue
    return float(np.mean(sizes)) if sizes else 1.0


def spectrogram(view: memoryview) -> npt.NDArray[np.uint8] | None:
    """The first 5 seconds as a picture, uint8 (48, 96): time to the right, high above low, loud is bright.

    None where the recording cannot be used.
    """
    try:
        header = read_audio_header(view, max_samples=MAX_SAMPLES)
        shown_ms = min(max(header.milliseconds, 100), _SHOWN_MS)
        spec = AudioSpec(
            seconds=(shown_ms + _WINDOW_MS) / 1000, mels=_BANDS, window_ms=_WINDOW_MS, hop_ms=shown_ms / _WINDOWS
        )
        power = log_mel(decode_audio(view, spec), spec)[:_WINDOWS]
    except BadAudio:
        return None
    shown: npt.NDArray[np.uint8] = np.clip((power.T[::-1] + 1) * 127.5, 0, 255).astype(np.uint8)
    return shown
