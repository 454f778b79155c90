"""What the loss of each label is multiplied by in training: given by the job, or balanced by the training split."""

from collections.abc import Sequence

from mmdist.data.labels import LabelCounts, shown_label
from mmdist.errors import JobFileError, Place
from mmdist.spec.task import ClassificationSpec, LabelWeights, MultilabelSpec, TaskSpec

__all__ = ["label_weights", "wanted_weights"]


def wanted_weights(task: TaskSpec) -> LabelWeights:
    """What the job says of the weights of its labels; `none` where its task has none."""
    match task:
        case ClassificationSpec():
            return task.class_weights
        case MultilabelSpec():
            return task.positive_weights
        case _:
            return "none"


def label_weights(task: TaskSpec, labels: Sequence[str], counts: LabelCounts) -> tuple[float, ...]:
    """The weight of each label, in their order; empty where all are 1.

    Balanced, a label of a classification has rows / (labels that occur * its rows), so that all labels weigh alike and
    the mean weight of a row is 1. Of several labels per row, a label has the rows without it over those with it. A
    label that no row has, or all have, has 1.

    Args:
        task: Its weights, and what kind of labels it has.
        labels: In the order of the model's outputs.
        counts: Of the training split; looked at where the weights are balanced.

    Raises:
        JobFileError: where the job has a weight for what is no label.
    """
    wanted = wanted_weights(task)
    if wanted == "none":
        return ()
    if isinstance(wanted, dict):
        unknown = sorted(set(wanted) - set(labels))
        if unknown:
            raise JobFileError(
                "a weight is given for what is no label",
                expected=", ".join(map(shown_label, labels[:8])) + (", ..." if len(labels) > 8 else ""),
                received=shown_label(unknown[0]),
                place=Place(key=f"task.{'class' if isinstance(task, ClassificationSpec) else 'positive'}_weights"),
            )
        return tuple(wanted.get(label, 1.0) for label in labels)
    rows_of = [counts.by_label[label] for label in labels]
    if isinstance(task, MultilabelSpec):
        return tuple((counts.rows - rows) / rows if 0 < rows < counts.rows else 1.0 for rows in rows_of)
    total, occurring = sum(rows_of), sum(rows > 0 for rows in rows_of)
    return tuple(total / (occurring * rows) if rows else 1.0 for rows in rows_of)
