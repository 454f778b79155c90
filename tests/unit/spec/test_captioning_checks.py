import pytest

CAPTIONS = """kind: train
name: captions
data:
  train: a
  validation: b
  columns: {image: picture, label: caption}
task: {type: captioning}
"""


def test_a_captioning_job(load) -> None:
    spec = load(CAPTIONS).spec
    assert spec.task.decoder.type == "transformer"
    assert load(CAPTIONS, "task.decoder={type: lstm, units: 8}").spec.task.decoder.units == 8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("data.columns.text=caption", "captioning learns to say a text, and `data.columns.text` would show"),
        ("data.columns.image=null", "captioning says what is in a picture, and `data.columns` names none"),
        ("data.image.augment=[{type: mixup}]", "mixup makes one picture of two"),
        ("task.decoder.width=30", "the width of `task.decoder` must divide by its 4 heads"),
        ("model.fusion={type: late}", "late fusion averages a head per modality"),
        ("train.checkpoint.keep_best.metric=val/accuracy", "expected: .*val/token_accuracy"),
    ],
)
def test_what_does_not_go_together(refusal, change, message) -> None:
    import re

    assert re.search(message, refusal(CAPTIONS, change))
