"""Saves and restores a tree of JAX arrays with Orbax's AsyncCheckpointer; prints seconds as JSON.

python orbax_async.py FOLDER MILLIONS ROUNDS
"""

import json
import statistics
import sys
import time
from pathlib import Path

import jax
import orbax.checkpoint as ocp

LAYERS = 4


def main() -> None:
    """Three arrays per layer of parameters, as a model and Adam have."""
    folder, millions, rounds = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    width = int((millions * 1e6 / LAYERS) ** 0.5)
    keys = jax.random.split(jax.random.key(0), 3 * LAYERS)
    tree = {f"{index:03d}": jax.random.normal(key, (width, width)) for index, key in enumerate(keys)}
    jax.block_until_ready(tree)
    checkpointer = ocp.AsyncCheckpointer(ocp.StandardCheckpointHandler())
    blocked, written, restored = [], [], []
    for number in range(rounds):
        # Another value each time: nothing may be known from the time before.
        tree = jax.block_until_ready(jax.tree.map(lambda array: array + 1, tree))
        start = time.perf_counter()
        checkpointer.save(folder / str(number), args=ocp.args.StandardSave(tree))
        blocked.append(time.perf_counter() - start)
        checkpointer.wait_until_finished()
        written.append(time.perf_counter() - start)
        start = time.perf_counter()
        again = checkpointer.restore(folder / str(number), args=ocp.args.StandardRestore(tree))
        jax.block_until_ready(again)
        restored.append(time.perf_counter() - start)
        assert all((again[name] == tree[name]).all() for name in tree)
    names = ("blocked_s", "written_s", "restore_s")
    values = [statistics.median(each[1:] or each) for each in (blocked, written, restored)]
    print(json.dumps(dict(zip(names, values, strict=True))))


if __name__ == "__main__":
    main()
