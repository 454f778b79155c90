"""The order once more, written from docs/design/0001-order-of-samples.md alone, in plain Python, one row at a time."""

import hashlib
import json
from math import ceil

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdist.data.order import plan_epoch
from mmdist.spec.data import GlobalOrderSpec, LanesOrderSpec

MASK = (1 << 64) - 1
Row = tuple[int, int]
PADDING = (-1, -1)


class Draws:
    """`draw` of the note."""

    def __init__(self, fingerprint: str, seed: int, epoch: int) -> None:
        self.name = ["mmdist order", 1, fingerprint, seed, epoch]

    def __call__(self, count: int, *purpose: str | int) -> list[int]:
        digest = hashlib.sha256(json.dumps([*self.name, *purpose], separators=(",", ":")).encode()).digest()
        key = int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:16], "little")
        words = [word for block in range(-(-count // 4)) for word in philox(block + 1, *key)]
        return words[:count]

    def permutation(self, count: int, *purpose: str | int) -> list[int]:
        drawn = self(count, *purpose)
        return sorted(range(count), key=lambda position: (drawn[position], position))


def philox(counter: int, low: int, high: int) -> list[int]:
    words = [counter, 0, 0, 0]
    for _ in range(10):
        first, second = 0xD2E7470EE14C6C93 * words[0], 0xCA5A826395121157 * words[2]
        words = [(second >> 64) ^ words[1] ^ low, second & MASK, (first >> 64) ^ words[3] ^ high, first & MASK]
        low, high = (low + 0x9E3779B97F4A7C15) & MASK, (high + 0xBB67AE8584CAA73B) & MASK
    return words


def lanes_order(group_rows: list[int], draw: Draws, batch_size: int, lanes: int, window: int) -> list[list[Row]]:
    filled = [group for group, rows in enumerate(group_rows) if rows]
    sequence = [filled[position] for position in draw.permutation(len(filled), "groups")]
    total = sum(group_rows)
    bounds = [lane * total // lanes for lane in range(lanes + 1)]
    laid = []
    for group in sequence:
        start, end = len(laid), len(laid) + group_rows[group]
        is_cut = any(start < bound < end for bound in bounds)
        stored = draw.permutation(end - start, "cut", group) if is_cut else range(end - start)
        laid += [(group, row) for row in stored]
    streams = []
    for lane in range(lanes):
        rows = laid[bounds[lane] : bounds[lane + 1]]
        groups = list(dict.fromkeys(group for group, _ in rows))
        stream: list[Row] = []
        for number in range(-(-len(groups) // window)):
            of_window = groups[number * window : (number + 1) * window]
            mixed = [pair for pair in rows if pair[0] in of_window]
            stream += [mixed[position] for position in draw.permutation(len(mixed), "window", lane, number)]
        streams.append(stream)
    places = batch_size // lanes
    batches = ceil(ceil(total / lanes) / places)
    return [
        [stream[place] if place < len(stream) else PADDING for stream in streams for place in of_batch]
        for of_batch in (range(batch * places, (batch + 1) * places) for batch in range(batches))
    ]


def mix(value: int) -> int:
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & MASK
    return value ^ (value >> 31)


def feistel(position: int, total: int, keys: list[int]) -> int:
    bits = (total - 1).bit_length()
    right_bits = (bits + 1) // 2
    left_bits = bits - right_bits
    value = position
    while True:
        left, right = value >> right_bits, value & ((1 << right_bits) - 1)
        for number in range(10):
            if number % 2 == 0:
                left ^= mix(right + keys[number] & MASK) >> (64 - left_bits)
            else:
                right ^= mix(left + keys[number] & MASK) >> (64 - right_bits)
        value = left << right_bits | right
        if value < total:
            return value


@settings(max_examples=60, deadline=None)
@given(
    group_rows=st.lists(st.integers(0, 12), min_size=1, max_size=12),
    lanes=st.integers(1, 6),
    places=st.integers(1, 4),
    window=st.integers(1, 4),
    seed=st.integers(0, 2**64),
)
def test_lanes_follow_the_note(group_rows: list[int], lanes: int, places: int, window: int, seed: int) -> None:
    plan = plan_epoch(
        np.array(group_rows),
        fingerprint="f00d",
        seed=seed,
        epoch=3,
        global_batch_size=lanes * places,
        order=LanesOrderSpec(lanes=lanes, window=window),
    )
    found = [plan.batch_places(batch, range(lanes)) for batch in range(plan.batches)]
    expected = lanes_order(group_rows, Draws("f00d", seed, 3), lanes * places, lanes, window)
    assert [list(zip(places.group.tolist(), places.row.tolist(), strict=True)) for places in found] == expected


@settings(max_examples=40, deadline=None)
@given(
    total=st.one_of(st.integers(1, 300), st.integers(65_530, 65_560), st.integers(2**17 - 2, 10**12)), data=st.data()
)
def test_global_follows_the_note(total: int, data: st.DataObject) -> None:
    batch = data.draw(st.integers(0, (total - 1) // 4))
    draw = Draws("f00d", 1, 0)
    plan = plan_epoch(
        np.array([total]), fingerprint="f00d", seed=1, epoch=0, global_batch_size=4, order=GlobalOrderSpec()
    )
    positions = range(batch * 4, min(batch * 4 + 4, total))
    if total <= 65_536:
        table = draw.permutation(total, "rows")
        expected = [table[position] for position in positions]
    else:
        keys = draw(10, "feistel")
        expected = [feistel(position, total, keys) for position in positions]
    assert plan.batch_places(batch, range(4)).row.tolist() == expected + [-1] * (4 - len(expected))
