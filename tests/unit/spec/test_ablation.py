"""The ablations of jobs/ fit the demo job, and change of it what they say."""

from pathlib import Path

import pytest
import yaml

from mmdist.errors import JobFileError
from mmdist.spec.load import load_job

JOBS = Path(__file__).parents[3] / "jobs"
ABLATION = yaml.safe_load((JOBS / "ablation" / "regularization.yaml").read_text())
MISSING = yaml.safe_load((JOBS / "ablation" / "missing_modality.yaml").read_text())


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


@pytest.mark.parametrize("name", MISSING["trainings"])
def test_trainings_for_missing_modalities_differ_as_they_say(name) -> None:
    job = load_job(JOBS / "train.yaml", [*MISSING["always"], *MISSING["trainings"][name]]).spec
    read = {modality for modality in ("image", "text") if getattr(job.data.columns, modality)}
    assert read == {"picture alone": {"image"}, "text alone": {"text"}}.get(name, {"image", "text"})
    assert bool(job.model.modality_dropout) == (name == "prepared")


def test_trainings_for_missing_modalities_do_not_depend_on_the_job() -> None:
    other = ["model.image={type: vit}", "model.fusion={type: gated}", "model.modality_dropout=0.5", "train.epochs=3"]
    other += ["data.text={tokens: 3}", "train.optimizer={type: sgd}", "task.label_smoothing=0.1"]
    jobs = [load_job(JOBS / "train.yaml", [*changes, *MISSING["always"]]).spec for changes in ([], other)]
    assert jobs[0] == jobs[1]
