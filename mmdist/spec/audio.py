"""How recordings are read and prepared."""

from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt

from mmdist.spec.base import Spec

__all__ = ["AudioSpec"]


class AudioSpec(Spec):
    """How recordings become log-mel spectrograms. All become one channel of one length."""

    sample_rate: Annotated[int, Field(ge=1000, le=192_000)] = 16_000
    """Samples per second that every recording is resampled to."""
    seconds: PositiveFloat = 2.0
    """What a model hears of a recording from its beginning; a shorter one is followed by silence."""
    mels: PositiveInt = 64
    """Frequency bands, evenly spaced on the mel scale from 20 Hz to half the sample rate."""
    window_ms: PositiveFloat = 25.0
    """Length of the window that a spectrum is taken over, in milliseconds."""
    hop_ms: PositiveFloat = 10.0
    """Milliseconds from one window to the next."""
    max_samples: PositiveInt = 20_000_000
    """Largest recording, in samples of all channels by its header, that is decoded; a larger one is a bad row."""

    @property
    def samples(self) -> int:
        """Samples that a model hears."""
        return max(1, round(self.seconds * self.sample_rate))

    @property
    def window(self) -> int:
        """Samples in a window."""
        return max(2, round(self.window_ms / 1000 * self.sample_rate))

    @property
    def hop(self) -> int:
        """Samples from one window to the next."""
        return max(1, round(self.hop_ms / 1000 * self.sample_rate))

    @property
    def shape(self) -> tuple[int, int]:
        """Windows and bands of a spectrogram."""
        return 1 + max(0, self.samples - self.window) // self.hop, self.mels
