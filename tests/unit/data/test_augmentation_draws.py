from dataclasses import replace

import numpy as np
import pytest

from mmdist.data.augmentation_draws import (
    augment_parameters,
    augmentation_arrays,
    mixing_partners,
    own_shares,
    parameter_count,
)
from mmdist.data.batches import Batch, LedgerDelta
from mmdist.spec.augment import AugmentSpec, CutmixSpec, ErasingSpec, FlipSpec, MixupSpec

MIXING: list[AugmentSpec] = [FlipSpec(), MixupSpec(probability=0.5), ErasingSpec(), CutmixSpec()]
PLACES, LANE_PLACES = 64, 8


def make_batch(usable: np.ndarray) -> Batch:
    rng = np.random.default_rng(0)
    return Batch(
        index=0,
        image=rng.integers(0, 256, (PLACES, 4, 4, 3)).astype(np.uint8),
        image_present=usable,
        text=None,
        text_present=np.zeros(PLACES, np.bool_),
        label=rng.integers(0, 5, PLACES).astype(np.int32),
        mask=np.ones(PLACES, np.float32),
        row=rng.permutation(1000)[:PLACES],
        ids=[None] * PLACES,
        bad=[],
        ledger=LedgerDelta(PLACES, {}),
    )


@pytest.fixture
def usable() -> np.ndarray:
    usable = np.random.default_rng(1).random(PLACES) < 0.7
    usable[:8] = True
    usable[8:16] = np.arange(8) == 5
    usable[16:24] = False
    return usable


def part_of(batch: Batch, places: slice) -> Batch:
    names = ("image", "image_present", "text_present", "label", "mask", "row")
    return replace(batch, **{name: getattr(batch, name)[places] for name in names})


def test_partners_are_a_ring_of_the_usable_places_of_a_lane(usable: np.ndarray) -> None:
    rows = np.random.default_rng(2).permutation(PLACES)
    partner = mixing_partners(3, 4, rows, usable, lane_places=LANE_PLACES)
    assert np.array_equal(np.sort(partner), np.arange(PLACES)), "each place is the partner of exactly one"
    assert np.array_equal(partner // LANE_PLACES, np.arange(PLACES) // LANE_PLACES)
    assert np.array_equal(partner[~usable], np.flatnonzero(~usable)), "a place without a picture meets itself alone"
    assert partner[13] == 13, "and so does a row that is alone in its lane"
    assert not np.any(partner[:8] == np.arange(8))
    ring = [0]
    while len(ring) < 8:
        ring.append(int(partner[ring[-1]]))
    assert sorted(ring) == list(range(8))


def test_partners_depend_on_seed_and_epoch_and_on_the_rows_alone(usable: np.ndarray) -> None:
    rows = np.random.default_rng(2).permutation(PLACES)
    base = mixing_partners(0, 0, rows, usable, lane_places=LANE_PLACES)
    for seed, epoch in ((1, 0), (0, 1)):
        other = mixing_partners(seed, epoch, rows, usable, lane_places=LANE_PLACES)
        assert (base[:8] != other[:8]).any()
    shuffled = np.random.default_rng(5).permutation(8)
    moved = mixing_partners(0, 0, rows[shuffled], usable[shuffled], lane_places=LANE_PLACES)
    pairs = dict(zip(rows[:8], rows[base[:8]], strict=True))
    assert pairs == dict(zip(rows[shuffled], rows[shuffled][moved], strict=True))


@pytest.mark.parametrize("workers", [2, 4, 8])
def test_any_number_of_workers_mixes_alike(usable: np.ndarray, workers: int) -> None:
    batch = make_batch(usable)
    whole = augmentation_arrays(MIXING, 3, 1, batch, lane_places=LANE_PLACES)
    size = PLACES // workers
    parts = [
        augmentation_arrays(MIXING, 3, 1, part_of(batch, slice(start, start + size)), lane_places=LANE_PLACES)
        for start in range(0, PLACES, size)
    ]
    assert set(whole) == {
        "augmentation",
        "partner_image",
        "partner_augmentation",
        "partner_label",
        "own_share",
    }
    for name, expected in whole.items():
        assert np.array_equal(np.concatenate([part[name] for part in parts]), expected), name


def test_a_row_that_does_not_count_is_nobodys_partner(usable: np.ndarray) -> None:
    batch = make_batch(np.ones(PLACES, np.bool_))
    masked = replace(
        batch, mask=usable.astype(np.float32), image=np.where(usable[:, None, None, None], batch.image, 77)
    )
    arrays = augmentation_arrays(MIXING, 0, 0, masked, lane_places=LANE_PLACES)
    assert np.array_equal(arrays["partner_image"][~usable], masked.image[~usable])
    assert not (arrays["partner_image"][usable] == 77).all(axis=(1, 2, 3)).any()


def test_without_mixing_there_are_no_partners() -> None:
    arrays = augmentation_arrays([FlipSpec()], 0, 0, make_batch(np.ones(PLACES, np.bool_)), lane_places=LANE_PLACES)
    assert set(arrays) == {"augmentation"}


def test_a_row_is_mixed_once_at_most() -> None:
    specs: list[AugmentSpec] = [MixupSpec(probability=0.3), CutmixSpec(probability=0.5)]
    drawn = augment_parameters(specs, 0, 0, np.arange(20_000))
    by_mixup = drawn[:, 0] < 1
    by_cutmix = drawn[:, 1:].any(axis=1)
    assert not (by_mixup & by_cutmix).any()
    assert by_mixup.mean() == pytest.approx(0.3, abs=0.02)
    assert by_cutmix.mean() == pytest.approx(0.7 * 0.5, abs=0.02)
    assert parameter_count(specs) == drawn.shape[1] == 5


@pytest.mark.parametrize("alpha", [0.01, 0.2, 1.0, 10.0])
def test_the_own_share_is_beta_distributed(alpha: float) -> None:
    shares = own_shares([MixupSpec(alpha=alpha)], augment_parameters([MixupSpec(alpha=alpha)], 0, 0, np.arange(50_000)))
    assert np.isfinite(shares).all()
    assert shares.mean() == pytest.approx(0.5, abs=0.01)
    assert shares.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.03)


def test_erased_boxes_lie_inside_and_have_the_stated_areas() -> None:
    spec = ErasingSpec(probability=0.5, max_share=0.3)
    top, left, bottom, right = augment_parameters([spec], 0, 0, np.arange(50_000))[:, :4].T
    chosen = bottom > top
    assert chosen.mean() == pytest.approx(0.5, abs=0.01)
    assert min(top.min(), left.min()) >= 0
    assert max(bottom.max(), right.max()) <= 1 + 1e-6
    area = ((bottom - top) * (right - left))[chosen]
    assert (area.min(), area.max()) == pytest.approx((0.02, 0.3), abs=0.002)
    assert area.mean() == pytest.approx(0.16, abs=0.005)
    aspect = (bottom - top)[chosen] / (right - left)[chosen]
    assert (aspect.min(), aspect.max()) == pytest.approx((0.3, 1 / 0.3), rel=0.02)
    assert (aspect > 1).mean() == pytest.approx(0.5, abs=0.02)


def test_pasted_boxes_lie_inside_and_follow_the_own_share() -> None:
    top, left, bottom, right = augment_parameters([CutmixSpec()], 0, 0, np.arange(50_000)).T
    assert min(top.min(), left.min()) >= 0
    assert max(bottom.max(), right.max()) <= 1
    assert (bottom >= top).all()
    # A side s with its middle anywhere has s - s^2 / 4 inside on average; s^2 is uniform here.
    shares = own_shares([CutmixSpec()], np.stack([top, left, bottom, right], axis=1))
    assert shares.mean() == pytest.approx(1 - (1 / 2 - 1 / 5 + 1 / 48), abs=0.005)
