import pytest
from job_texts import TRAIN


@pytest.mark.parametrize(("width", "tried"), [(30, "28 or 32"), (3, "4")])
def test_heads_share_out_the_width(refusal, load, width, tried) -> None:
    text = TRAIN + f"model:\n  fusion: {{type: cross_attention, width: {width}}}\n"
    message = refusal(text)
    assert message.startswith(
        f"job.yaml:7:3: the width of `model.fusion` must divide by its 4 heads; received {width}."
    )
    assert f"Try {tried}." in message
    load(text, "model.fusion.width=32")


def test_alignment_needs_the_batch_as_a_whole(refusal, load) -> None:
    text = TRAIN + "model:\n  auxiliary: {alignment: {}}\ntrain: {accumulate: 2}\n"
    assert refusal(text).startswith("job.yaml:8:21: alignment tells a row from all others of its batch, and")
    load(text, "train.accumulate=1")
    load(text, "model.auxiliary.alignment=null")


def test_modality_dropout_is_one_number_or_one_for_each(load) -> None:
    assert load(TRAIN + "model: {modality_dropout: 0.3}\n").spec.model.modality_dropout == 0.3
    rates = load(TRAIN + "model: {modality_dropout: {text: 0.2}}\n").spec.model.modality_dropout
    assert (rates.image, rates.text) == (0.0, 0.2)
