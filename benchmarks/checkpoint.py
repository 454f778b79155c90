"""What checkpoints and determinism cost: the step loop's stall, the share of training time, and restoring.

    python benchmarks/checkpoint.py [--sizes 1 25 100] [--rounds 3] [--work FOLDER] [--no-orbax]

For each size (millions of parameters, Adam: three arrays of them) one process trains a stack of dense layers and saves
in turns with mmdist (beside training), the way of copying every variable first, and Keras' `BackupAndRestore`
(in the loop). `blocked` is how long the call holds the loop up; `extra` is all that a save costs: the time of
the call and of every step until the checkpoint is on disk, less what that many steps take otherwise. Orbax has an
environment and a process of its own, with the same bytes and no training beside.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

LAYERS = 4
BATCH = 64
EPOCH_STEPS = 1000
"""The length of an epoch that the share at the default interval (every epoch) is stated for."""
SHARE = 0.01
ORBAX = Path(__file__).parent / "checkpoint_contestants" / "orbax_async.py"
DETERMINISM_STEPS = 20


def build(millions: float) -> tuple[Any, Any, Callable[[], None]]:
    """A model, its optimizer, and a function that trains one step and waits for it."""
    import keras
    import tensorflow as tf

    width = int((millions * 1e6 / LAYERS) ** 0.5)
    inputs = keras.Input((width,))
    hidden = inputs
    for _ in range(LAYERS):
        hidden = keras.layers.Dense(width, activation="relu")(hidden)
    model = keras.Model(inputs, hidden)
    optimizer = keras.optimizers.Adam()
    model.compile(optimizer, "mse")
    optimizer.build(model.trainable_variables)
    rows = tf.random.stateless_normal((BATCH, width), (0, 1))

    @tf.function
    def step() -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(rows, training=True) - rows))
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return loss

    return model, optimizer, lambda: float(step())


def timed(function: Callable[[], Any]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def measure(millions: float, rounds: int, work: Path) -> dict[str, dict[str, float]]:
    """Medians over the rounds, by contestant."""
    from mmdist.models.arrays import assign_arrays, read_variables
    from mmdist.storage import EventWriter, open_store
    from mmdist.training.checkpoint import CheckpointWriter, checkpoint_name, read_checkpoint

    model, optimizer, step = build(millions)
    variables = [*model.variables, *optimizer.variables]
    run = open_store(str(work / "run"))
    writer = CheckpointWriter(run, EventWriter(run, 1, "worker-0.0"), [])
    found: dict[str, dict[str, list[float]]] = {}

    def note(name: str, **values: float) -> None:
        for key, value in values.items():
            found.setdefault(name, {}).setdefault(key, []).append(value)

    def is_written() -> bool:
        return writer._writing is None or writer._writing.done()

    for number in range(rounds + 1):
        steps = [timed(step) for _ in range(6)][1:]
        step_s = statistics.median(steps)
        folder = checkpoint_name(number + 1, 1, 0)
        start = time.perf_counter()
        writer.save(folder, variables, {"step": number + 1}, lambda folders: set(folders[-1:]))
        blocked_s = time.perf_counter() - start
        beside = []
        while not is_written():
            beside.append(timed(step))
        written_s = time.perf_counter() - start
        beside.append(timed(step))  # a copy may still be due
        writer.wait()
        extra_s = blocked_s + sum(beside) - step_s * len(beside)
        note("mmdist", step_s=step_s, blocked_s=blocked_s, extra_s=max(extra_s, blocked_s), written_s=written_s)
        worst = max(beside) - step_s
        note("mmdist", worst_step_s=worst)

        def restore(folder: str = folder) -> None:
            assign_arrays(variables, read_checkpoint(run, folder).arrays, file=folder)

        note("mmdist", restore_s=timed(restore))
        note("copy first", blocked_s=timed(lambda: read_variables(variables)))
        note("Keras BackupAndRestore", **keras_backup(model, work / "keras"))
    writer.close()
    return {name: {key: statistics.median(values[1:]) for key, values in each.items()} for name, each in found.items()}


def keras_backup(model: Any, folder: Path) -> dict[str, float]:
    """Seconds of the callback's saving and restoring."""
    import keras

    callback = keras.callbacks.BackupAndRestore(str(folder), delete_checkpoint=False)
    callback.set_model(model)
    blocked_s = timed(lambda: callback.on_epoch_end(0))
    restore_s = timed(callback.on_train_begin)
    return {"blocked_s": blocked_s, "extra_s": blocked_s, "written_s": blocked_s, "restore_s": restore_s}


def orbax(millions: float, rounds: int, work: Path, environments: Path) -> dict[str, float]:
    """The same bytes with Orbax, in an environment that is made at the first use."""
    folder = environments / "orbax"
    python = folder / "bin" / "python"
    if not (folder / "_DONE").exists():
        print("installing orbax-checkpoint and jax", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "orbax-checkpoint", "jax"], check=True)
        (folder / "_DONE").touch()
    command = [python, ORBAX, work / "orbax", str(millions), str(rounds + 1)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    values: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return values


def show(millions: float, found: dict[str, dict[str, float]]) -> None:
    """Prints one size's table, and the shares."""
    ours = found["mmdist"]
    step_s = ours["step_s"]
    print(f"\n{millions:g} million parameters, {millions * 12:.0f} MB of state, a step of {step_s * 1e3:.0f} ms\n")
    print("| contestant | blocked s | / step | extra s | on disk after s | restore s | its blocked / mmdist's |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, each in found.items():
        cells = [f"{each[key]:.3f}" if key in each else "" for key in ("extra_s", "written_s", "restore_s")]
        blocked_s = each["blocked_s"]
        print(
            f"| {name} | {blocked_s:.4f} | {blocked_s / step_s:.2f} | {' | '.join(cells)} | "
            f"{blocked_s / ours['blocked_s']:.1f} |"
        )
    extra_s = ours["extra_s"]
    share = extra_s / (EPOCH_STEPS * step_s + extra_s)
    backup_s = found["Keras BackupAndRestore"]["extra_s"]
    print(
        f"\nSlowest step beside a save: {ours['worst_step_s']:.3f} s more than others. A save each epoch of "
        f"{EPOCH_STEPS} steps takes {share:.2%} of training; {SHARE:.0%} is kept by a save each "
        f"{extra_s * (1 - SHARE) / SHARE / step_s:.0f} steps or more. Keras / mmdist, all costs: "
        f"{backup_s / extra_s:.2f}."
    )


def determinism_worker() -> None:
    """Trains the demo's kind of model; one round of steps for each line that it reads."""
    import numpy as np
    import tensorflow as tf

    if sys.argv[2] == "true":
        tf.config.experimental.enable_op_determinism()
    import keras

    from mmdist.models.build import build_model
    from mmdist.models.facts import DataFacts
    from mmdist.models.tasks import build_task
    from mmdist.spec.model import BiLSTMSpec, CNNSpec, ModelSpec
    from mmdist.spec.task import ClassificationSpec

    keras.utils.set_random_seed(0)
    spec = ModelSpec(image=CNNSpec(), text=BiLSTMSpec())
    facts = DataFacts(image_size=(64, 64), text_tokens=20, vocabulary=1000, labels=tuple("abcdefgh"))
    task = build_task(ClassificationSpec(), facts, regularization=spec.regularization, seed=0)
    model = build_model(spec, task, facts, seed=0)
    optimizer = keras.optimizers.Adam()
    draw = np.random.default_rng(0)
    rows = {
        "image": tf.constant(draw.random((BATCH, 64, 64, 3)), tf.float32),
        "image_present": tf.ones(BATCH, tf.bool),
        "text": tf.constant(draw.integers(0, 1000, (BATCH, 20)), tf.int32),
        "text_present": tf.ones(BATCH, tf.bool),
    }

    @tf.function
    def step() -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(rows, training=True)))
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return loss

    float(step())
    print("ready", flush=True)
    for _ in sys.stdin:
        print(timed(lambda: [float(step()) for _ in range(DETERMINISM_STEPS)]), flush=True)


def determinism(rounds: int) -> None:
    """Prints the time of deterministic steps over that of others, paired round by round."""
    racers = [
        subprocess.Popen(
            [sys.executable, __file__, "--determinism-worker", value],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for value in ("true", "false")
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    ratios = []
    for number in range(rounds + 1):
        seconds = []
        for racer in racers if number % 2 else reversed(racers):
            assert racer.stdin is not None
            assert racer.stdout is not None
            racer.stdin.write("go\n")
            racer.stdin.flush()
            seconds.append(float(racer.stdout.readline()))
        ratios.append(seconds[0] / seconds[1] if number % 2 else seconds[1] / seconds[0])
    for racer in racers:
        racer.communicate()
    print(
        f"\nDeterministic / not, {DETERMINISM_STEPS} steps of the demo's model, paired rounds: "
        f"{', '.join(f'{ratio:.2f}' for ratio in ratios[1:])}; median {statistics.median(ratios[1:]):.2f}."
    )


def main() -> None:
    """Runs the sizes one after the other, then determinism."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=float, nargs="+", default=[1, 25, 100], help="millions of parameters")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=Path, default=Path("build/checkpoint"), help="folder for states and peers")
    parser.add_argument("--no-orbax", action="store_true")
    options = parser.parse_args()
    environments = options.work.absolute()
    environments.mkdir(parents=True, exist_ok=True)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start")
    for millions in options.sizes:
        with tempfile.TemporaryDirectory(dir=environments) as folder:
            found = measure(millions, options.rounds, Path(folder))
            if not options.no_orbax:
                found["Orbax AsyncCheckpointer"] = orbax(millions, options.rounds, Path(folder), environments)
        show(millions, found)
    determinism(options.rounds + 4)
    print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    determinism_worker() if sys.argv[1:2] == ["--determinism-worker"] else main()
