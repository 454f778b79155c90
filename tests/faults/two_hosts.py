"""Trains on two hosts made of network namespaces, cuts one off in the middle, and brings it back: run by hand, as root.

    python tests/faults/two_hosts.py            one host is cut off, and later returns
    python tests/faults/two_hosts.py --whole    nothing happens to them

Prints what the run's events tell, with seconds since the cut, and PASSED; ends with 1 where it did not pass, and with 0
and the reason where namespaces cannot be made. The hosts have addresses of their own and share the file system.
"""

import argparse
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BRIDGE, NETWORK, GCS_PORT, DASHBOARD_PORT = "mmtwo", "10.77.9", 6379, 8265
HOSTS = ("mmtwo1", "mmtwo2")
ROWS = 1154
TOLD = ("attempt-started", "placed", "worker-started", "worker-hung", "group-lost", "resumed", "failed", "finished")
CHANGES = ["import.source.size=32", "data.image.size=[32, 32]", "train.global_batch_size=16"]
CHANGES += ["train.checkpoint.every=20", "evaluation.bootstrap_samples=100"]
CHANGES += ["resources.workers=2", "resources.min_workers=1", "resources.cpus_per_worker=1"]
LIMIT_S = 120


def why_not() -> str | None:
    """Why namespaces cannot be made here; None where they can."""
    if os.geteuid() != 0:
        return "it needs root"
    if shutil.which("ip") is None:
        return "it needs `ip` (iproute2)"
    made = subprocess.run(["ip", "netns", "add", HOSTS[0]], capture_output=True, text=True)
    if made.returncode != 0:
        return f"network namespaces cannot be made: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "delete", HOSTS[0]], check=True)
    return None


def ip(words: str) -> None:
    subprocess.run(["ip", *words.split()], check=True)


def inside(host: str, words: list[str], env: dict[str, str], **options: Any) -> subprocess.Popen:
    """Starts a command on a host, under the host's own name."""
    frame = ["ip", "netns", "exec", host, "unshare", "--uts", "sh", "-c", 'hostname "$0"; exec "$@"', host]
    return subprocess.Popen([*frame, *words], env=env, **options)


@contextmanager
def hosts() -> Iterator[None]:
    """The hosts with their network; ends every process on them."""
    ip(f"link add {BRIDGE} type bridge")
    try:
        ip(f"link set {BRIDGE} up")
        for number, host in enumerate(HOSTS, 1):
            ip(f"netns add {host}")
            ip(f"link add v{host} type veth peer name eth0 netns {host}")
            ip(f"link set v{host} master {BRIDGE} up")
            ip(f"-n {host} addr add {NETWORK}.{number}/24 dev eth0")
            ip(f"-n {host} link set eth0 up")
            ip(f"-n {host} link set lo up")
        yield
    finally:
        for host in HOSTS:
            end_processes(host)
            subprocess.run(["ip", "netns", "delete", host], check=False)
        subprocess.run(["ip", "link", "delete", BRIDGE], check=False)


def end_processes(host: str) -> None:
    for _ in range(20):
        found = subprocess.run(["ip", "netns", "pids", host], capture_output=True, text=True).stdout.split()
        if not found:
            return
        subprocess.run(["kill", "-KILL", *found], stderr=subprocess.DEVNULL)
        time.sleep(0.2)


def start_ray(number: int, env: dict[str, str], folder: Path) -> None:
    """Starts the host's part of the cluster; the first host has the head."""
    words = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats", "--num-cpus=1"]
    words += [f"--node-ip-address={NETWORK}.{number}", "--object-store-memory=200000000"]
    if number == 1:
        words += ["--head", f"--port={GCS_PORT}", f"--temp-dir={folder / 'ray'}", "--include-dashboard=true"]
        words += [f"--dashboard-host={NETWORK}.1", f"--dashboard-port={DASHBOARD_PORT}"]
    else:
        words += [f"--address={NETWORK}.1:{GCS_PORT}"]
    with (folder / f"host{number}.log").open("a") as log:
        inside(HOSTS[number - 1], words, env, stdout=log, stderr=log, cwd=folder, start_new_session=True)


def read_events(run: Path) -> list[dict[str, Any]]:
    found = []
    for path in (run / "events").glob("*.json"):
        try:
            found.append({"writer": path.stem, **json.loads(path.read_text())})
        except ValueError:
            continue  # on its way
    return sorted(found, key=lambda event: event["time"])


def wait_for(what: str, condition: Callable[[], object], limit_s: float) -> None:
    begun_s = time.monotonic()
    while not condition():
        if time.monotonic() - begun_s > limit_s:
            raise TimeoutError(f"waited {limit_s:.0f} s for {what}")
        time.sleep(0.2)


def train(folder: Path, *, cut: bool) -> list[str]:
    """What did not go as it must; empty where all did."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    env |= {"PATH": f"{Path(sys.executable).parent}:{env['PATH']}", "RAY_TRAIN_V2_ENABLED": "1"}
    for name in ("PYTHONDONTWRITEBYTECODE", "RAY_ADDRESS"):
        env.pop(name, None)
    start_ray(1, env, folder)
    address = f"http://{NETWORK}.1:{DASHBOARD_PORT}"
    probe = ["sh", "-c", f"ip netns exec {HOSTS[0]} bash -c 'exec 3<>/dev/tcp/{NETWORK}.1/{DASHBOARD_PORT}'"]
    wait_for("the head", lambda: subprocess.run(probe, stderr=subprocess.DEVNULL).returncode == 0, 60)
    start_ray(2, env, folder)
    time.sleep(10.0)  # until the second host has joined
    words = [sys.executable, "-m", "mmdist", "submit", str(ROOT / "jobs" / "train.yaml"), "--run-id", "two-hosts"]
    words += ["--address", address, "--set", f"train.epochs={14 if cut else 2}"]
    for change in CHANGES:
        words += ["--set", change]
    command = inside(HOSTS[0], words, env, cwd=folder)
    run = folder / "runs" / "two-hosts"

    def found(kind: str, **facts: Any) -> list[dict[str, Any]]:
        events = [event for event in read_events(run) if event["kind"] == kind]
        return [event for event in events if facts.items() <= event["facts"].items()]

    wait_for("training on two hosts", lambda: found("checkpoint-saved") or command.poll() is not None, 180)
    cut_s = time.time()
    if cut:
        ip(f"link set v{HOSTS[1]} down")
        wait_for("a smaller group", lambda: found("placed", workers=1) or command.poll() is not None, LIMIT_S)
        end_processes(HOSTS[1])
        ip(f"link set v{HOSTS[1]} up")
        start_ray(2, env, folder)
    exit_code = command.wait(timeout=1200)  # a busy machine needs it
    for event in read_events(run):
        if event["kind"] in TOLD:
            facts = {name: fact for name, fact in event["facts"].items() if name not in ("versions", "resources")}
            sys.stdout.write(f"{event['time'] - cut_s:8.1f} s  {event['kind']:16s} {json.dumps(facts)[:300]}\n")
    wrong = [] if exit_code == 0 else [f"exit code {exit_code}"]
    sizes = [event["facts"]["workers"] for event in found("placed")]
    if sizes != ([2, 1, 2] if cut else [2]):
        wrong.append(f"groups of {sizes} workers")
    started = {(event["facts"]["rank"], event["facts"]["host"]) for event in found("worker-started", restart=0)}
    if {host for _, host in started} != set(HOSTS):
        wrong.append(f"workers on {sorted(started)}")
    for path in sorted((run / "ledger").glob("*.json")):
        ledger = json.loads(path.read_text())
        if not ledger["fed_rows"] == ledger["expected_rows"] == ROWS or ledger["fed_sums"] != {
            name: ledger["expected_sums"][name] for name in ledger["fed_sums"]
        }:
            wrong.append(f"{path.name} is not exact")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--whole", action="store_true")
    options = parser.parse_args()
    reason = why_not()
    if reason is not None:
        sys.stdout.write(f"SKIPPED: {reason}\n")
        return 0
    folder = Path(tempfile.mkdtemp(prefix="two-", dir="/tmp"))
    try:
        with hosts():
            wrong = train(folder, cut=not options.whole)
    except TimeoutError as error:
        wrong = [str(error)]
    if wrong:
        sys.stdout.write(f"FAILED: {'; '.join(wrong)}; what is left lies in {folder}\n")
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.write("PASSED\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
