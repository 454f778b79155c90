"""The tiny job that the campaign trains, and where chance aims the kills at it."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from campaign_child import EVALUATE, PLACES, RESTORE, START, STEP, TRACE, VALIDATE, Aim
from tiny_runs import job_dict, write_split

from mmdist.spec.dump import dump_job
from mmdist.spec.job import TrainJob

ROWS = 230
EPOCHS = 4
AIMED_SHARE = 0.7
TORN_SHARE = 0.3
LASTING_S = {RESTORE: 0.05, TRACE: 1.5, STEP: 0.02, VALIDATE: 0.1, EVALUATE: 1.0}
"""Places that last, and up to how long after their begin they are hit."""


@dataclass(frozen=True)
class Shot:
    """One kill: aimed at an operation, or so many seconds after the attempt's start."""

    aim: Aim | None = None
    after_s: float | None = None


def write_job(folder: Path) -> dict[str, Any]:
    """Dropout, augmentation, Adam, two replicas, a short last batch, a bad row, and pruning at almost every save."""
    data = {
        "train": write_split(folder / "train", ROWS, seed=1, bad=40),
        "validation": write_split(folder / "validation", 20, seed=2),
        "test": write_split(folder / "test", 30, seed=3),
    }
    return job_dict(
        data,
        train__epochs=EPOCHS,
        train__checkpoint={"every": 4, "keep_last": 2},
        train__early_stopping={"patience": EPOCHS},
    )


def job_text(job: dict[str, Any]) -> bytes:
    """The job as a file that `mmdist submit` reads."""
    return dump_job(TrainJob.model_validate(job)).encode()


def draw_shot(draw: random.Random, counts: Mapping[str, int], seconds: float, kills: int) -> Shot:
    """The next kill of a run that is to bear so many.

    Args:
        draw: Chance.
        counts: How often the run that was left alone came to each place.
        seconds: How long it took.
        kills: How many kills its work is shared out to.
    """
    if draw.random() > AIMED_SHARE:
        return Shot(after_s=draw.uniform(0.0, seconds))
    # A resumed run restores, and one that was left alone does so once, in vain.
    place = draw.choice([place for place in PLACES if place != START and counts.get(place)])
    nth = draw.randint(1, max(1, 2 * counts[place] // kills))
    if place in LASTING_S:
        return Shot(Aim(place, nth, delay_s=draw.uniform(0.0, LASTING_S[place])))
    when = "middle" if draw.random() < TORN_SHARE else draw.choice(("before", "after"))
    return Shot(Aim(place, nth, when))
