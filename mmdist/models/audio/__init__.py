"""Towers for recordings: the one place that turns a spec into a tower."""

from typing import assert_never

from mmdist.models.audio.cnn import AudioCNNTower
from mmdist.models.audio.tower import AudioTower
from mmdist.models.audio.transformer import AudioTransformerTower
from mmdist.spec.model import AudioCNNSpec, AudioTowerSpec, AudioTransformerSpec, RegularizationSpec

__all__ = ["AudioCNNTower", "AudioTower", "AudioTransformerTower", "build_audio_tower"]


def build_audio_tower(
    spec: AudioTowerSpec, *, regularization: RegularizationSpec, shape: tuple[int, int], seed: int
) -> AudioTower:
    """The tower that the spec's `type` names."""
    match spec:
        case AudioCNNSpec():
            return AudioCNNTower(spec, regularization=regularization, seed=seed)
        case AudioTransformerSpec():
            return AudioTransformerTower(spec, regularization=regularization, shape=shape, seed=seed)
        case _:
            assert_never(spec)
