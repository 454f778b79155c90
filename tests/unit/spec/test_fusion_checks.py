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
