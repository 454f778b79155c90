"""One row per tower, fusion and head: a new member adds a row."""

import numpy as np
import pytest
from contracts.checks import check_decoder, check_fusion, check_head, check_late_fusion, check_space, check_tower

from mmdist.models.audio import build_audio_tower
from mmdist.models.decoders import build_decoder
from mmdist.models.facts import TabularFacts
from mmdist.models.fusion import build_fusion
from mmdist.models.image import build_image_tower
from mmdist.models.layers import TowerOutput
from mmdist.models.tabular import build_tabular_tower
from mmdist.models.tasks import ClassificationHead
from mmdist.models.tasks.retrieval import SharedSpace
from mmdist.models.text import build_text_tower
from mmdist.spec.model import (
    ApplicationSpec,
    AudioCNNSpec,
    AudioTransformerSpec,
    BagSpec,
    BERTSpec,
    BilinearSpec,
    BiLSTMSpec,
    CNNSpec,
    ConcatSpec,
    ConvNeXtSpec,
    CrossAttentionSpec,
    FTTransformerSpec,
    GatedSpec,
    LateSpec,
    MLPSpec,
    RegularizationSpec,
    ResNetSpec,
    TextTransformerSpec,
    ViTSpec,
)
from mmdist.spec.task import LSTMDecoderSpec, RetrievalSpec, TransformerDecoderSpec

PLAIN = RegularizationSpec()
PRESENT = np.array([True, True, False])


@pytest.mark.parametrize(
    ("spec", "tokens", "pooled"),
    [
        (CNNSpec(), (3, 4, 128), (3, 128)),
        (CNNSpec(filters=(8, 16), units=12), (3, 49, 16), (3, 12)),
        (CNNSpec(filters=(8, 16), units=12, normalization="batch"), (3, 49, 16), (3, 12)),
        (ConvNeXtSpec(depths=(1, 2), widths=(4, 8), units=6), (3, 16, 8), (3, 6)),
        (ViTSpec(patch_px=12, depth=2, width=8, heads=2, units=6), (3, 9, 8), (3, 6)),
        (ApplicationSpec(net="mobilenetv2_035", units=6), (3, 4, 1280), (3, 6)),
        (ResNetSpec(depths=(1, 2), widths=(8, 12), units=6), (3, 81, 12), (3, 6)),
        (ResNetSpec(depths=(1, 2), widths=(8, 12), units=6, normalization="batch"), (3, 81, 12), (3, 6)),
    ],
)
def test_image_tower(spec, tokens, pooled):
    images = np.random.default_rng(0).random((3, 36, 36, 3), np.float32)
    check_tower(
        lambda seed: build_image_tower(spec, regularization=PLAIN, image_size=(36, 36), seed=seed),
        {"image": images, "present": PRESENT},
        tokens=tokens,
        pooled=pooled,
    )


@pytest.mark.parametrize(
    ("spec", "tokens", "pooled"),
    [
        (BiLSTMSpec(), (3, 5, 128), (3, 64)),
        (BiLSTMSpec(embedding=6, lstm_units=4, units=10), (3, 5, 8), (3, 10)),
        (BagSpec(), (3, 5, 128), (3, 128)),
        (BagSpec(embedding=6, units=10), (3, 5, 6), (3, 10)),
        (TextTransformerSpec(depth=1, width=8, heads=2, units=6), (3, 5, 8), (3, 6)),
        (TextTransformerSpec(depth=2, width=7, heads=1, positions="sinusoidal", units=None), (3, 5, 7), (3, 7)),
        (BERTSpec(depth=2, width=8, heads=2, dropout=0.0), (3, 5, 8), (3, 8)),
    ],
)
def test_text_tower(spec, tokens, pooled):
    texts = np.array([[2, 3, 4, 5, 6], [7, 8, 0, 0, 0], [0, 0, 0, 0, 0]], np.int32)
    check_tower(
        lambda seed: build_text_tower(spec, regularization=PLAIN, vocabulary=12, seed=seed),
        {"text": texts, "present": PRESENT},
        tokens=tokens,
        pooled=pooled,
    )


@pytest.mark.parametrize(
    ("spec", "tokens", "pooled"),
    [
        (MLPSpec(width=4, layers=(6, 5)), (3, 3, 4), (3, 5)),
        (FTTransformerSpec(width=8, heads=2, depth=1), (3, 3, 8), (3, 8)),
    ],
)
def test_tabular_tower(spec, tokens, pooled):
    fields = np.array([[[0.5, 1], [-1, 1], [2, 1]], [[0, 0], [2, 1], [0, 0]], [[0, 0], [0, 0], [0, 0]]], np.float32)
    check_tower(
        lambda seed: build_tabular_tower(spec, regularization=PLAIN, facts=TabularFacts(2, (4,)), seed=seed),
        {"tabular": fields, "present": PRESENT},
        tokens=tokens,
        pooled=pooled,
    )


@pytest.mark.parametrize(
    ("spec", "tokens", "pooled"),
    [
        (AudioCNNSpec(filters=(4, 8), units=6), (3, 5, 24), (3, 6)),
        (AudioTransformerSpec(patch=(8, 4), depth=1, width=8, heads=2, units=6), (3, 9, 8), (3, 6)),
    ],
)
def test_audio_tower(spec, tokens, pooled):
    spectrograms = np.random.default_rng(0).random((3, 19, 10), np.float32)
    check_tower(
        lambda seed: build_audio_tower(spec, regularization=PLAIN, shape=(19, 10), seed=seed),
        {"audio": spectrograms, "present": PRESENT},
        tokens=tokens,
        pooled=pooled,
    )


def towers_of_two(rng):
    """Rows with both modalities, with the first, with the second, and with neither."""
    present = np.array([[True, True], [True, False], [False, True], [False, False]])
    return [
        TowerOutput(
            rng.random((4, 4, width), np.float32),
            np.repeat(present[:, number, None], 4, axis=1),
            rng.random((4, width), np.float32),
        )
        for number, width in enumerate((6, 4))
    ]


@pytest.mark.parametrize(
    ("spec", "fused"),
    [
        (ConcatSpec(), (4, 10)),
        (GatedSpec(units=5), (4, 5)),
        (BilinearSpec(rank=7), (4, 7)),
        (CrossAttentionSpec(width=8, heads=2), (4, 8)),
    ],
)
def test_fusion(spec, fused):
    towers = towers_of_two(np.random.default_rng(0))
    check_fusion(lambda seed: build_fusion(spec, regularization=PLAIN, seed=seed), towers, fused=fused)


@pytest.mark.parametrize("spec", [LateSpec(), LateSpec(weights="learned")])
def test_late_fusion(spec):
    rng = np.random.default_rng(0)
    numbers = [rng.random((4, 3), np.float32) for _ in range(2)]
    check_late_fusion(lambda: build_fusion(spec, regularization=PLAIN, seed=0), towers_of_two(rng), numbers)


def test_classification_head():
    check_head(
        lambda seed: ClassificationHead(regularization=PLAIN, classes=7, seed=seed),
        np.random.default_rng(0).random((3, 5), np.float32),
        logits=(3, 7),
    )


def test_shared_space():
    rng = np.random.default_rng(0)
    check_space(
        lambda seed: SharedSpace(RetrievalSpec(width=7), regularization=PLAIN, seed=seed),
        rng.random((3, 5), np.float32),
        rng.random((3, 4), np.float32),
        vectors=(3, 7),
    )


@pytest.mark.parametrize(
    ("spec", "places"),
    [(TransformerDecoderSpec(width=8, heads=2, blocks=1), 4), (LSTMDecoderSpec(embedding=6, units=8), 1)],
)
def test_decoder(spec, places):
    check_decoder(
        lambda seed: build_decoder(spec, regularization=PLAIN, tokens=5, classes=9, seed=seed),
        np.array([[2, 3, 8, 0, 0], [4, 5, 6, 7, 2]], np.int32),
        np.random.default_rng(0).random((2, places, 6), np.float32),
        logits=(2, 5, 7),
    )
