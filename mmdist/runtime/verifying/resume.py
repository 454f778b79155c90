"""Compares a run left alone with one killed and resumed, bit for bit, and names what differs. No TensorFlow."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mmdist.runtime.verifying.bits import digest, flip_bit
from mmdist.runtime.verifying.proof import Check
from mmdist.runtime.verifying.records import Opening, Recording
from mmdist.runtime.verifying.recount import Recount
from mmdist.storage import Store, read_events
from mmdist.training.checkpoint import Restored, committed_checkpoints, read_checkpoint

__all__ = ["Trial", "judge_resume", "last_checkpoint"]

STATE_KEYS = ("step", "cursor", "totals", "ledger", "recorded_sums", "history", "early_stopping")
GROUPS = {"weight": "weights", "slot": "optimizer slots", "seed": "seed generators"}
SHOWN = 3


@dataclass(frozen=True)
class Trial:
    """What the processes of the second check left behind."""

    alone: Recording
    killed: Recording
    resumed: Recording
    alone_run: Store
    resumed_run: Store
    signal: int | None
    """What ended the killed worker; None where it ended by itself."""
    dropout: float


def judge_resume(trial: Trial, recount: Recount) -> Check:
    """The second check: killed by SIGKILL and resumed, a run ends in the bits of one that was left alone."""
    check = Check(
        "resume",
        "killed by SIGKILL and resumed in a new process, training ends bit for bit as if left alone",
        "none: bits",
    )
    at = _judge_kill(check, trial, recount)
    opening = trial.resumed.opening
    if at is None or opening is None or trial.alone.opening is None:
        if trial.resumed.failure is not None:
            check.fail(f"the resumed worker ended by an error: {_words(trial.resumed.failure)}")
        elif at is not None:
            check.fail("the resumed worker did not begin to train")
        return check
    for cause in recount.causes(trial.resumed.steps, first_step=at, whole=False):
        check.fail(cause)
    for cause in state_causes(trial.alone.steps[at].state, opening.state, opening):
        check.fail(f"as restored from the checkpoint of step {at}: {cause}")
    _judge_copies(check, trial)
    if trial.resumed.failure is not None:
        check.fail(f"the resumed worker ended by an error: {_words(trial.resumed.failure)}")
    elif trial.alone.end is None or trial.resumed.end is None:
        check.fail("a worker did not come to the last step")
    else:
        _judge_end(check, trial, opening, at)
    for controls in (trial.alone.controls, trial.resumed.controls):
        check.add_controls(controls)
    return check


def _judge_kill(check: Check, trial: Trial, recount: Recount) -> int | None:
    """Whether the plug was really pulled inside an epoch with work lost; the step that was resumed from."""
    if trial.signal != 9:
        check.fail(f"the worker was to be ended by SIGKILL, and was ended by {trial.signal or 'nothing'}")
        return None
    resumed = [event.facts for event in read_events(trial.resumed_run) if event.kind == "resumed"]
    if not resumed:
        check.fail("the second process began anew: it found no checkpoint")
        return None
    at, done = int(resumed[0]["step"]), len(trial.killed.steps)
    epoch, batch = recount.place_of(at)
    check.facts |= {"killed_after_step": done, "resumed_at_step": at, "steps_lost": done - at}
    check.facts |= {"steps": len(trial.alone.steps), "steps_after_resume": len(trial.resumed.steps)}
    if not 0 < at < done or not batch:
        check.fail(f"killed after step {done} and resumed from step {at}: not between checkpoints, inside an epoch")
        return None
    if trial.alone.steps[:done] != trial.killed.steps:
        check.fail("two runs of the same job differ before the kill: this machine does not repeat itself")
    check.found.append(
        f"SIGKILL after step {done} of {len(trial.alone.steps)}; resumed from the checkpoint of step {at}, inside "
        f"epoch {epoch + 1} before batch {batch + 1}; {done - at} step(s) done again"
    )
    return at


def state_causes(expected: Sequence[str], received: Sequence[str], opening: Opening) -> list[str]:
    """What differs between two states, by group."""
    if len(expected) != len(received):
        return [f"{len(received)} variables in place of {len(expected)}"]
    off = [number for number, pair in enumerate(zip(expected, received, strict=True)) if pair[0] != pair[1]]
    causes = []
    for group, words in GROUPS.items():
        names = [opening.names[number] for number in off if opening.groups[number] == group]
        if names:
            total = opening.groups.count(group)
            more = ", ..." if len(names) > SHOWN else ""
            lost = " (random numbers go on from another place: were they left out of the checkpoint?)"
            causes.append(
                f"{len(names)} of {total} {words} differ: {', '.join(names[:SHOWN])}{more}"
                + (lost if group == "seed" else "")
            )
    return causes


def _judge_copies(check: Check, trial: Trial) -> None:
    for name, recording in (("alone", trial.alone), ("killed", trial.killed), ("resumed", trial.resumed)):
        unlike = [*(path for step in recording.steps for path in step.unlike), *recording.unlike]
        if unlike:
            check.fail(
                f"the replicas are not synchronised ({name} run): {len(set(unlike))} variables differ between them, "
                f"first {unlike[0]}"
            )


def _judge_end(check: Check, trial: Trial, opening: Opening, at: int) -> None:
    expected, received = trial.alone.end or (), trial.resumed.end or ()
    for cause in state_causes(expected, received, opening):
        check.fail(f"at the end: {cause}")
    begun = trial.alone.opening.state if trial.alone.opening is not None else ()
    if not state_causes(expected, begun, opening):
        check.fail("training changed no variable: nothing was compared")
    one, other = last_checkpoint(trial.alone_run), last_checkpoint(trial.resumed_run)
    if one is None or other is None:
        check.fail("there is no checkpoint at the end")
        return
    for name, checkpoint, end in (("alone", one, expected), ("resumed", other, received)):
        absent = len(Counter(end) - Counter(map(digest, checkpoint.arrays)))
        if absent:
            check.fail(
                f"the {name} run's last checkpoint lacks {absent} of {len(end)} variables as they were in memory"
            )
    for cause in checkpoint_causes(one, other):
        check.fail(cause)
    for epoch in range(len(one.state.get("history", ()))):
        path = f"ledger/epoch-{epoch}.json"
        if not (trial.alone_run.exists(path) and trial.resumed_run.exists(path)):
            check.fail(f"there is no ledger of epoch {epoch + 1}")
        elif trial.alone_run.read_bytes(path) != trial.resumed_run.read_bytes(path):
            check.fail(f"the ledger of epoch {epoch + 1} differs")
    check.add_controls(_controls(one))
    _judge_random(check, trial, opening)
    counts = Counter(opening.groups)
    check.facts |= {words.replace(" ", "_"): counts[group] for group, words in GROUPS.items()}
    if not check.causes:
        check.found.append(
            f"bit for bit the same, in memory and in the last checkpoint: {counts['weight']} weights, {counts['slot']} "
            f"optimizer slots, {counts['seed']} seed generators; and metric history, cursor, totals and ledger"
        )


def _judge_random(check: Check, trial: Trial, opening: Opening) -> None:
    """Whether random numbers were drawn after the cut, without which their state was not put to the test."""
    seeds = [number for number, group in enumerate(opening.groups) if group == "seed"]
    end = trial.resumed.end or ()
    drawn = [opening.names[number] for number in seeds if end[number] != opening.state[number]]
    check.facts["seed_generators_drawn_from"] = len(drawn)
    if trial.dropout > 0.0 and not drawn:
        check.fail(
            "the job has dropout, and no seed generator of the model was drawn from after the cut: the state of the "
            "random numbers is not among the variables that a checkpoint holds"
        )
    elif drawn:
        check.found.append(f"after the cut, {len(drawn)} seed generators were really drawn from")
    else:
        check.found.append("the job has no dropout: no random state was put to the test")


def checkpoint_causes(one: Restored, other: Restored) -> list[str]:
    """What differs between two checkpoints: arrays by bits, all else by value."""
    causes = []
    pairs = list(zip(one.arrays, other.arrays, strict=False))
    off = [number for number, (a, b) in enumerate(pairs) if a.dtype != b.dtype or a.tobytes() != b.tobytes()]
    if off or len(one.arrays) != len(other.arrays):
        causes.append(f"{len(off)} of {len(one.arrays)} arrays of the last checkpoints differ")
    causes += [
        f"`{key}` of the last checkpoints differs: {one.state[key]} alone, {other.state[key]} resumed"
        for key in STATE_KEYS
        if one.state[key] != other.state[key]
    ]
    return causes


def last_checkpoint(run: Store) -> Restored | None:
    """The newest checkpoint, every byte verified; None where there is none."""
    folders = committed_checkpoints(run)
    return read_checkpoint(run, folders[-1]) if folders else None


def _controls(checkpoint: Restored) -> dict[str, bool]:
    """Faults planted into copies of the checkpoint; True for each that was seen."""
    largest = max(range(len(checkpoint.arrays)), key=lambda number: checkpoint.arrays[number].nbytes)
    flipped = list(checkpoint.arrays)
    flipped[largest] = flip_bit(flipped[largest])
    cursor = {**checkpoint.state["cursor"], "next_batch": checkpoint.state["cursor"]["next_batch"] + 1}
    history = checkpoint.state["history"][:-1]
    return {
        "one flipped bit in the checkpoint": not checkpoint_causes(checkpoint, checkpoint)
        and bool(checkpoint_causes(checkpoint, replace(checkpoint, arrays=flipped))),
        "a lost array": bool(checkpoint_causes(checkpoint, replace(checkpoint, arrays=checkpoint.arrays[:-1]))),
        "a moved cursor": bool(
            checkpoint_causes(checkpoint, replace(checkpoint, state={**checkpoint.state, "cursor": cursor}))
        ),
        "an epoch missing from the history": bool(
            checkpoint_causes(checkpoint, replace(checkpoint, state={**checkpoint.state, "history": history}))
        ),
    }


def _words(failure: Any) -> str:
    received = f" ({failure['received']})" if failure.get("received") else ""
    return f"{failure['message']}{received}"
