import pytest

from mmdist.training.input_advice import INPUT_BOUND_SHARE, InputFacts, input_advice

LOCAL = InputFacts(is_remote=False, is_cached=False, threads=2, image_size=(64, 48))
REMOTE = InputFacts(is_remote=True, is_cached=False, threads=2, image_size=None)
CACHED = InputFacts(is_remote=True, is_cached=True, threads=2, image_size=None)


def shares(*, read=0.0, prepare=0.0, decode=0.0):
    return {
        "input_wait_share": read + prepare + decode,
        "read_wait_share": read,
        "prepare_wait_share": prepare,
        "decode_wait_share": decode,
        "handover_share": 0.3,
    }


@pytest.mark.parametrize("values", [{}, shares(decode=INPUT_BOUND_SHARE), shares(read=0.05, decode=0.04)])
def test_input_that_keeps_up_needs_no_advice(values):
    assert input_advice(values, LOCAL) is None


@pytest.mark.parametrize(
    ("values", "facts", "phase", "words"),
    [
        (shares(decode=0.4, read=0.1), LOCAL, "decode_wait", ("50% of", "decoding pictures (40%)", "64 x 48 pixels")),
        (shares(decode=0.4), LOCAL, "decode_wait", ("resources.cpus_per_worker; 2 threads", "mmdist data inspect")),
        (shares(decode=0.4), REMOTE, "decode_wait", ("putting batches together", "resources.workers")),
        (shares(prepare=0.4, read=0.3), LOCAL, "prepare_wait", ("tokenising", "resources.cpus_per_worker")),
        (shares(read=0.2, decode=0.1), LOCAL, "read_wait", ("reading shards (20%)", "a faster disk")),
        (shares(read=0.2), REMOTE, "read_wait", ("set data.cache", "import.rows_per_group")),
        (shares(read=0.2), CACHED, "read_wait", ("data.cache.max_bytes", "import.rows_per_group")),
    ],
)
def test_the_phase_that_takes_most_decides_what_to_change(values, facts, phase, words):
    advice = input_advice(values, facts)
    assert advice.phase == phase
    assert advice.sentence.startswith("input is the bottleneck: ")
    assert all(word in advice.sentence for word in words), advice.sentence
