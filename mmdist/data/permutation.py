"""Permutations as pure functions of a name: the only randomness in the order of samples. No I/O.

Only the raw output of Philox4x64-10 is used, which numpy keeps stable, and no shuffle of numpy's, which it does not.
docs/design/0001-order-of-samples.md states both permutations in full.
"""

import hashlib
import json

import numpy as np
import numpy.typing as npt

__all__ = ["TABLE_ROWS", "OrderKey", "WidePermutation", "sorted_permutation"]

Int64Array = npt.NDArray[np.int64]
UInt64Array = npt.NDArray[np.uint64]

TABLE_ROWS = 1 << 16
"""Up to so many rows a `WidePermutation` is sorted as a table; beyond, it is computed for each position."""

_FEISTEL_ROUNDS = 10


class OrderKey:
    """Names the randomness of one epoch of one dataset."""

    def __init__(self, fingerprint: str, seed: int, epoch: int) -> None:
        self._name = ["mmdist order", 1, fingerprint, seed, epoch]

    def draw(self, count: int, purpose: str, *numbers: int) -> UInt64Array:
        """uint64 (count,): the first raw outputs of Philox4x64-10 under the key of a purpose and its numbers."""
        name = json.dumps([*self._name, purpose, *numbers], separators=(",", ":")).encode()
        key = np.frombuffer(hashlib.sha256(name).digest()[:16], "<u8").astype(np.uint64)
        raw: UInt64Array = np.random.Philox(key=key).random_raw(count)
        return raw


def sorted_permutation(draws: UInt64Array) -> Int64Array:
    """int64 (n,): the positions 0 to n - 1 in the order of their draws; of equal draws the lower position first."""
    return np.argsort(draws, kind="stable").astype(np.int64, copy=False)


class WidePermutation:
    """A permutation of any number of rows, computed where it is asked for: memory does not grow with the rows."""

    def __init__(self, key: OrderKey, rows: int) -> None:
        self._rows = rows
        self._table: Int64Array | None = None
        if rows <= TABLE_ROWS:
            self._table = sorted_permutation(key.draw(rows, "rows"))
        self._round_keys = key.draw(_FEISTEL_ROUNDS, "feistel")
        bits = max(2, (rows - 1).bit_length())
        self._right_bits = (bits + 1) // 2
        self._left_bits = bits - self._right_bits

    def at(self, positions: Int64Array) -> Int64Array:
        """int64 (n,): the row at each position, both from 0 to rows - 1."""
        if self._table is not None:
            return self._table[positions]
        rows = self._feistel(positions.astype(np.uint64))
        # The network permutes a power of two below twice the rows; what falls outside walks on until it is inside.
        outside = np.flatnonzero(rows >= self._rows)
        while len(outside):
            rows[outside] = self._feistel(rows[outside])
            outside = outside[rows[outside] >= self._rows]
        return rows.astype(np.int64)

    def _feistel(self, values: UInt64Array) -> UInt64Array:
        left_bits, right_bits = np.uint64(self._left_bits), np.uint64(self._right_bits)
        left = values >> right_bits
        right = values & ((np.uint64(1) << right_bits) - np.uint64(1))
        for number, key in enumerate(self._round_keys):
            if number % 2 == 0:
                left = left ^ (_mix(right + key) >> (np.uint64(64) - left_bits))
            else:
                right = right ^ (_mix(left + key) >> (np.uint64(64) - right_bits))
        return (left << right_bits) | right


def _mix(values: UInt64Array) -> UInt64Array:
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
