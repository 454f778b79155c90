"""The devices of one worker: made, counted and set to repeat exactly before TensorFlow does anything else."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import keras
import tensorflow as tf
from tensorflow.python.distribute.collective_all_reduce_strategy import CollectiveAllReduceExtended

from mmdist.data.stream import default_threads
from mmdist.errors import Place, ResourceError
from mmdist.models.seeds import seed_for
from mmdist.spec.resources import ResourcesSpec

__all__ = ["Devices", "set_up_devices"]


@dataclass(frozen=True)
class Devices:
    """What a worker trains on."""

    strategy: Any
    """tf.distribute strategy over all replicas of all workers."""
    kind: Literal["cpu", "gpu"]
    local_replicas: int
    """Replicas in this worker."""
    replicas: int
    """Replicas over all workers."""
    threads: int
    """Threads that one operation may use; results depend on it in the last bits."""
    deterministic: bool
    names: tuple[str, ...]
    """This worker's devices, by replica."""


def set_up_devices(
    resources: ResourcesSpec, *, workers: int, deterministic: bool | Literal["auto"], seed: int
) -> Devices:
    """Makes this process's devices and the strategy over them; once per process, before any other TensorFlow call.

    Args:
        resources: What the job asks for.
        workers: Workers of the job; with more than one, TF_CONFIG must name them all.
        deterministic: Whether every operation must repeat bit for bit; `auto`: on CPU yes, on GPU no.
        seed: The job's seed.

    Raises:
        ResourceError: where the GPUs or replicas asked for are not there.
    """
    threads = default_threads() if resources.cpus_per_worker == "auto" else resources.cpus_per_worker
    gpus = _gpus(resources)
    wanted = resources.replicas_per_worker
    local_replicas = max(len(gpus), 1) if wanted == "auto" else wanted
    if gpus and local_replicas > len(gpus):
        raise ResourceError(
            "there is one replica per GPU",
            expected=f"at most {len(gpus)} replicas per worker",
            received=str(local_replicas),
            place=Place(key="resources.replicas_per_worker"),
        )
    _configure(gpus[:local_replicas], local_replicas, threads)
    exact = not gpus if deterministic == "auto" else deterministic
    keras.utils.set_random_seed(seed_for(seed, "process"))
    if exact:
        tf.config.experimental.enable_op_determinism()
    kind: Literal["cpu", "gpu"] = "gpu" if gpus else "cpu"
    names = tuple(f"{kind.upper()}:{number}" for number in range(local_replicas))
    if workers > 1:
        with _own_devices(kind, local_replicas):
            strategy = tf.distribute.MultiWorkerMirroredStrategy()
    else:
        strategy = tf.distribute.MirroredStrategy(names)
    replicas = int(strategy.num_replicas_in_sync)
    if replicas != workers * local_replicas:
        raise ResourceError(
            "the replicas that were asked for cannot be made here",
            expected=f"{workers} workers with {local_replicas} replicas each",
            received=f"{replicas} replicas in all",
            place=Place(key="resources.replicas_per_worker"),
            remedy="set `resources.replicas_per_worker` to what every worker has",
        )
    return Devices(strategy, kind, local_replicas, replicas, threads, exact, names)


@contextmanager
def _own_devices(kind: str, local_replicas: int) -> Iterator[None]:
    """Lets TensorFlow's strategy over several workers take all devices of this worker.

    By itself it takes one CPU device whatever there are; nothing else in it stands against several.
    """

    def devices(extended: Any, cluster_resolver: Any, worker_device: str) -> tuple[tuple[str, ...], str]:
        device = kind.upper()
        return tuple(f"{worker_device}/device:{device}:{number}" for number in range(local_replicas)), device

    before = CollectiveAllReduceExtended._initialize_local_devices
    CollectiveAllReduceExtended._initialize_local_devices = devices
    try:
        yield
    finally:
        CollectiveAllReduceExtended._initialize_local_devices = before


def _gpus(resources: ResourcesSpec) -> list[Any]:
    found = tf.config.list_physical_devices("GPU")
    if resources.gpus_per_worker == "auto":
        return list(found)
    if len(found) < resources.gpus_per_worker:
        raise ResourceError(
            "this worker does not see the GPUs that it was promised",
            expected=f"{resources.gpus_per_worker} GPUs",
            received=f"{len(found)}",
            place=Place(key="resources.gpus_per_worker"),
            remedy="check the driver and CUDA libraries on this machine, or lower `resources.gpus_per_worker`",
        )
    return list(found[: resources.gpus_per_worker])


def _configure(gpus: list[Any], local_replicas: int, threads: int) -> None:
    try:
        tf.config.set_visible_devices(gpus, "GPU")
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)
        if not gpus:
            [cpu] = tf.config.list_physical_devices("CPU")
            tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * local_replicas)
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        # Each replica may block one of these in a collective while another has yet to come there.
        tf.config.threading.set_inter_op_parallelism_threads(max(2, threads, 2 * local_replicas))
    except RuntimeError as error:
        raise ResourceError(
            "TensorFlow was started in this process before its devices were set",
            received=str(error),
            remedy="train in a fresh process",
        ) from error
