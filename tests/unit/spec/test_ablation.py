"""The ablation of jobs/ fits the demo job, and takes out of it what it says."""

from pathlib import Path

import pytest
import yaml

from mmdist.errors import JobFileError
from mmdist.spec.load import load_job

JOBS = Path(__file__).parents[3] / "jobs"
ABLATION = yaml.safe_load((JOBS / "ablation" / "regularization.yaml").read_text())


def measures_of(job) -> dict[str, object]:
    """What the job has against overfitting."""
    return {
        "augment": (job.data.image.augment, job.data.text.augment),
        "regularization": job.model.regularization,
        "dropout": job.model.modality_dropout,
        "decay": job.train.optimizer.weight_decay,
        "averages": job.train.averages,
        "stopping": job.train.early_stopping,
        "losses": (job.task.label_smoothing, job.task.class_weights, job.task.focal_gamma),
    }


@pytest.mark.parametrize("change", ["crop", "randaugment"])
def test_what_xla_cannot_compile_is_refused(change) -> None:
    keys = ["train.xla=true", "resources.replicas_per_worker=1", f"data.image.augment=[{{type: {change}}}]"]
    with pytest.raises(JobFileError, match=f"XLA cannot compile the change `{change}`"):
        load_job(JOBS / "train.yaml", keys)


@pytest.fixture(scope="module")
def without():
    return measures_of(load_job(JOBS / "train.yaml", ABLATION["without"]).spec)


def test_without_any_there_is_none(without) -> None:
    assert without["augment"] == ((), ())
    assert not any(without["regularization"].model_dump().values())
    assert not any(without[name] for name in ("dropout", "decay", "averages", "stopping"))
    assert without["losses"] == (0.0, "none", 0.0)


@pytest.mark.parametrize("name", [name for name in ABLATION["measures"] if name != "none"])
def test_each_measure_changes_one_thing(without, name) -> None:
    job = load_job(JOBS / "train.yaml", [*ABLATION["without"], *ABLATION["measures"][name]]).spec
    found = measures_of(job)
    assert sum(found[part] != without[part] for part in without) == 1
