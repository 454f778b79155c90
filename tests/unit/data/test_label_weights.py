"""Weights of labels: balanced by the training split's rows, or as the job gives them."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmdist.data.dataset import Dataset, open_dataset
from mmdist.data.targets import TargetFacts, learn_target
from mmdist.errors import JobFileError
from mmdist.spec.task import ClassificationSpec, MultilabelSpec, OrdinalSpec

LABELS = ["a"] * 6 + ["b"] * 3 + ["c"] + [None, " "]
TAGS = ["x;y", "x", "x; x", "", None, "z", "x", "", "", "", "", ""]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    pq.write_table(pa.table({"label": LABELS, "tags": TAGS}), tmp_path / "part-00000.parquet", row_group_size=5)
    return open_dataset(str(tmp_path))


def test_balanced_labels_weigh_alike_and_a_row_1_on_average(dataset: Dataset) -> None:
    facts = learn_target(ClassificationSpec(class_weights="balanced"), dataset, "label")
    assert facts.labels == ("a", "b", "c")
    assert facts.label_weights == pytest.approx((10 / 18, 10 / 9, 10 / 3))
    assert sum(n * weight for n, weight in zip((6, 3, 1), facts.label_weights, strict=True)) == pytest.approx(10)
    named = ClassificationSpec(class_weights="balanced", labels=("c", "a", "gone"))
    assert learn_target(named, dataset, "label").label_weights == pytest.approx((7 / 2, 7 / 12, 1))


def test_of_several_labels_a_label_has_its_negatives_over_its_positives(dataset: Dataset) -> None:
    facts = learn_target(MultilabelSpec(positive_weights="balanced"), dataset, "tags")
    assert facts.labels == ("x", "y", "z")
    assert facts.label_weights == pytest.approx((7 / 4, 10, 10))


def test_weights_are_kept_with_the_labels_and_only_where_there_are_any(dataset: Dataset) -> None:
    facts = learn_target(ClassificationSpec(class_weights={"b": 2.0}), dataset, "label")
    assert facts.label_weights == (1.0, 2.0, 1.0)
    assert TargetFacts.from_json(json.loads(json.dumps(facts.to_json()))) == facts
    plain = learn_target(ClassificationSpec(), dataset, "label")
    assert (plain.label_weights, set(plain.to_json())) == ((), {"labels", "mean", "deviation"})
    assert learn_target(OrdinalSpec(labels=("a", "b", "c")), dataset, "label").label_weights == ()


def test_a_weight_of_no_label_is_refused(dataset: Dataset) -> None:
    with pytest.raises(JobFileError, match="a weight is given for what is no label") as caught:
        learn_target(ClassificationSpec(class_weights={"d": 2.0}), dataset, "label")
    assert (caught.value.received, caught.value.place.key) == ("'d'", "task.class_weights")
