"""Counts the rows that were fed again, from what each step wrote down, against a plan computed anew. No TensorFlow."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from mmdist.data.content import row_hashes, weighted_sums
from mmdist.data.dataset import Dataset, open_dataset
from mmdist.data.order import EpochPlan, plan_epoch
from mmdist.runtime.verifying.proof import Check
from mmdist.runtime.verifying.records import StepRecord
from mmdist.runtime.verifying.sample import EPOCHS
from mmdist.spec.job import TrainJob
from mmdist.storage import Store

__all__ = ["Recount", "judge_ledger"]

_MODULUS = 1 << 64


class Recount:
    """The rows of every batch of every epoch of a job, planned here and not by the run."""

    def __init__(self, job: TrainJob) -> None:
        self.dataset: Dataset = open_dataset(job.data.train)
        self._job = job
        self._plans = [self._plan(epoch) for epoch in range(EPOCHS)]
        self.batches = self._plans[0].batches
        self.sums = self._hash()
        """What the ledger of an epoch must sum up to by column, hashed here from the shards."""

    def _hash(self) -> dict[str, int]:
        columns = self._job.data.columns
        hashed = self.dataset.hashed_columns(columns)
        sums = dict.fromkeys(hashed.names, 0)
        for group in range(len(self.dataset.index)):
            table = self.dataset.read_row_group(group, self.dataset.columns_to_read(columns))
            hashes = row_hashes(table, hashed, positions=np.arange(table.num_rows, dtype=np.int64))
            for name, value in weighted_sums(hashes, np.full(table.num_rows, group, np.int64)).items():
                sums[name] = (sums[name] + value) % _MODULUS
        return sums

    def _plan(self, epoch: int) -> EpochPlan:
        return plan_epoch(
            self.dataset.index.rows,
            fingerprint=self.dataset.fingerprint,
            seed=self._job.seed,
            epoch=epoch,
            global_batch_size=self._job.train.global_batch_size,
            order=self._job.data.order,
        )

    def rows_of(self, epoch: int, batch: int) -> list[int]:
        """Numbers, in the dataset, of the rows of a batch, by place."""
        plan = self._plans[epoch]
        places = plan.batch_places(batch, range(plan.lanes))
        real = places.group >= 0
        rows: list[int] = (self.dataset.index.first_rows[places.group[real]] + places.row[real]).tolist()
        return rows

    def place_of(self, step: int) -> tuple[int, int]:
        """Epoch and batch of a step, both from 0, as is the step."""
        return step // self.batches, step % self.batches

    def causes(self, steps: Sequence[StepRecord], *, first_step: int, whole: bool) -> list[str]:
        """What is wrong with the rows of some steps that follow each other.

        Args:
            steps: What was fed.
            first_step: Steps that were trained before them, from 0.
            whole: Whether they must go on to the last epoch's end.
        """
        causes: list[str] = []
        for number, step in enumerate(steps, first_step):
            expected = self.place_of(number)
            received = (step.epoch, step.batch)
            if expected != received:
                causes.append(_cursor(expected, received, number, first_step))
                break
            planned = self.rows_of(*expected)
            if list(step.rows) != planned:
                missing, extra = set(planned) - set(step.rows), set(step.rows) - set(planned)
                causes.append(
                    f"step {number + 1} (epoch {expected[0] + 1}, batch {expected[1] + 1}) fed other rows than "
                    "planned: "
                    f"{len(missing)} missing, {len(extra)} foreign, {len(step.rows) - len(set(step.rows))} twice"
                    + ("" if missing or extra else ", or in another order")
                )
                break
        if whole and not causes:
            fed = first_step + len(steps)
            if fed != EPOCHS * self.batches:
                causes.append(f"{fed} steps were trained, not {EPOCHS * self.batches}")
        return causes

    def twice_or_never(self, steps: Sequence[StepRecord], epoch: int) -> tuple[list[int], list[int]]:
        """Rows that an epoch fed more than once, and rows that it did not feed: counted one by one."""
        counts = np.zeros(self.dataset.rows, np.int64)
        for step in steps:
            if step.epoch == epoch:
                np.add.at(counts, np.array(step.rows, np.int64), 1)
        return np.flatnonzero(counts > 1).tolist(), np.flatnonzero(counts == 0).tolist()

    def epoch_causes(self, steps: Sequence[StepRecord]) -> list[str]:
        """Rows of each epoch that were not fed just once."""
        causes = []
        for epoch in range(EPOCHS):
            twice, never = self.twice_or_never(steps, epoch)
            if twice or never:
                causes.append(
                    f"epoch {epoch + 1}: {len(twice)} rows were fed more than once and {len(never)} not at all "
                    f"(first: row {(twice or never)[0]})"
                )
        return causes


def judge_ledger(
    recount: Recount, runs: Mapping[str, tuple[Store, Sequence[StepRecord]]], *, groups_checked: int
) -> Check:
    """The third check: every row of every epoch once, by count, by content, and by an independent recount.

    Args:
        recount: The plan, computed anew.
        runs: By name, the run and the steps that led to its end, lost work left out.
        groups_checked: Row groups of the user's data that were found as they were imported.
    """
    check = Check(
        "ledger",
        f"every one of {recount.dataset.rows} rows is fed once in each of {EPOCHS} epochs, with its content",
        "exact",
    )
    fed = aside = 0
    for name, (run, steps) in runs.items():
        for cause in [*recount.causes(steps, first_step=0, whole=True), *recount.epoch_causes(steps)]:
            check.fail(f"{name} run: {cause}")
        for epoch in range(EPOCHS):
            problem = _ledger_cause(recount, run, steps, epoch)
            if problem is not None:
                check.fail(f"{name} run, epoch {epoch + 1}: {problem}")
        fed += sum(len(step.fed) for step in steps)
        aside += sum(len(step.rows) - len(step.fed) for step in steps)
        if steps:
            check.add_controls(_controls(recount, steps))
    if not fed:
        check.fail("no row was fed")
    check.facts |= {"rows_fed": fed, "rows_set_aside": aside, "runs": len(runs), "groups_as_imported": groups_checked}
    check.found.append(
        f"{fed} rows fed and {aside} set aside over {len(runs)} runs; row numbers of every step equal a plan computed "
        "anew; ledger files agree by count, and with content sums that were hashed anew from the shards"
    )
    if groups_checked:
        check.found.append(f"{groups_checked} row groups of your dataset read whole: content as imported")
    return check


def _ledger_cause(recount: Recount, run: Store, steps: Sequence[StepRecord], epoch: int) -> str | None:
    try:
        ledger = json.loads(run.read_bytes(f"ledger/epoch-{epoch}.json"))
    except FileNotFoundError:
        return "there is no ledger: the epoch was not finished"
    counted = sum(len(step.fed) for step in steps if step.epoch == epoch)
    if ledger["fed_rows"] != counted:
        return f"the ledger says {ledger['fed_rows']} rows were fed; counted by hand they are {counted}"
    if ledger["fed_rows"] + ledger["quarantined_rows"] != recount.dataset.rows:
        return f"the ledger has {ledger['fed_rows'] + ledger['quarantined_rows']} of {recount.dataset.rows} rows"
    for name, expected in recount.sums.items():
        parts = [ledger[kind].get(name) for kind in ("fed_sums", "quarantined_sums")]
        if parts[0] is None:
            return f"the ledger has no sum of column {name}"
        if sum(int(part, 16) for part in parts if part is not None) % _MODULUS != expected:
            return f"the ledger's sum of column {name} is not that of the data"
    return None


def _controls(recount: Recount, steps: Sequence[StepRecord]) -> dict[str, bool]:
    """Faults planted into a copy of what was recorded."""
    middle = len(steps) // 2
    victim = steps[middle]
    without = replace(victim, rows=victim.rows[1:])
    doubled = replace(victim, rows=(*victim.rows[1:], victim.rows[-1]))
    spoilt = {
        "a dropped row": [*steps[:middle], without, *steps[middle + 1 :]],
        "a row fed twice in place of another": [*steps[:middle], doubled, *steps[middle + 1 :]],
    }
    found = {
        name: bool(recount.causes(copy, first_step=0, whole=True)) and bool(recount.epoch_causes(copy))
        for name, copy in spoilt.items()
    }
    skipped = recount.causes(steps[middle + 1 :], first_step=middle, whole=False)
    repeated = recount.causes(steps[middle - 1 :], first_step=middle, whole=False)
    found["a cursor off by one"] = all("cursor" in " ".join(causes) for causes in (skipped, repeated))
    return found


def _cursor(expected: tuple[int, int], received: tuple[int, int], number: int, first_step: int) -> str:
    where = f"epoch {received[0] + 1}, batch {received[1] + 1}; after {number} steps it is epoch {expected[0] + 1}, "
    where += f"batch {expected[1] + 1}"
    if number != first_step or not first_step:
        return f"step {number + 1} trained on {where}"
    apart = (received[1] - expected[1]) if received[0] == expected[0] else 0
    if apart:
        what = "skipped" if apart > 0 else "fed again"
        return f"the cursor is off by {apart:+d}: the resumed run began at {where}; {abs(apart)} batch(es) {what}"
    return f"the cursor is wrong: the resumed run began at {where}"
