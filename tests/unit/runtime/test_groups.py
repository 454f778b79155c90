"""Which group of workers follows which: after a loss, a hang, a refusal of the data, or a machine's return."""

import json
import time

import pytest

from mmdist.errors import DataRefusedError, MmdistError, ResourceError, WorkerLostError
from mmdist.runtime import groups
from mmdist.runtime.failures import error_record, unwrap
from mmdist.runtime.groups import Group, Groups
from mmdist.runtime.machines import Machine
from mmdist.runtime.wording import event_line
from mmdist.spec.job import TrainJob
from mmdist.storage import EventWriter, open_store, read_events, write_live

DONE = {"metrics": {}, "report": None}


class ActorDiedError(Exception):
    """Named as Ray's: `mmdist.runtime.failures` knows it by its name."""


class WorkerGroupError(Exception):
    def __init__(self, worker_failures):
        super().__init__("worker group")
        self.worker_failures = worker_failures


def machine(number, cpus=2.0):
    return Machine(f"node-{number}", f"10.0.0.{number}", {"CPU": cpus})


class Cluster:
    """Machines that come and go, and groups that end as they are told to."""

    def __init__(self, tmp_path, monkeypatch, *, machines=2, **resources):
        monkeypatch.setattr(groups, "LOOK_EVERY_S", 0.01)
        monkeypatch.setattr(groups, "GROW_LOOK_EVERY_S", 0.01)
        monkeypatch.setattr(groups, "WAIT_FOR_MACHINES_S", 0.1)
        self.machines = [machine(number) for number in range(machines)]
        self.run = open_store(str(tmp_path / "run"))
        self.started: list[Group] = []
        self.ends = []
        job = TrainJob.model_validate(
            {
                "kind": "train",
                "name": "t",
                "data": {"train": "/d", "validation": "/v", "order": {"type": "lanes", "lanes": 8}},
                "train": {"global_batch_size": 16},
                "resources": {"cpus_per_worker": 2, **resources},
            }
        )
        events = EventWriter(self.run, 1, "driver")
        self.groups = Groups(job, self.run, events, machines=lambda: list(self.machines), start=self._start)

    def _start(self, group):
        self.started.append(group)
        for rank in range(group.placement.workers):
            EventWriter(self.run, 1, f"worker-{rank}.{group.number}").write(
                "worker-started", rank=rank, restart=group.number, host=f"h{rank}", pid=rank, node_id=f"node-{rank}"
            )
        return self.ends.pop(0)(group)

    def events(self, kind):
        return [event for event in read_events(self.run) if event.kind == kind]

    @property
    def sizes(self):
        return [group.placement.workers for group in self.started]


def finish(group):
    return DONE


def lose(*ranks):
    """Ray's error when workers' processes are gone, as `_watched` passes it on."""

    def end(group):
        cause = WorkerGroupError({rank: ActorDiedError("gone") for rank in ranks})
        raise unwrap(cause) from cause

    return end


def test_a_lost_worker_is_replaced_and_told_of_with_the_work_that_was_lost(tmp_path, monkeypatch):
    cluster = Cluster(tmp_path, monkeypatch, workers=2)

    def end(group):
        EventWriter(cluster.run, 1, "worker-0.0", first_sequence=5).write("checkpoint-saved", path="x", step=20)
        write_live(cluster.run, "worker-0", {"step": 27})
        lose(1)(group)

    cluster.ends = [end, finish]
    assert cluster.groups.run() == DONE
    assert cluster.sizes == [2, 2]
    assert [group.number for group in cluster.started] == [0, 1], "what a group writes is named after its number"
    [lost] = cluster.events("group-lost")
    assert [worker["rank"] for worker in lost.facts["lost"]] == [1]
    assert (lost.facts["step"], lost.facts["checkpoint_step"], lost.facts["lost_steps"]) == (27, 20, 7)
    assert event_line(lost) == (
        "lost worker 1 on h1 (process 1), and 7 steps of work: goes on from step 20 (loss 1; 3 are borne)"
    )


def test_with_a_machine_gone_those_that_remain_go_on(tmp_path, monkeypatch):
    cluster = Cluster(tmp_path, monkeypatch, machines=4, workers=4, min_workers=2)

    def end(group):
        del cluster.machines[3]
        lose(3)(group)

    cluster.ends = [end, finish]
    assert cluster.groups.run() == DONE
    assert cluster.sizes == [4, 2], "3 workers do not divide 8 lanes"
    [lost] = cluster.events("group-lost")
    assert lost.facts["lost"][0]["words"] == "worker 3 on h3 (process 3), whose machine is gone"
    assert event_line(cluster.events("placed")[1]) == "going on with 2 workers"


def test_without_min_workers_it_waits_for_machines_and_then_ends(tmp_path, monkeypatch):
    cluster = Cluster(tmp_path, monkeypatch, workers=2)

    def end(group):
        del cluster.machines[1]
        lose(1)(group)

    cluster.ends = [end]
    with pytest.raises(WorkerLostError, match="too few machines are left to go on") as caught:
        cluster.groups.run()
    assert caught.value.exit_code == 6
    assert caught.value.expected == "room for 2 workers, each with 2 CPUs and 0 GPUs"
    assert caught.value.received == "10.0.0.0: 2 CPUs, 0 GPUs"


def test_it_grows_back_at_a_checkpoint_and_that_is_no_failure(tmp_path, monkeypatch):
    cluster = Cluster(tmp_path, monkeypatch, workers=2, min_workers=1, max_failures=1)

    def lose_machine(group):
        assert group.regroup_request is None, "it has all its workers"
        del cluster.machines[1]
        lose(1)(group)

    def regroup(group):
        time.sleep(0.1)
        assert not cluster.run.exists(group.regroup_request), "there is no room for more yet"
        cluster.machines.append(machine(1))
        deadline = time.monotonic() + 5
        while not cluster.run.exists(group.regroup_request):
            assert time.monotonic() < deadline
            time.sleep(0.01)

    cluster.ends = [lose_machine, regroup, finish]
    assert cluster.groups.run() == DONE
    assert cluster.sizes == [2, 1, 2]
    assert len(cluster.events("group-lost")) == 1
    assert [event.facts["group"] for event in cluster.events("placed")] == [0, 1, 2]


def test_it_begins_with_the_machines_that_are_there(tmp_path, monkeypatch):
    cluster = Cluster(tmp_path, monkeypatch, machines=1, workers=4, min_workers=1)
    cluster.ends = [finish]
    cluster.groups.run()
    assert cluster.sizes == [1]
    rigid = Cluster(tmp_path, monkeypatch, machines=1, workers=4)
    with pytest.raises(ResourceError, match="the cluster cannot hold this job"):
        rigid.groups.run()


def test_one_loss_too_many_ends_it_with_6(tmp_path, monkeypatch):
    cluster = Cluster(tmp_path, monkeypatch, workers=2, max_failures=1)
    cluster.ends = [lose(0), lose(1)]
    with pytest.raises(WorkerLostError, match="the retries are spent") as caught:
        cluster.groups.run()
    assert caught.value.exit_code == 6
    assert [event.facts["failure"] for event in cluster.events("group-lost")] == [1, 2]


def test_victims_of_a_collective_alone_are_a_loss_too_and_name_those_without_last_words(tmp_path, monkeypatch):
    cluster = Cluster(tmp_path, monkeypatch, workers=2, max_failures=0)

    def end(group):
        EventWriter(cluster.run, 1, "worker-0.0", first_sequence=1).write("failed", fatal=False, message="unavailable")
        cause = WorkerGroupError({0: RuntimeError("UnavailableError: connection reset")})
        raise unwrap(cause) from cause

    cluster.ends = [end]
    with pytest.raises(WorkerLostError, match="the retries are spent") as caught:
        cluster.groups.run()
    assert caught.value.received.startswith("worker 1 on h1 (process 1): RuntimeError: UnavailableError")


@pytest.mark.parametrize("returned", [True, False])
def test_what_a_worker_has_judged_is_not_tried_again(tmp_path, monkeypatch, returned):
    cluster = Cluster(tmp_path, monkeypatch, workers=2)
    refusal = DataRefusedError("bad data")

    def end(group):
        if returned:
            raise refusal
        record = {**error_record(refusal), "fatal": True}
        EventWriter(cluster.run, 1, "worker-1.0", first_sequence=1).write("failed", **record)
        lose(0)(group)

    cluster.ends = [end]
    with pytest.raises(DataRefusedError, match="bad data") as caught:
        cluster.groups.run()
    assert caught.value.exit_code == 3
    assert len(cluster.started) == 1
    assert cluster.events("group-lost") == []


def test_an_error_of_a_full_disk_that_no_event_could_tell_is_not_tried_again(tmp_path, monkeypatch):
    cluster = Cluster(tmp_path, monkeypatch, workers=2)

    def end(group):
        cause = WorkerGroupError({1: ResourceError("the disk is full")})
        raise unwrap(cause) from cause

    cluster.ends = [end]
    with pytest.raises(MmdistError, match="the disk is full") as caught:
        cluster.groups.run()
    assert caught.value.exit_code == 4
    assert json.dumps(cluster.sizes) == "[2]"
