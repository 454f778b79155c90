"""The Ray Train backend: tells TensorFlow of the other workers, and nothing else."""

import json
import os
import signal
import socket
from dataclasses import dataclass
from typing import Any

import ray as typed_ray
from ray.train.backend import Backend, BackendConfig

from mmdist.training.heartbeat import heed_preemption

__all__ = ["WorkersConfig", "stop_on_sigterm"]


# Ray has functions without types.
ray: Any = typed_ray


@dataclass
class WorkersConfig(BackendConfig):
    """Sets TF_CONFIG where there is more than one worker."""

    @property
    def backend_cls(self) -> type["WorkersBackend"]:
        """What Ray Train makes of it."""
        return WorkersBackend


class WorkersBackend(Backend):
    """Unlike Ray's own for TensorFlow, it neither imports TensorFlow in the driver nor asks for the old Keras."""

    def on_start(self, worker_group: Any, backend_config: BackendConfig) -> None:
        """Called by Ray Train when the workers are up, before they train."""
        worker_group.execute(stop_on_sigterm)
        if len(worker_group) < 2:
            return
        addresses = worker_group.execute(_free_address)
        ray.get(
            [
                worker_group.execute_single_async(index, _set_tf_config, addresses, index)
                for index in range(len(worker_group))
            ]
        )


def stop_on_sigterm() -> None:
    """Makes SIGTERM, of a machine that is taken away, ask the worker in this process to write a checkpoint and end.

    Called in the main thread of a worker's process, while training runs in another: signals come to this one.
    """
    signal.signal(signal.SIGTERM, lambda number, frame: heed_preemption())


def _free_address() -> str:
    host = str(ray.util.get_node_ip_address())
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        port = probe.getsockname()[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _set_tf_config(addresses: list[str], index: int) -> None:
    os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})
