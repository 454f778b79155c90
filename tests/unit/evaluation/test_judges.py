"""Judges against scikit-learn, and what they keep of the worst answers."""

import numpy as np
import pyarrow as pa
import pytest
from sklearn import metrics as sk

from mmdist.data.batches import Batch, LedgerDelta
from mmdist.errors import TrainingFailedError
from mmdist.evaluation.judges import make_judge
from mmdist.evaluation.judges.base import JudgedRows
from mmdist.spec.evaluation import EvaluationSpec
from mmdist.spec.task import MultilabelSpec, OrdinalSpec, RegressionSpec

ROWS = 200
SPEC = EvaluationSpec(bootstrap_samples=200, mistakes=3)


def rows_of(label: np.ndarray) -> JudgedRows:
    count = len(label)
    batch = Batch(
        index=0,
        image=None,
        image_present=np.zeros(count, np.bool_),
        text=None,
        text_present=np.zeros(count, np.bool_),
        label=label,
        mask=np.ones(count, np.float32),
        row=np.arange(count),
        ids=[f"row-{number}" for number in range(count)],
        bad=[],
        ledger=LedgerDelta(count, {}),
    )
    return JudgedRows(batch, np.arange(count), [f"text {number}" for number in range(count)])


def judged(task, labels, label, answers, withheld=None):
    judge = make_judge(task, labels, SPEC)
    half = len(label) // 2
    tables = []
    for part in (slice(0, half), slice(half, None)):  # as batches come
        rows = rows_of(label[part])
        tables.append(judge.take(rows, {name: values[part] for name, values in answers.items()}))
        for modality, other in (withheld or {}).items():
            judge.take_withheld(modality, rows, {name: values[part] for name, values in other.items()})
    return judge, judge.metrics(0), pa.concat_tables(tables)


def inside(facts):
    return facts["low"] <= facts["value"] <= facts["high"]


def test_regression():
    rng = np.random.default_rng(0)
    truth = rng.normal(1e6, 50.0, ROWS).astype(np.float32)
    predicted = (truth + rng.normal(0, 20.0, ROWS)).astype(np.float32)
    guess = np.full(ROWS, 1e6, np.float32)
    _, found, table = judged(RegressionSpec(), (), truth, {"value": predicted}, {"text": {"value": guess}})
    headline = found["headline"]
    assert headline["mean_absolute_error"]["value"] == pytest.approx(sk.mean_absolute_error(truth, predicted))
    assert headline["root_mean_squared_error"]["value"] == pytest.approx(
        np.sqrt(sk.mean_squared_error(truth.astype(float), predicted.astype(float)))
    )
    assert headline["r_squared"]["value"] == pytest.approx(sk.r2_score(truth.astype(float), predicted.astype(float)))
    assert all(inside(facts) for facts in headline.values())
    assert found["baseline"]["value"] == pytest.approx(np.abs(truth - np.median(truth)).mean())
    [entry] = found["ablation"]
    assert entry["difference"]["low"] > 0, "without the text it errs more"
    assert table["predicted"].to_pylist() == predicted.tolist()


def test_multilabel():
    rng = np.random.default_rng(0)
    labels = ("a", "b", "c", "d")
    truth = (rng.random((ROWS, 4)) < [0.5, 0.3, 0.2, 0.0]).astype(np.float32)
    probabilities = np.clip(0.7 * truth + 0.4 * rng.random((ROWS, 4)), 0, 1).astype(np.float32)
    given = probabilities >= 0.5
    blind = {"probabilities": np.full((ROWS, 4), 0.1, np.float32)}
    answers = {"probabilities": probabilities}
    _, found, table = judged(MultilabelSpec(), labels, truth, answers, {"image": blind})
    headline = found["headline"]
    assert headline["micro_f1"]["value"] == pytest.approx(sk.f1_score(truth, given, average="micro"))
    known = truth.any(axis=0) | given.any(axis=0)
    each = sk.f1_score(truth, given, average=None, zero_division=np.nan)
    assert headline["macro_f1"]["value"] == pytest.approx(np.mean(each[known]))
    assert headline["exact_match"]["value"] == pytest.approx(sk.accuracy_score(truth, given))
    assert headline["jaccard"]["value"] == pytest.approx(
        sk.jaccard_score(truth, given, average="samples", zero_division=1.0)
    )
    expected = sk.average_precision_score(truth[:, :3], probabilities[:, :3], average="macro")
    assert headline["mean_average_precision"]["value"] == pytest.approx(expected)
    assert found["ablation"][0]["difference"]["high"] < 0
    assert [entry["support"] for entry in found["per_class"]] == truth.sum(axis=0).tolist()
    assert table["predicted"].to_pylist()[0] == [labels[number] for number in np.flatnonzero(given[0])]


def test_ordinal():
    rng = np.random.default_rng(0)
    labels = ("low", "middle", "high")
    truth = rng.integers(0, 3, ROWS).astype(np.int32)
    probabilities = rng.dirichlet(np.ones(3), ROWS).astype(np.float32) + 0.5 * np.eye(3, dtype=np.float32)[truth]
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    _, found, _ = judged(OrdinalSpec(labels=labels), labels, truth, {"probabilities": probabilities})
    answer = probabilities.argmax(axis=1)
    kappa = found["headline"]["quadratic_weighted_kappa"]
    assert kappa["value"] == pytest.approx(sk.cohen_kappa_score(truth, answer, weights="quadratic"))
    assert found["headline"]["mean_rank_error"]["value"] == pytest.approx(np.abs(truth - answer).mean())
    assert inside(kappa)
    assert found["task"] == "ordinal"
    assert "confusion" in found


@pytest.mark.parametrize(
    ("task", "label", "answers"),
    [
        (RegressionSpec(), np.zeros(4, np.float32), {"value": np.array([1.0, np.nan, 0.0, 0.0], np.float32)}),
        (MultilabelSpec(), np.zeros((4, 2), np.float32), {"probabilities": np.full((4, 2), np.inf, np.float32)}),
    ],
)
def test_answers_that_are_no_numbers_are_refused(task, label, answers):
    with pytest.raises(TrainingFailedError, match="not finite"):
        make_judge(task, ("a", "b"), SPEC).take(rows_of(label), answers)


def test_the_worst_answers_are_kept(tmp_path):
    import pyarrow.parquet as pq

    from mmdist.storage import open_store

    truth = np.zeros(10, np.float32)
    predicted = np.array([0, 5, 1, 9, 0, 7, 2, 3, 0, 4], np.float32)
    judge, _, _ = judged(RegressionSpec(), (), truth, {"value": predicted})
    judge.mistakes.write(open_store(str(tmp_path)))
    kept = pq.read_table(tmp_path / "report" / "mistakes.parquet").to_pylist()
    assert [row["predicted"] for row in kept] == ["9", "7", "5"]
    assert kept[0]["text"] == "text 3"
    assert kept[0]["confidence"] is None
