"""Keys that make no sense in a job of retrieval, each refused at its place."""

import pytest

RETRIEVAL = """kind: train
name: search
data:
  train: a
  validation: b
  columns: {image: picture, text: caption}
task: {type: retrieval}
"""


def test_a_retrieval_job_needs_no_label(load) -> None:
    spec = load(RETRIEVAL, "task.width=32").spec
    assert (spec.task.width, spec.task.temperature) == (32, 0.07)
    assert spec.train.checkpoint.keep_best.metric == "val/batch_recall"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("data.columns.text=null", "`data.columns` names no text"),
        ("data.columns.image=null", "`data.columns` names no image"),
        ("data.columns.label=class", "retrieval learns which picture and text are of one row, and reads no label"),
        ("data.columns.audio=sound", "has no use for `data.columns.audio`"),
        ("data.image.augment=[{type: mixup}]", "mixup makes one picture of two, and no text belongs to both"),
        ("model.fusion={type: gated}", "compares the two towers, and fuses nothing"),
        ("model.modality_dropout=0.1", "a hidden one takes the row out of the loss"),
        ("model.auxiliary.alignment={}", "retrieval is what `alignment` does beside another task"),
        ("model.auxiliary.per_modality=1", "has no head that each modality could have"),
        ("train.accumulate=2", "`train.accumulate` computes them in parts"),
        ("train.global_batch_size=1", "tells a row from the others of its batch"),
        ("task.temperature=0.001", "0.01"),
        ("train.checkpoint.keep_best.metric=val/accuracy", "val/batch_recall"),
    ],
)
def test_what_does_not_go_together(refusal, change, message) -> None:
    assert message in refusal(RETRIEVAL, change)
