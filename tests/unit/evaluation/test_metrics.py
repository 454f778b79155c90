import numpy as np
import numpy.typing as npt
import pytest
from sklearn import metrics as sklearn_metrics

from mmdist.errors import TrainingFailedError
from mmdist.evaluation.bootstrap import resampled_sums, total_sums
from mmdist.evaluation.metrics import classification_metrics, scored_metrics
from mmdist.evaluation.scores import RowScores, score_rows
from mmdist.spec.evaluation import EvaluationSpec

SPEC = EvaluationSpec(bootstrap_samples=300)


def rows_of(
    rows: int, classes: int, *, seed: int = 0, strength: float = 1.5
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    random = np.random.default_rng(seed)
    truth = random.integers(0, classes, rows)
    logits = random.normal(size=(rows, classes))
    logits[np.arange(rows), truth] += strength
    probabilities = np.exp(logits)
    return truth, (probabilities / probabilities.sum(axis=1, keepdims=True)).astype(np.float32)


def names(classes: int) -> list[str]:
    return [f"class {index}" for index in range(classes)]


def test_the_numbers_are_those_of_scikit_learn() -> None:
    truth, probabilities = rows_of(500, 6)
    predicted = probabilities.argmax(axis=1)
    doubles = probabilities.astype(np.float64)
    result = classification_metrics(truth, probabilities, names(6), SPEC, 0)
    expected = {
        "accuracy": sklearn_metrics.accuracy_score(truth, predicted),
        "balanced_accuracy": sklearn_metrics.balanced_accuracy_score(truth, predicted),
        "macro_f1": sklearn_metrics.f1_score(truth, predicted, average="macro"),
        "log_loss": sklearn_metrics.log_loss(truth, doubles / doubles.sum(axis=1, keepdims=True)),
        "top_3_accuracy": sklearn_metrics.top_k_accuracy_score(truth, probabilities, k=3),
    }
    for name, value in expected.items():
        assert result["headline"][name]["value"] == pytest.approx(value, abs=1e-6), name
    assert result["confusion"]["counts"] == sklearn_metrics.confusion_matrix(truth, predicted).tolist()
    recalls = sklearn_metrics.recall_score(truth, predicted, average=None)
    assert [entry["recall"]["value"] for entry in result["per_class"]] == pytest.approx(recalls.tolist())


def test_calibration_error_by_hand() -> None:
    # Two bins: 0.55 sure and always wrong (gap 0.55, 1 row), 0.95 sure and 2 of 3 right (gap 0.95 - 2/3).
    probabilities = np.array([[0.55, 0.45], [0.95, 0.05], [0.95, 0.05], [0.05, 0.95]], dtype=np.float32)
    truth = np.array([1, 0, 0, 0])
    result = classification_metrics(truth, probabilities, ["a", "b"], SPEC, 0)
    expected = (0.55 + 3 * (0.95 - 2 / 3)) / 4
    assert result["headline"]["calibration_error"]["value"] == pytest.approx(expected, abs=1e-6)
    assert [bin_["rows"] for bin_ in result["calibration"]] == [0, 0, 0, 0, 0, 1, 0, 0, 0, 3]


def test_intervals_hold_the_value_and_cover_as_often_as_they_say() -> None:
    covered = 0
    for seed in range(120):
        truth, probabilities = rows_of(200, 3, seed=seed)
        accuracy = classification_metrics(truth, probabilities, names(3), SPEC, seed)["headline"]["accuracy"]
        assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]
        many_truth, many = rows_of(20_000, 3, seed=999)
        covered += accuracy["low"] <= (many.argmax(axis=1) == many_truth).mean() <= accuracy["high"]
    assert 0.88 <= covered / 120 <= 1.0


def test_joined_rows_give_the_interval_of_single_rows() -> None:
    truth, probabilities = rows_of(120_000, 3)
    low_high = classification_metrics(truth, probabilities, names(3), SPEC, 0)["headline"]["accuracy"]
    right = (probabilities.argmax(axis=1) == truth).mean()
    width = 2 * 1.96 * np.sqrt(right * (1 - right) / 120_000)
    assert low_high["high"] - low_high["low"] == pytest.approx(width, rel=0.2)


def test_same_seed_same_intervals_and_another_seed_others() -> None:
    truth, probabilities = rows_of(200, 4)
    results = [classification_metrics(truth, probabilities, names(4), SPEC, seed) for seed in (1, 1, 2)]
    assert results[0] == results[1]
    assert results[0]["headline"]["log_loss"] != results[2]["headline"]["log_loss"]


def test_resampled_rows_sum_to_the_number_of_rows() -> None:
    scores = score_rows(*rows_of(70, 5))
    for sums in resampled_sums(scores, 5, 10, samples=40, seed=0):
        np.testing.assert_array_equal(sums.rows, 70)
        np.testing.assert_array_equal(sums.predicted.sum(axis=1), 70)
        assert (sums.hits <= np.minimum(sums.support, sums.predicted)).all()
    assert total_sums(scores, 5, 10).hits.sum() == scores.correct.sum()


def test_a_class_without_rows_has_no_recall_and_does_not_count() -> None:
    probabilities = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]], dtype=np.float32)
    result = classification_metrics(np.array([0, 1]), probabilities, names(3), SPEC, 0)
    assert result["per_class"][2]["recall"] == {"value": None, "low": None, "high": None}
    assert result["per_class"][2]["precision"] is None
    assert result["headline"]["balanced_accuracy"]["value"] == 1.0
    assert result["headline"]["macro_f1"]["value"] == 1.0


def test_top_3_is_left_out_for_three_classes() -> None:
    assert "top_3_accuracy" not in classification_metrics(*rows_of(20, 3), names(3), SPEC, 0)["headline"]
    assert "top_3_accuracy" in classification_metrics(*rows_of(20, 4), names(4), SPEC, 0)["headline"]


def test_the_baseline_is_the_commonest_label() -> None:
    truth, probabilities = np.array([0, 1, 1, 1]), np.full((4, 2), 0.5, np.float32)
    result = classification_metrics(truth, probabilities, ["cat", "dog"], SPEC, 0)
    assert result["baseline"] == {"label": "dog", "accuracy": 0.75}


def test_many_classes_keep_the_confused_pairs_and_no_matrix() -> None:
    truth = np.array([0, 0, 0, 7])
    probabilities = np.zeros((4, 101), np.float32)
    probabilities[[0, 1, 2, 3], [100, 100, 0, 7]] = 1.0
    confusion = classification_metrics(truth, probabilities, names(101), SPEC, 0)["confusion"]
    assert confusion["counts"] is None
    assert confusion["pairs"] == [
        {"label": "class 0", "predicted": "class 100", "rows": 2, "share": pytest.approx(2 / 3)}
    ]


def test_what_a_modality_brings_is_a_paired_difference() -> None:
    truth, probabilities = rows_of(300, 4)
    whole = score_rows(truth, probabilities)
    same = scored_metrics(whole, names(4), SPEC, 0, withheld={"text": whole})["ablation"][0]
    # Of two equal models the paired difference is exactly zero; unpaired intervals would be wide.
    assert same["accuracy_difference"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    flat = score_rows(truth, np.full((300, 4), 0.25, np.float32))
    worse = scored_metrics(whole, names(4), SPEC, 0, withheld={"text": flat})["ablation"][0]
    assert worse["withheld"] == "text"
    assert worse["accuracy_difference"]["high"] < 0
    assert worse["headline"]["accuracy"]["value"] == pytest.approx((truth == 0).mean())


def test_ranks_order_equal_probabilities_as_argmax_does() -> None:
    scores = score_rows(np.array([0, 1, 2]), np.full((3, 3), 1 / 3, np.float32))
    assert scores.predicted.tolist() == [0, 0, 0]
    assert scores.rank.tolist() == [0, 1, 2]
    assert ((scores.rank == 0) == scores.correct).all()
    joined = RowScores.concatenate([scores, scores])
    assert joined.rank.tolist() == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_none_are_refused(bad: float) -> None:
    probabilities = np.array([[0.5, 0.5], [bad, 0.5]])
    with pytest.raises(TrainingFailedError, match="1 of 2 rows with NaN or infinity"):
        score_rows(np.array([0, 1]), probabilities)


def test_an_output_of_another_length_is_refused() -> None:
    with pytest.raises(TrainingFailedError, match=r"received: shape \(3, 2\)"):
        score_rows(np.array([0, 1]), np.full((3, 2), 0.5))
