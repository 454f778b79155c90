import pickle

import pytest

from mmdist import errors
from mmdist.errors import (
    DataRefusedError,
    JobFileError,
    MmdistError,
    MultipleJobFileError,
    Place,
    ResourceError,
    StopRequestedError,
    WorkerLostError,
)
from mmdist.runtime.failures import error_from_record, error_record, unwrap

KINDS = [getattr(errors, name) for name in errors.__all__ if name.endswith("Error") and name != "MultipleJobFileError"]


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_survives_its_record(kind):
    error = kind("m", expected="e", received="r", place=Place("f", 1, 2, "k"), remedy="d")
    back = error_from_record(error_record(error))
    assert (type(back), str(back), back.exit_code) == (kind, str(error), kind.exit_code)


def test_a_record_of_an_unknown_kind_keeps_its_exit_code():
    back = error_from_record({"error": "LaterError", "exit_code": 9, "message": "m"})
    assert (type(back), back.exit_code) == (MmdistError, 9)


def test_several_errors_of_a_job_file_become_one_with_all_of_their_text():
    several = MultipleJobFileError([JobFileError("first"), JobFileError("second")])
    back = error_from_record(error_record(several))
    assert (back.exit_code, str(back)) == (2, str(several))


def test_rays_wrappers_come_off():
    from ray.exceptions import RayTaskError
    from ray.train.v2.api.exceptions import ControllerError, WorkerGroupError

    refused = DataRefusedError("bad rows", remedy="mend them")
    task_error = RayTaskError("f", "traceback", refused).as_instanceof_cause()
    assert unwrap(task_error) is refused
    assert unwrap(WorkerGroupError("x", {0: RuntimeError("y"), 1: task_error})) is refused
    assert unwrap(ControllerError(refused)) is refused
    assert str(unwrap(pickle.loads(pickle.dumps(refused)))) == str(refused)


def test_a_lost_worker_is_named_as_such():
    from ray.exceptions import ActorDiedError
    from ray.train.v2.api.exceptions import WorkerGroupError

    failure = unwrap(WorkerGroupError("x", {0: ActorDiedError()}))
    assert isinstance(failure, WorkerLostError)
    assert "--resume" in failure.remedy


def test_memory_and_disk_are_resources():
    assert isinstance(unwrap(MemoryError()), ResourceError)
    assert unwrap(OSError(28, "No space left on device")).message == "the disk is full"


def test_an_error_raised_from_ours_is_ours():
    outer = RuntimeError("outer")
    outer.__cause__ = StopRequestedError("stop")
    assert isinstance(unwrap(outer), StopRequestedError)


def test_anything_else_is_a_bug_that_says_what_it_was():
    failure = unwrap(ZeroDivisionError("division by zero"))
    assert (type(failure), failure.exit_code) == (MmdistError, 1)
    assert failure.received == "ZeroDivisionError: division by zero"
