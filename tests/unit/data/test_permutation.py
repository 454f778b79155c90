import hashlib

import numpy as np
import pytest

from mmdist.data.permutation import TABLE_ROWS, OrderKey, WidePermutation, sorted_permutation

MASK = (1 << 64) - 1


def philox_block(counter: int, key: tuple[int, int]) -> list[int]:
    """Philox4x64-10 after its paper (Salmon et al., SC11), one block of four words."""
    words = [counter & MASK, counter >> 64, 0, 0]
    low, high = key
    for _ in range(10):
        first, second = 0xD2E7470EE14C6C93 * words[0], 0xCA5A826395121157 * words[2]
        words = [(second >> 64) ^ words[1] ^ low, second & MASK, (first >> 64) ^ words[3] ^ high, first & MASK]
        low, high = (low + 0x9E3779B97F4A7C15) & MASK, (high + 0xBB67AE8584CAA73B) & MASK
    return words


def test_draws_are_philox_as_the_design_note_states_it() -> None:
    digest = hashlib.sha256(b'["mmdist order",1,"ab",7,3,"window",2,5]').digest()
    key = (int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:16], "little"))
    expected = [word for counter in (1, 2, 3) for word in philox_block(counter, key)]
    assert OrderKey("ab", 7, 3).draw(10, "window", 2, 5).tolist() == expected[:10]


def test_every_part_of_the_name_changes_the_draws() -> None:
    names = [
        (OrderKey("ab", 42, 1), "rows", ()),
        (OrderKey("ac", 42, 1), "rows", ()),
        (OrderKey("ab", 43, 0), "rows", ()),
        (OrderKey("ab", 42, 0), "rows", ()),
        (OrderKey("ab", 42, 1), "groups", ()),
        (OrderKey("ab", 42, 1), "window", (1, 12)),
        (OrderKey("ab", 42, 1), "window", (11, 2)),
    ]
    draws = {key.draw(1, purpose, *numbers)[0] for key, purpose, numbers in names}
    assert len(draws) == len(names)


def test_equal_draws_keep_their_order() -> None:
    assert sorted_permutation(np.array([5, 1, 5, 1], np.uint64)).tolist() == [1, 3, 0, 2]


@pytest.mark.parametrize("rows", [1, 2, 1000, TABLE_ROWS, TABLE_ROWS + 1, 100_003, 131_072, 131_073])
def test_wide_permutation_is_one(rows: int) -> None:
    found = WidePermutation(OrderKey("ab", 0, 0), rows).at(np.arange(rows))
    assert np.array_equal(np.sort(found), np.arange(rows))


def test_wide_permutation_is_the_same_for_any_slice() -> None:
    permutation = WidePermutation(OrderKey("ab", 0, 0), 1_000_003)
    whole = permutation.at(np.arange(500_000, 501_000))
    pieces = [permutation.at(np.arange(start, start + 7)) for start in range(500_000, 500_994, 7)]
    assert np.array_equal(whole[:994], np.concatenate(pieces))


def test_wide_permutation_leaves_no_order_behind() -> None:
    rows = 200_000
    found = WidePermutation(OrderKey("ab", 0, 0), rows).at(np.arange(rows))
    # Of a random permutation both are about 0 +- 1/sqrt(200,000) = 0.0022.
    assert abs(np.corrcoef(np.arange(rows), found)[0, 1]) < 0.01
    assert abs(np.corrcoef(found[:-1], found[1:])[0, 1]) < 0.01
    assert np.count_nonzero(found == np.arange(rows)) < 10


def test_wide_permutation_reaches_ten_to_the_twelve_rows() -> None:
    rows = 10**12
    found = WidePermutation(OrderKey("ab", 0, 0), rows).at(np.array([0, 1, rows - 1]))
    assert len(set(found.tolist())) == 3
    assert 0 <= found.min() <= found.max() < rows
