"""The Ray Train backend: tells TensorFlow of the other workers, and nothing else."""

import json
import os
import socket
from dataclasses import dataclass
from typing import Any

import ray as typed_ray
from ray.train.backend import Backend, BackendConfig

__all__ = ["WorkersConfig"]


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
        if len(worker_group) < 2:
            return
        addresses = worker_group.execute(_free_address)
        ray.get(
            [
                worker_group.execute_single_async(index, _set_tf_config, addresses, index)
                for index in range(len(worker_group))
            ]
        )


def _free_address() -> str:
    host = str(ray.util.get_node_ip_address())
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        port = probe.getsockname()[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _set_tf_config(addresses: list[str], index: int) -> None:
    os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})
