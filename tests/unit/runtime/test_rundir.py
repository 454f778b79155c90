import pytest

from mmdist.errors import ResourceError, UsageError
from mmdist.runtime.rundir import (
    change_resources,
    create_run,
    new_run_id,
    read_job,
    refuse_other_work,
    versions,
    work_hash,
)
from mmdist.spec.load import load_job
from mmdist.storage import open_store, read_events

JOB = """
kind: import
name: demo
storage: {storage}
import: {{source: {{type: openmoji}}, output: data}}
"""


@pytest.fixture
def job(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "job.yaml").write_text(JOB.format(storage=tmp_path / "runs"))
    return load_job("job.yaml").spec


def test_run_ids_name_the_job_and_differ():
    assert new_run_id("demo") != new_run_id("demo")
    assert new_run_id("demo").startswith("demo-20")


def test_a_run_directory_gives_its_job_back(job):
    created = create_run(job, "r1", resolved=job)
    assert not created.adopted
    assert read_job(created.run) == job
    [submitted] = read_events(created.run)
    assert submitted.facts["kind"] == "import"
    assert set(versions()) >= {"python", "tensorflow", "ray", "pyarrow"}


def test_the_same_submission_again_adopts_the_run(job):
    create_run(job, "r1", resolved=job)
    assert create_run(job, "r1", resolved=job).adopted
    assert len(read_events(create_run(job, "r1", resolved=job).run)) == 1


def test_another_job_under_the_same_id_is_refused(job):
    create_run(job, "r1", resolved=job)
    other = job.model_copy(update={"seed": 7})
    with pytest.raises(UsageError, match="the run r1 is there already, with another job"):
        create_run(other, "r1", resolved=other)


def test_resources_and_storage_are_not_part_of_the_work(job):
    more = change_resources(job, ["resources.workers=2"])
    assert more.resources.workers == 2
    assert work_hash(more) == work_hash(job)


def test_a_resume_may_not_change_the_work(job):
    with pytest.raises(UsageError, match="only `resources` may change") as caught:
        change_resources(job, ["seed=3"])
    assert (caught.value.expected, caught.value.received) == ("seed=0", "seed=3")
    refuse_other_work(job, job)


def test_a_changed_job_file_in_the_run_is_refused(job):
    run = create_run(job, "r1", resolved=job).run
    run.write_bytes("job.yaml", run.read_bytes("job.yaml").replace(b"seed: 0", b"seed: 1"))
    with pytest.raises(ResourceError, match=r"job\.yaml was changed after it was submitted"):
        read_job(run)


def test_a_machine_that_does_not_see_the_run_says_what_to_do(tmp_path):
    with pytest.raises(ResourceError, match="no run directory there") as caught:
        read_job(open_store(str(tmp_path / "elsewhere")))
    assert "seen by every machine of the cluster" in caught.value.remedy
    assert caught.value.exit_code == 4
