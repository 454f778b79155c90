"""Splits: a function of the row and the seed alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdist.errors import JobFileError
from mmdist.importing.sources import Problem, RowKey, SourceFacts
from mmdist.importing.splits import check_columns, check_splits, possible_splits, shuffle_key, split_of
from mmdist.spec.importing import ColumnSplitsSpec, ShareSplitsSpec

names = st.text(max_size=8)


GOLDEN = "trtevatetrtrtrtetrtrtrte"
GOLDEN_KEY = "0db0085aec33eab7496555698f3b00b3"


def facts(values: tuple[str, ...] = ("author",)) -> SourceFacts:
    return SourceFacts("t", "d", "l", "a", ("image", "label"), grouped=False, values=values, versions={})


@given(names, names, names, st.integers(0, 2**40))
def test_rows_of_a_group_stay_together(one: str, other: str, group: str, seed: int) -> None:
    spec = ShareSplitsSpec()
    assert split_of(spec, RowKey(one, {}, group), seed=seed) == split_of(spec, RowKey(other, {}, group), seed=seed)
    by_column = ShareSplitsSpec(group="author")
    rows = [RowKey(name, {"author": group}, name) for name in (one, other)]
    assert split_of(by_column, rows[0], seed=seed) == split_of(by_column, rows[1], seed=seed)


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 1000))
def test_shares_are_met_and_a_split_of_share_zero_stays_empty(train: int, validation: int, seed: int) -> None:
    total = train + validation + 1
    spec = ShareSplitsSpec(train=train / total, validation=validation / total, test=1 - (train + validation) / total)
    found = [split_of(spec, RowKey(f"row {n}", {}), seed=seed) for n in range(400)]
    for split in ("train", "validation", "test"):
        share = getattr(spec, split)
        assert abs(found.count(split) / 400 - share) < 0.13
        assert share > 0 or split not in found


def test_the_assignment_never_changes_between_versions() -> None:
    found = [split_of(ShareSplitsSpec(), RowKey(f"row {n}", {}), seed=7) for n in range(12)]
    assert "".join(str(split)[0:2] for split in found) == GOLDEN
    assert shuffle_key(7, "row 1").hex() == GOLDEN_KEY


def test_seeds_differ() -> None:
    rows = [RowKey(f"row {n}", {}) for n in range(64)]
    one, other = ([split_of(ShareSplitsSpec(), row, seed=seed) for row in rows] for seed in (0, 1))
    assert one != other


def test_by_column_a_value_of_no_split_is_a_problem() -> None:
    spec = ColumnSplitsSpec(column="part", train=("a", "b"), test=("c",), validation=())
    assert split_of(spec, RowKey("r", {"part": "b"}), seed=0) == "train"
    assert split_of(spec, RowKey("r", {"part": "z"}), seed=0) == Problem("part", "no split has `z` among its values")
    assert split_of(spec, RowKey("r", {}), seed=0) == Problem("part", "no split has nothing among its values")
    assert possible_splits(spec) == ("train", "test")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (ShareSplitsSpec(train=0.7, validation=0.2, test=0.2), r"received: 0.7 \+ 0.2 \+ 0.2 = 1.1"),
        (ShareSplitsSpec(group="autor"), "no column `autor` to split by; did you mean `author`"),
        (ColumnSplitsSpec(column="fold"), "no column `fold`"),
        (ColumnSplitsSpec(column="author", train=("a",), test=("a",)), "`a` belongs to two splits"),
    ],
)
def test_splits_that_cannot_be_are_refused(spec: ShareSplitsSpec | ColumnSplitsSpec, message: str) -> None:
    with pytest.raises(JobFileError, match=message):
        check_splits(spec, facts())


def test_column_names_that_collide_are_refused() -> None:
    with pytest.raises(JobFileError, match="cannot be named `image`"):
        check_columns(facts(("image",)))
    with pytest.raises(JobFileError, match="cannot be named `fold`"):
        check_columns(facts(("fold", "fold")))
    with pytest.raises(JobFileError, match="cannot be named `group`"):
        check_splits(ShareSplitsSpec(group="author"), facts(("author", "group")))
