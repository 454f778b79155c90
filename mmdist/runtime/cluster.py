"""Shares a job's workers out to the machines of a cluster, before anything waits for them. No I/O, no Ray."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mmdist.errors import ResourceError
from mmdist.spec.resources import ResourcesSpec

__all__ = ["Placement", "place_again", "place_workers"]


@dataclass(frozen=True)
class Placement:
    """How many workers, and what each of them reserves."""

    workers: int
    cpus_per_worker: float
    gpus_per_worker: int

    @property
    def resources(self) -> dict[str, float]:
        """What Ray is asked for, per worker."""
        request: dict[str, float] = {"CPU": self.cpus_per_worker}
        if self.gpus_per_worker:
            request["GPU"] = self.gpus_per_worker
        return request


def place_workers(spec: ResourcesSpec, nodes: Sequence[Mapping[str, float]]) -> Placement:
    """Decides what each worker gets.

    Args:
        spec: What the job asks for.
        nodes: The resources of each live machine, as Ray names them: `CPU`, `GPU`.

    Raises:
        ResourceError: when the cluster can never hold what is asked for.
    """
    machines = [(int(node.get("GPU", 0)), float(node.get("CPU", 0))) for node in nodes if node.get("CPU", 0) > 0]
    if not machines:
        raise ResourceError(
            "the cluster has no machine with a CPU",
            received=f"{len(nodes)} machines",
            remedy="start a worker machine, or submit without --address",
        )
    machines.sort(reverse=True)
    used = machines[: min(spec.workers, len(machines))]
    if spec.gpus_per_worker == "auto":
        with_gpus = [machine for machine in used if machine[0]]
        used = with_gpus or used
    per_machine = math.ceil(spec.workers / len(used))
    if spec.gpus_per_worker == "auto":
        gpus = min(gpu for gpu, _ in used) // per_machine
        if not gpus and used[0][0]:
            raise _too_little(spec, machines, f"{spec.workers} workers, each with a GPU")
    else:
        gpus = spec.gpus_per_worker
    if spec.cpus_per_worker == "auto":
        share = min(cpu for _, cpu in used) / per_machine
        cpus = float(math.floor(share)) if share >= 1 else share
    else:
        cpus = float(spec.cpus_per_worker)
    room = sum(_fits(machine, gpus, cpus) for machine in machines)
    if room < spec.workers:
        raise _too_little(spec, machines, f"{spec.workers} workers, each with {cpus:g} CPUs and {gpus} GPUs")
    return Placement(spec.workers, cpus, gpus)


def place_again(first: Placement, allowed: Sequence[int], nodes: Sequence[Mapping[str, float]]) -> Placement | None:
    """As many workers as there is room for now, each with what it had at first; None for fewer than are allowed.

    Args:
        first: The placement that the job began with.
        allowed: Worker counts that the job may go on with.
        nodes: The resources of each live machine.
    """
    machines = [(int(node.get("GPU", 0)), float(node.get("CPU", 0))) for node in nodes]
    room = sum(_fits(machine, first.gpus_per_worker, first.cpus_per_worker) for machine in machines)
    fitting = [count for count in allowed if count <= room]
    return replace(first, workers=max(fitting)) if fitting else None


def _fits(machine: tuple[int, float], gpus: int, cpus: float) -> int:
    by_cpu = math.floor(machine[1] / cpus + 1e-9)
    return min(by_cpu, machine[0] // gpus) if gpus else by_cpu


def _too_little(spec: ResourcesSpec, machines: Sequence[tuple[int, float]], wanted: str) -> ResourceError:
    there = "; ".join(f"{cpu:g} CPUs, {gpu} GPUs" for gpu, cpu in machines[:8])
    more = f" and {len(machines) - 8} more" if len(machines) > 8 else ""
    return ResourceError(
        "the cluster cannot hold this job, now or later",
        expected=wanted,
        received=f"{len(machines)} machines: {there}{more}",
        remedy=f"lower resources.workers ({spec.workers}), gpus_per_worker ({spec.gpus_per_worker}) or "
        f"cpus_per_worker ({spec.cpus_per_worker}), or submit to a larger cluster",
    )
