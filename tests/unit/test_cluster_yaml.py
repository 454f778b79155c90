"""cluster.yaml: valid by Ray's own schema, and what the schema lets pass is right as well."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs/how-to/ray-up.md"
TEXT = (ROOT / "cluster.yaml").read_text()
# Ray takes any key under these without a word; these are the ones that its AWS provider reads.
PROVIDER_KEYS = {"type", "region", "availability_zone", "cache_stopped_nodes", "use_internal_ips"}
NODE_KEYS = {"InstanceType", "ImageId", "BlockDeviceMappings", "MetadataOptions"}


@pytest.fixture
def config() -> dict[str, Any]:
    return dict(yaml.safe_load(TEXT))


def start_commands(config: dict[str, Any]) -> list[str]:
    return [config["head_start_ray_commands"][-1], config["worker_start_ray_commands"][-1]]


def test_ray_accepts_it(config: dict[str, Any]) -> None:
    prepared = prepare_config(copy.deepcopy(config))
    validate_config(prepared)
    assert prepared["available_node_types"]["gpu_worker"]["min_workers"] == 2
    assert prepared["max_workers"] == prepared["available_node_types"]["gpu_worker"]["max_workers"]


def test_ray_would_not_accept_a_typo_at_the_top(config: dict[str, Any]) -> None:
    config["max_worker"] = config.pop("max_workers")
    with pytest.raises(Exception, match="max_worker"):
        validate_config(prepare_config(config))


def test_keys_that_ray_does_not_check_are_known(config: dict[str, Any]) -> None:
    assert set(config["provider"]) <= PROVIDER_KEYS
    for node_type in config["available_node_types"].values():
        assert set(node_type) == {"min_workers", "max_workers", "resources", "node_config"}
        assert set(node_type["node_config"]) <= NODE_KEYS


def test_workers_have_gpus_and_the_head_takes_no_work(config: dict[str, Any]) -> None:
    types = config["available_node_types"]
    assert re.match(r"(g[456]|g6e|p[345]\w*)\.", types["gpu_worker"]["node_config"]["InstanceType"])
    assert types["head"]["resources"] == {"CPU": 0}
    assert "--num-cpus=0" in config["head_start_ray_commands"][-1]


def test_nobody_gets_in_without_the_token(config: dict[str, Any]) -> None:
    for command in start_commands(config):
        before, _, start = command.partition("ray start")
        assert "export RAY_AUTH_MODE=token " in before
        assert "--dashboard-host=127.0.0.1" in start or "--head" not in start
    assert config["file_mounts"]["/home/ubuntu/.ray/auth_token"] == "~/.ray/auth_token"
    assert config["setup_commands"][0] == "chmod 700 ~/.ray && chmod 600 ~/.ray/auth_token"
    assert not re.search(r"(?i)secret|password|AKIA|BEGIN", TEXT.replace("holds no secret", ""))


def test_every_machine_has_the_clone_the_versions_and_the_shared_folder(config: dict[str, Any]) -> None:
    setup = config["setup_commands"]
    assert config["file_mounts"]["/home/ubuntu/mmdist"] == "."
    assert sum("pip install -q -c constraints.txt '.[demo,gpu]'" in command for command in setup) == 1
    assert sum("mount -t nfs4" in command and "mountpoint -q /mnt/mmdist ||" in command for command in setup) == 1
    assert {".git", ".venv*", "runs", "datasets"} <= set(config["rsync_exclude"])


def test_the_guide_for_machines_of_ones_own_gives_a_valid_file(config: dict[str, Any]) -> None:
    section = GUIDE.read_text().partition("## On machines of your own")[2]
    for key in re.findall(r"`(\w+)`", section.partition(", and put this")[0]):
        del config[key]
    config.update(yaml.safe_load(section.partition("```yaml")[2].partition("```")[0]))
    config["auth"]["ssh_private_key"] = "~/.ssh/id_ed25519"
    prepared = prepare_config(config)
    validate_config(prepared)
    assert prepared["available_node_types"]["local.cluster.node"]["min_workers"] == 2


def test_every_place_to_change_is_in_the_guide() -> None:
    guide = GUIDE.read_text()
    keys = [
        match.group(1)
        for line, following in zip(TEXT.splitlines(), [*TEXT.splitlines()[1:], ""], strict=True)
        if "# CHANGE" in line
        for match in [re.match(r"\s*(\w+):", line) or re.match(r"\s*(\w+):", following)]
        if match
    ]
    assert len(keys) >= 7
    assert [key for key in keys if f"`{key}`" not in guide] == []
    for placeholder in sorted(set(re.findall(r"(?:ami|fs)-0+", TEXT))):
        assert f"`{placeholder}`" in guide
