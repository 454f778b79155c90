"""What each fusion computes, and that a modality which a row lacks is not heard."""

import keras
import numpy as np
import pytest

from mmdist.errors import JobFileError
from mmdist.models.facts import DataFacts
from mmdist.models.fusion import Fuse, build_fusion
from mmdist.models.layers import TowerOutput
from mmdist.models.tasks import build_task
from mmdist.spec.model import BilinearSpec, CrossAttentionSpec, GatedSpec, LateSpec, RegularizationSpec
from mmdist.spec.task import ClassificationSpec

PLAIN = RegularizationSpec()
BOTH, FIRST, SECOND, NEITHER = range(4)
PRESENT = np.array([[True, True], [True, False], [False, True], [False, False]])


def make(spec):
    return build_fusion(spec, regularization=PLAIN, seed=0)


@pytest.fixture
def towers():
    rng = np.random.default_rng(0)
    return [
        TowerOutput(
            rng.normal(size=(4, 3, width)).astype(np.float32),
            np.repeat(PRESENT[:, number, None], 3, axis=1),
            rng.normal(size=(4, width)).astype(np.float32),
        )
        for number, width in enumerate((6, 5))
    ]


def test_gates_of_two_modalities_are_the_papers_sigmoid(towers):
    layer = make(GatedSpec(units=7))
    fused = np.asarray(layer(towers))
    hidden = [np.asarray(dense(tower.pooled)) for dense, tower in zip(layer.hidden, towers, strict=True)]
    gates = np.asarray(layer.gate(np.concatenate([tower.pooled for tower in towers], axis=1)))
    share = 1 / (1 + np.exp(gates[:, 7:] - gates[:, :7]))
    mixed = share * hidden[0] + (1 - share) * hidden[1]
    np.testing.assert_allclose(fused[[BOTH, NEITHER]], mixed[[BOTH, NEITHER]], atol=1e-6)
    np.testing.assert_allclose(fused[FIRST], hidden[0][FIRST], atol=1e-6)
    np.testing.assert_allclose(fused[SECOND], hidden[1][SECOND], atol=1e-6)


def test_bilinear_is_the_product_of_what_is_there(towers):
    layer = make(BilinearSpec(rank=7))
    fused = np.asarray(layer(towers))
    factors = [np.asarray(dense(tower.pooled)) for dense, tower in zip(layer.factors, towers, strict=True)]
    np.testing.assert_allclose(fused[[BOTH, NEITHER]], (factors[0] * factors[1])[[BOTH, NEITHER]], atol=1e-6)
    np.testing.assert_array_equal(fused[FIRST], factors[0][FIRST])
    np.testing.assert_array_equal(fused[SECOND], factors[1][SECOND])


def test_cross_attention_sees_every_token_that_is_there_and_no_other(towers):
    layer = make(CrossAttentionSpec(width=8, heads=2))
    fused = np.asarray(layer(towers))
    for number, tower in enumerate(towers):
        for token in range(3):
            tokens = tower.tokens.copy()
            tokens[:, token] = np.nan
            others = [*towers[:number], tower._replace(tokens=tokens), *towers[number + 1 :]]
            seen = ~np.isfinite(np.asarray(layer(others))).all(axis=1)
            np.testing.assert_array_equal(seen, PRESENT[:, number])
    assert np.isfinite(fused).all()


def test_cross_attention_tells_places_and_modalities_apart(towers):
    same = [tower._replace(tokens=tower.tokens[:, :, :5], pooled=tower.pooled[:, :5]) for tower in towers]
    layer = make(CrossAttentionSpec(width=8, heads=2))
    fused = np.asarray(layer(same))[BOTH]
    layer.projections[1].kernel.assign(layer.projections[0].kernel)
    layer.summaries[1].kernel.assign(layer.summaries[0].kernel)
    for embedding in (layer.modality_MD, *layer.places):
        embedding.assign(embedding * 50)
    turned = [tower._replace(tokens=tower.tokens[:, ::-1]) for tower in same]
    fused, of_turned, of_swapped = (np.asarray(layer(each))[BOTH] for each in (same, turned, same[::-1]))
    assert np.abs(fused - of_turned).max() > 1e-3
    assert np.abs(fused - of_swapped).max() > 1e-3


@pytest.mark.parametrize("weights", ["equal", "learned"])
def test_late_is_the_mean_of_what_is_there(towers, weights):
    layer = make(LateSpec(weights=weights))
    numbers = [np.full((4, 2), value, np.float32) for value in (1.0, 3.0)]
    np.testing.assert_allclose(layer(towers, numbers)[:, 0], [2.0, 1.0, 3.0, 2.0])
    if weights == "learned":
        layer.weight_M.assign(np.log([3.0, 1.0]))
        np.testing.assert_allclose(layer(towers, numbers)[:, 0], [1.5, 1.0, 3.0, 1.5], rtol=1e-6)


def test_late_fusion_has_a_head_per_modality_and_no_fused_vector(towers):
    facts = DataFacts(labels=tuple("abc"))
    task = build_task(ClassificationSpec(), facts, regularization=PLAIN, seed=0)
    fuse = Fuse(make(LateSpec()))
    named = dict(zip(("image", "text"), towers, strict=True))
    logits = np.asarray(task.connect({}, named, fuse)["logits"])
    alone = [np.asarray(task.connect_alone(name, tower, fuse)["logits"]) for name, tower in named.items()]
    np.testing.assert_allclose(logits[BOTH], (alone[0][BOTH] + alone[1][BOTH]) / 2, atol=1e-6)
    np.testing.assert_array_equal(logits[SECOND], alone[1][SECOND])
    with pytest.raises(JobFileError, match="this task has no such head"):
        fuse(named)


def test_one_modality_alone_can_be_fused_by_all(towers):
    for spec in (GatedSpec(units=4), BilinearSpec(rank=4), CrossAttentionSpec(width=4, heads=2)):
        assert keras.ops.shape(make(spec)(towers[:1])) == (4, 4)
    np.testing.assert_allclose(make(LateSpec())(towers[:1], [np.ones((4, 2), np.float32)]), 1.0)
