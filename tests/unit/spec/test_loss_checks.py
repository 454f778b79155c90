import pytest

JOB = """kind: train
name: weights
data: {train: a, validation: b}
task:
  labels: [cat, dog, "3"]
  class_weights: {cat: 2, "3": 0.5}
"""


def test_weights_by_label(load) -> None:
    assert load(JOB).spec.task.class_weights == {"cat": 2.0, "3": 0.5}
    assert load(JOB, "task.class_weights=balanced").spec.task.class_weights == "balanced"
    assert load(JOB, "task.class_weights.dog=3").spec.task.class_weights["dog"] == 3.0
    learned = load(JOB, "task.labels=auto", "task.class_weights={bird: 2}")
    assert learned.spec.task.class_weights == {"bird": 2.0}, "labels that are learned are looked at then"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("task.class_weights={dgo: 2}", "`task.class_weights` has a weight for what is no label; did you mean `dog`?"),
        ("task.class_weights=balance", "did you mean `balanced`?"),
        ("task.class_weights={cat: 0}", "a number above 0"),
        ("task.class_weights={cat: x}", "wrong value for `task.class_weights"),
        ("task.label_smoothing=1", "wrong value for `task.label_smoothing`"),
        ("task.focal_gamma=-1", "a number from 0 to 10"),
        ("task={type: multilabel, labels: [a], positive_weights: {b: 2}}", "`task.positive_weights` has a weight"),
        ("task={type: ordinal, labels: [a, b, c], class_weights: balanced}", "unknown key `class_weights`"),
    ],
)
def test_what_is_no_weight(refusal, change, message) -> None:
    assert message in refusal(JOB, change)
