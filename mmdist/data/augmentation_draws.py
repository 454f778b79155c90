"""What chance decides about training pictures: a function of (seed, epoch, row), never of place, worker or restart.

Everything here is drawn on the host, with numpy. What is drawn changes pixels in `augmentation`, inside the graph.
"""

from collections.abc import Sequence
from typing import Any, assert_never

import numpy as np
import numpy.typing as npt
from scipy import special

from mmdist.data.batches import Batch
from mmdist.spec.augment import (
    AugmentSpec,
    ColorSpec,
    CropSpec,
    CutmixSpec,
    ErasingSpec,
    FlipSpec,
    MixupSpec,
    RandAugmentSpec,
    ShiftSpec,
)

__all__ = [
    "RANDAUGMENT_OPERATIONS",
    "augment_parameters",
    "augmentation_arrays",
    "mixing_partners",
    "own_shares",
    "parameter_count",
    "uniform",
]

Draw = npt.NDArray[np.float64]

RANDAUGMENT_OPERATIONS = 14
"""Changes that RandAugment draws from, by their numbers in `randaugment`."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_PARTNER_KEY = np.uint64(0x6D69786564726F77)
_LEAST_ERASED_SHARE = 0.02
_FULL_MAGNITUDE = 10.0
_LEAST_ERASED_ASPECT = 0.3


def augmentation_arrays(
    specs: Sequence[AugmentSpec], seed: int, epoch: int, batch: Batch, *, lane_places: int
) -> dict[str, npt.NDArray[Any]]:
    """What a training step needs beside the batch to change its pictures, by place.

    A partner's picture travels with its row: the places of a batch may be cut anywhere between devices.

    Args:
        specs: The changes, in their order.
        seed: The job's seed.
        epoch: The epoch, from 0.
        batch: Whole lanes of a batch, with pictures.
        lane_places: Places of each lane.

    Returns:
        `augmentation`, float32 (B, P). Where the changes mix rows also `partner_image`, uint8 (B, H, W, 3),
        `partner_augmentation`, float32 (B, P), `partner_label`, int32 (B,), and `own_share`, float32 (B,).
    """
    parameters = augment_parameters(specs, seed, epoch, batch.row)
    arrays: dict[str, npt.NDArray[Any]] = {"augmentation": parameters}
    if (
        batch.image is not None
        and batch.label is not None
        and any(isinstance(spec, MixupSpec | CutmixSpec) for spec in specs)
    ):
        usable = (batch.mask > 0) & batch.image_present
        partner = mixing_partners(seed, epoch, batch.row, usable, lane_places=lane_places)
        arrays |= {
            "partner_image": batch.image[partner],
            "partner_augmentation": parameters[partner],
            "partner_label": batch.label[partner],
            "own_share": own_shares(specs, parameters),
        }
    return arrays


def mixing_partners(
    seed: int, epoch: int, rows: npt.NDArray[np.int64], usable: npt.NDArray[np.bool_], *, lane_places: int
) -> npt.NDArray[np.int64]:
    """Whom each place is mixed with: the next row of its lane on a ring in drawn order.

    A lane is never shared out to several workers, so any number of workers gives the same pairs.

    Args:
        seed: The job's seed.
        epoch: The epoch, from 0.
        rows: int64 (B,), the rows' numbers in the dataset.
        usable: bool (B,), whether the place holds a row that counts and has a picture.
        lane_places: Places of each lane; B is a multiple of it.

    Returns:
        int64 (B,), places: the place itself where it is not usable or alone. No place that is not usable is anyone's
        partner, and every usable place is the partner of one.
    """
    key = _mix(_mix(np.array([seed], np.uint64) ^ _PARTNER_KEY) + np.uint64(epoch))
    drawn = _mix(key + rows.astype(np.uint64) * _GOLDEN).reshape(-1, lane_places)
    is_usable = usable.reshape(-1, lane_places)
    order = np.lexsort((drawn, ~is_usable), axis=1)  # the usable ones first, in drawn order
    counts = is_usable.sum(axis=1, keepdims=True)
    position = np.arange(lane_places)[None, :]
    following = np.where(position < counts, (position + 1) % np.maximum(counts, 1), position)
    partner = np.empty_like(order)
    np.put_along_axis(partner, order, np.take_along_axis(order, following, axis=1), axis=1)
    starts = np.arange(len(order))[:, None] * lane_places
    return (partner + starts).reshape(-1).astype(np.int64)


def own_shares(specs: Sequence[AugmentSpec], parameters: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The weight of each row's own label, float32 (B,); the partner's label has the rest."""
    shares = np.ones(len(parameters), np.float32)
    start = 0
    for spec in specs:
        drawn = parameters[:, start : start + _parameters(spec)]
        start += _parameters(spec)
        if isinstance(spec, MixupSpec):
            shares *= drawn[:, 0]
        elif isinstance(spec, CutmixSpec):
            shares *= 1 - (drawn[:, 2] - drawn[:, 0]) * (drawn[:, 3] - drawn[:, 1])
    return shares


def augment_parameters(
    specs: Sequence[AugmentSpec], seed: int, epoch: int, rows: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    """Draws the parameters of a batch's changes.

    Args:
        specs: The changes, in their order.
        seed: The job's seed.
        epoch: The epoch, from 0.
        rows: int64 (B,), the rows' numbers in the dataset; padding may have any number.

    Returns:
        float32 (B, P): per change its parameters, scaled as the change needs them.
    """
    columns: list[Draw] = []
    draws = uniform(seed, epoch, rows, sum(map(_draws, specs)))
    is_mixed = np.zeros(len(rows), np.bool_)
    start = 0
    for spec in specs:
        drawn = [draws[:, start + number] for number in range(_draws(spec))]
        start += len(drawn)
        match spec:
            case FlipSpec():
                columns.append((drawn[0] < spec.probability).astype(np.float64))
            case ShiftSpec():
                columns.extend((2 * draw - 1) * spec.share for draw in drawn)
            case CropSpec():
                share = spec.min_share + (1 - spec.min_share) * drawn[0]
                columns.extend((share, drawn[1] * (1 - share), drawn[2] * (1 - share)))
            case ColorSpec():
                largest = (spec.brightness, spec.contrast, spec.saturation)
                columns.extend((2 * draw - 1) * most for draw, most in zip(drawn, largest, strict=True))
            case ErasingSpec():
                columns.extend(_where(drawn[0] < spec.probability, _erased_box(spec, drawn[1:5])))
                columns.extend(drawn[5:])
            case RandAugmentSpec():
                for chosen, sign in zip(drawn[::2], drawn[1::2], strict=True):
                    columns.append(np.floor(chosen * RANDAUGMENT_OPERATIONS))
                    columns.append(np.where(sign < 0.5, -spec.magnitude, spec.magnitude) / _FULL_MAGNITUDE)
            case MixupSpec() | CutmixSpec():
                # A row has one partner and one weight: the first change that mixes it is the only one.
                mixes = (drawn[0] < spec.probability) & ~is_mixed
                is_mixed |= mixes
                share = special.betaincinv(spec.alpha, spec.alpha, drawn[1])
                if isinstance(spec, MixupSpec):
                    columns.append(np.where(mixes, share, 1.0))
                else:
                    columns.extend(_where(mixes, _pasted_box(share, drawn[2:])))
            case _:
                assert_never(spec)
    return np.stack(columns, axis=1).astype(np.float32) if columns else np.zeros((len(rows), 0), np.float32)


def parameter_count(specs: Sequence[AugmentSpec]) -> int:
    """P, the numbers that the changes of one picture take."""
    return sum(_parameters(spec) for spec in specs)


def _parameters(spec: AugmentSpec) -> int:
    """Numbers of one change in `augment_parameters`; a box has four, its edges as shares of the sides."""
    match spec:
        case FlipSpec() | MixupSpec():
            return 1
        case ShiftSpec():
            return 2
        case CropSpec() | ColorSpec():
            return 3
        case CutmixSpec():
            return 4
        case ErasingSpec():
            return 7
        case RandAugmentSpec():
            return 2 * spec.operations
        case _:
            assert_never(spec)


def _draws(spec: AugmentSpec) -> int:
    """Random numbers that one change takes."""
    match spec:
        case FlipSpec():
            return 1
        case ShiftSpec() | MixupSpec():
            return 2
        case CropSpec() | ColorSpec():
            return 3
        case CutmixSpec():
            return 4
        case ErasingSpec():
            return 8
        case RandAugmentSpec():
            return 2 * spec.operations
        case _:
            assert_never(spec)


def _erased_box(spec: ErasingSpec, drawn: Sequence[Draw]) -> tuple[Draw, Draw, Draw, Draw]:
    """Top, left, bottom and right of a box of drawn area and drawn ratio of its sides, anywhere inside."""
    area = _LEAST_ERASED_SHARE + (spec.max_share - _LEAST_ERASED_SHARE) * drawn[0]
    aspect = _LEAST_ERASED_ASPECT ** (1 - 2 * drawn[1])  # from 0.3 to 1 / 0.3, alike on both sides of 1
    height, width = np.minimum(np.sqrt(area * aspect), 1.0), np.minimum(np.sqrt(area / aspect), 1.0)
    top, left = drawn[2] * (1 - height), drawn[3] * (1 - width)
    return top, left, top + height, left + width


def _pasted_box(own_share: Draw, drawn: Sequence[Draw]) -> tuple[Draw, Draw, Draw, Draw]:
    """Top, left, bottom and right of a box around a drawn middle; what reaches beyond the border is cut off."""
    half = np.sqrt(1 - own_share) / 2
    edges = (drawn[0] - half, drawn[1] - half, drawn[0] + half, drawn[1] + half)
    top, left, bottom, right = (np.clip(edge, 0.0, 1.0) for edge in edges)
    return top, left, bottom, right


def _where(chosen: npt.NDArray[np.bool_], box: Sequence[Draw]) -> list[Draw]:
    """The box where it is chosen, and an empty one elsewhere."""
    return [np.where(chosen, edge, 0.0) for edge in box]


def uniform(seed: int, epoch: int, rows: npt.NDArray[np.int64], draws: int, *, key: int = 0) -> npt.NDArray[np.float64]:
    """float64 (B, draws) in [0, 1): a hash of (seed, epoch, row, draw), so draws depend on nothing else.

    Another `key` gives other draws, which have nothing to do with the first.
    """
    mixed = _mix(_mix(np.array([seed], np.uint64) ^ np.uint64(key)) + np.uint64(epoch))
    by_row = _mix(mixed + rows.astype(np.uint64) * _GOLDEN)
    by_draw = _mix(by_row[:, None] + (np.arange(draws, dtype=np.uint64) + np.uint64(1))[None, :] * _GOLDEN)
    return (by_draw >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finaliser of splitmix64 (Steele, Lea and Flood 2014) after its additive step."""
    mixed = values + _GOLDEN
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
