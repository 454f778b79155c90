"""Fields of records as arrays: statistics of the training split, missing, unknown and unreadable values."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmdist.data.content import content_sums
from mmdist.data.dataset import Dataset, open_dataset
from mmdist.data.tabular import TabularEncoder, learn_tabular
from mmdist.spec.data import TabularColumnsSpec, TabularSpec

COLUMNS = TabularColumnsSpec(numbers=("age", "dose"), categories=("sex", "smoker"))


def table(rows: int = 50, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    ages = [None if number % 7 == 3 else int(rng.integers(20, 90)) for number in range(rows)]
    doses = [" " if number % 5 == 2 else f"{rng.normal(3, 2):.3f}" for number in range(rows)]
    return pa.table(
        {
            "age": pa.array(ages, pa.int16()),
            "dose": pa.array(doses, pa.string()),
            "sex": pa.array(rng.choice(["f", "m", "x"], rows, p=[0.6, 0.35, 0.05])).dictionary_encode(),
            "smoker": pa.array([None if number % 6 == 0 else bool(number % 2) for number in range(rows)]),
        }
    )


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    pq.write_table(table(), tmp_path / "part-00000.parquet", row_group_size=7)
    return open_dataset(str(tmp_path))


def test_statistics_are_those_of_all_row_groups(dataset: Dataset) -> None:
    seen: list[int] = []
    encoder = learn_tabular(dataset, COLUMNS, TabularSpec(vocabulary=2), seen.append)
    ages = np.array([age for age in table()["age"].to_pylist() if age is not None], float)
    doses = np.array([float(dose) for dose in table()["dose"].to_pylist() if dose.strip()])
    np.testing.assert_allclose(encoder.means, [ages.mean(), doses.mean()], rtol=1e-12)
    np.testing.assert_allclose(encoder.deviations, [ages.std(), doses.std()], rtol=1e-12)
    assert encoder.vocabularies == (("f", "m"), ("true", "false"))
    assert seen[-1] == 50
    assert TabularEncoder.from_json(encoder.to_json()) == encoder


def test_missing_unknown_and_unreadable_values(dataset: Dataset) -> None:
    encoder = learn_tabular(dataset, COLUMNS, TabularSpec(vocabulary=2))
    rows = pa.table(
        {
            "age": pa.array([40.0, None, float("nan"), float("inf"), 1.0]),
            "dose": pa.array(["3", "", None, " ", "three"]),
            "sex": pa.array(["m", None, " ", "x", "f"]),
            "smoker": pa.array([True, None, None, False, None]),
        }
    )
    arrays, reasons = encoder.encode(rows)
    values, known = arrays["tabular"][..., 0], arrays["tabular"][..., 1]
    assert arrays["tabular"].dtype == np.float32
    np.testing.assert_array_equal(
        known, [[1, 1, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 1], [1, 0, 1, 0]], "what is known"
    )
    assert values[0, 0] == pytest.approx((40.0 - encoder.means[0]) / encoder.deviations[0], rel=1e-6)
    np.testing.assert_array_equal(values[:, 2:], [[2, 1], [0, 0], [0, 0], [0, 2], [1, 0]])
    assert not values[known == 0].any()
    np.testing.assert_array_equal(arrays["tabular_present"], [True, False, False, True, True])
    assert reasons == {4: ("dose", "no number: 'three'")}


def test_a_column_with_one_value_or_none_is_scaled_by_one(tmp_path: Path) -> None:
    constant = pa.table({"age": pa.array([5.0, 5.0]), "dose": pa.array([None, None], pa.float64())})
    pq.write_table(constant, tmp_path / "part-00000.parquet")
    encoder = learn_tabular(open_dataset(str(tmp_path)), TabularColumnsSpec(numbers=("age", "dose")), TabularSpec())
    assert encoder.deviations == (1.0, 1.0)
    assert encoder.means == (5.0, 0.0)


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()])
def test_the_ledger_sees_one_flipped_bit_of_a_number(kind: pa.DataType) -> None:
    numbers = np.array([1.5, -2.0, 0.0, 7.0]).astype(kind.to_pandas_dtype())
    before = content_sums(pa.table({"x": pa.array(numbers, kind), "id": ["a", "b", "c", "d"]}))
    flipped = numbers.copy()
    flipped.view(f"u{numbers.itemsize}")[2] ^= 1
    after = content_sums(pa.table({"x": pa.array(flipped, kind), "id": ["a", "b", "c", "d"]}))
    assert before["id"] == after["id"]
    assert before["x"] != after["x"]
    nulled = content_sums(pa.table({"x": pa.array(numbers, kind, mask=numbers == 0), "id": ["a", "b", "c", "d"]}))
    assert nulled["x"] != before["x"]
