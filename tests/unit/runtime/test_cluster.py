import pytest

from mmdist.errors import ResourceError
from mmdist.runtime.cluster import Placement, place_again, place_workers
from mmdist.spec.resources import ResourcesSpec


def place(nodes, **resources):
    placement = place_workers(ResourcesSpec(**resources), nodes)
    return placement.workers, placement.cpus_per_worker, placement.gpus_per_worker


SMALL = {"CPU": 2.0}
GPUS = {"CPU": 16.0, "GPU": 4.0}


@pytest.mark.parametrize(
    ("nodes", "resources", "expected"),
    [
        ([SMALL], {}, (1, 2.0, 0)),
        ([SMALL], {"workers": 2}, (2, 1.0, 0)),
        ([SMALL], {"workers": 4}, (4, 0.5, 0)),
        ([GPUS], {}, (1, 16.0, 4)),
        ([GPUS], {"gpus_per_worker": 0}, (1, 16.0, 0)),
        ([GPUS], {"workers": 2}, (2, 8.0, 2)),
        ([SMALL, GPUS], {}, (1, 16.0, 4)),
        ([SMALL, GPUS, GPUS], {"workers": 2}, (2, 16.0, 4)),
        ([{"CPU": 0.0}, SMALL], {"cpus_per_worker": 1}, (1, 1.0, 0)),
    ],
)
def test_workers_get_their_share_of_the_best_machines(nodes, resources, expected):
    assert place(nodes, **resources) == expected


@pytest.mark.parametrize(
    ("nodes", "resources", "wanted"),
    [
        ([SMALL], {"gpus_per_worker": 1}, "1 workers, each with 2 CPUs and 1 GPUs"),
        ([SMALL], {"cpus_per_worker": 3}, "1 workers, each with 3 CPUs and 0 GPUs"),
        ([SMALL, SMALL], {"workers": 3, "cpus_per_worker": 2}, "3 workers, each with 2 CPUs"),
        ([GPUS], {"workers": 5}, "5 workers, each with a GPU"),
    ],
)
def test_what_no_machine_holds_is_refused_with_what_is_there(nodes, resources, wanted):
    with pytest.raises(ResourceError, match="cannot hold this job") as caught:
        place(nodes, **resources)
    assert wanted in caught.value.expected
    assert caught.value.received.startswith(f"{len(nodes)} machines: ")
    assert caught.value.exit_code == 4


def test_a_cluster_without_machines_is_refused():
    with pytest.raises(ResourceError, match="no machine with a CPU"):
        place([{"CPU": 0.0}])


@pytest.mark.parametrize(
    ("nodes", "allowed", "workers"),
    [
        ([SMALL, SMALL], [4, 2, 1], 2),
        ([SMALL, SMALL, SMALL], [4, 2, 1], 2),
        ([SMALL], [4, 2], None),
        ([SMALL, {"CPU": 1.0}], [2, 1], 1),
    ],
)
def test_a_smaller_group_keeps_what_each_worker_has(nodes, allowed, workers):
    placement = place_again(Placement(4, 2.0, 0), allowed, nodes)
    assert placement == (None if workers is None else Placement(workers, 2.0, 0))


def test_machines_that_are_left_but_have_no_gpu_hold_no_worker_with_one():
    assert place_again(Placement(2, 2.0, 1), [2, 1], [GPUS, SMALL]) == Placement(2, 2.0, 1)
    assert place_again(Placement(2, 2.0, 1), [2, 1], [SMALL]) is None
