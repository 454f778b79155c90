import pytest

from mmdist.errors import BadRowsError, DataRefusedError
from mmdist.runtime.failures import error_record
from mmdist.runtime.rundir import read_run_state
from mmdist.runtime.views import run_details, status_text
from mmdist.storage import claim_attempt, open_store

ADVICE = "input is the bottleneck: 40% of the training time went on waiting for batches: buy"


@pytest.fixture
def run(tmp_path):
    return open_store(str(tmp_path))


def test_the_status_tells_what_to_change_about_input_and_what_storage_did(run):
    driver = claim_attempt(run, {})
    driver.write("epoch-finished", epoch=1, input_advice=ADVICE, storage_retries={"read": 5, "write": 1})
    driver.write("epoch-finished", epoch=2, input_advice=ADVICE, storage_retries={"read": 1})
    driver.write("finished", state="failed", exit_code=5)
    details = run_details(run)
    assert details["input_advice"] == ADVICE
    assert details["storage_retries"] == {"read": 6, "write": 1}
    lines = [line.strip() for line in status_text(details).splitlines()]
    assert "input       the bottleneck: 40% of the training time went on waiting for batches: buy" in lines
    assert "storage     7 operations tried again (read 6, write 1)" in lines


def test_the_status_is_silent_about_input_that_keeps_up(run):
    driver = claim_attempt(run, {})
    driver.write("epoch-finished", epoch=1, input_advice=ADVICE)
    driver.write("epoch-finished", epoch=2)
    driver.write("finished", state="succeeded", exit_code=0)
    assert read_run_state(run).is_over
    text = status_text(run_details(run))
    assert "input " not in text
    assert "storage " not in text


@pytest.mark.parametrize(
    ("error", "command"),
    [(BadRowsError("too many rows cannot be used"), None), (DataRefusedError("damaged"), "mmdist submit --resume ")],
)
def test_a_resume_is_named_where_it_may_help(run, error, command):
    claim_attempt(run, {}).write("finished", state="failed", exit_code=3, failure=error_record(error))
    details = run_details(run)
    assert details["resume"] == (command and f"{command}{run.url}")
    assert ("\n  resume      " in status_text(details)) == (command is not None)


def test_the_metrics_name_their_split(run):
    claim_attempt(run, {}).write("finished", state="succeeded", exit_code=0, metrics={"accuracy": 0.63}, split="test")
    assert "  test        accuracy 0.63" in status_text(run_details(run)).splitlines()
