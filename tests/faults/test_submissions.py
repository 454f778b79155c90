"""A sample of the campaign of lost replies; all of it by `-m campaign`."""

import pytest
import submissions


def test_every_id_ends_as_one_run_that_was_driven_once_at_a_time():
    counts, wrong = submissions.campaign(40, seed=1)
    assert wrong == []
    assert counts["killed"] > 10
    assert counts["told of an error"] > 5
    assert not counts["bugs"]


def test_the_control_that_does_not_look_is_found_out():
    _, wrong = submissions.campaign(12, seed=1, adopt=False)
    assert any("finished" in line for line in wrong)


@pytest.mark.campaign
@pytest.mark.timeout(3600)
def test_a_thousand_submissions():
    assert submissions.campaign(1000, seed=0)[1] == []
