"""One step on all replicas: batch to devices, forward, backward, update; and the same without update to validate.

The loss is the sum over the rows that count, divided by their number over all replicas and workers: a short or
partly masked batch weighs each of its rows like any other batch of that many rows. Kernel penalties are shared out
between the replicas. `optimizer.apply` sums the gradients over the replicas by itself; reducing them before would
double them.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from mmdist.data.augmentation import Partners, augment
from mmdist.data.augmentation_draws import augmentation_arrays
from mmdist.data.batches import Batch
from mmdist.data.text_augmentation import TextAugmentation
from mmdist.models.auxiliary import auxiliary_losses
from mmdist.models.tasks import Task
from mmdist.models.tensors import to_tensor
from mmdist.spec.augment import AugmentSpec
from mmdist.spec.model import AuxiliarySpec
from mmdist.training.averages import Averages
from mmdist.training.clipping import Clipping
from mmdist.training.gradients import gradients_in_parts
from mmdist.training.precision import LossScale
from mmdist.training.step_sums import BROKEN, StepSums, broken, fixed_sums, read_sums, with_overflowed
from mmdist.training.towers import part_of, towers_of, watched
from mmdist.training.tuning import Tuning
from mmdist.training.undo import Undo

__all__ = ["Steps"]

Arrays = dict[str, npt.NDArray[Any]]


class Steps:
    """The compiled steps of one model on one strategy.

    Args:
        model: Made under the strategy.
        task: What the model is trained for.
        optimizer: Built for the model's trainable variables, under the strategy.
        strategy: All replicas of all workers.
        augmentations: Changes of the training pictures.
        text_augmentation: Changes of the training texts.
        seed: The job's seed.
        local_replicas: Replicas in this worker.
        worker: Number of this worker.
        lane_places: Places of each lane in a batch, among which rows are mixed; None where a batch is one lane.
        accumulate: Parts of a replica's rows that are computed one after the other, for one update.
        clipping: Shortens gradients.
        tuning: What becomes of pretrained weights.
        auxiliary: Losses beside the task's.
        averages: Averages of the weights, which follow each step.
        undo: Undoes steps that diverge, or overflow.
        loss_scale: Scales the loss of float16.
        jit: Whether XLA compiles the training step; on one replica.
    """

    def __init__(
        self,
        model: Any,
        task: Task,
        optimizer: Any,
        strategy: Any,
        *,
        augmentations: Sequence[AugmentSpec],
        text_augmentation: TextAugmentation | None = None,
        seed: int,
        local_replicas: int,
        worker: int,
        lane_places: int | None = None,
        accumulate: int = 1,
        clipping: Clipping | None = None,
        tuning: Tuning | None = None,
        auxiliary: AuxiliarySpec | None = None,
        averages: Averages | None = None,
        undo: Undo | None = None,
        loss_scale: LossScale | None = None,
        jit: bool = False,
    ) -> None:
        self._model = model
        self._task = task
        self._optimizer = optimizer
        self._strategy = strategy
        self._augmentations = tuple(augmentations)
        self._text_augmentation = text_augmentation
        self._seed = seed
        self._local_replicas = local_replicas
        self._first_replica = worker * local_replicas
        self._lane_places = lane_places
        self._accumulate = accumulate
        self._clipping = clipping or Clipping()
        self._tuning = tuning
        self._auxiliary = auxiliary or AuxiliarySpec()
        self._averages = averages
        self._undo = undo
        self._loss_scale = loss_scale or LossScale(strategy, "float32")
        self._clipping.prepare(optimizer)
        if tuning is not None:
            tuning.prepare(optimizer)
        self._parts = towers_of(model)
        self._watched = watched(model)
        self._towers = tuple(self._watched.output[1])
        self.handover_s = 0.0
        """Seconds that the newest training batch took to its devices, its augmentation's draws among them."""
        # On CPU, XLA and several steps per call both cost a quarter of the speed. Nothing here branches on a tensor,
        # and rewriting Python's branches would cost seconds at the start.
        self._train = tf.function(self._train_all, autograph=False, jit_compile=jit)
        self._validate = tf.function(self._validate_all, autograph=False, jit_compile=False)

    def train(self, batch: Batch, *, epoch: int, stop: bool = False, regroup: bool = False) -> Any:
        """Starts a training step on this worker's part of a batch; `sums` waits for its result."""
        begun_s = time.perf_counter()
        arrays = _arrays(batch)
        if batch.image is not None:
            lane_places = self._lane_places or batch.size
            arrays |= augmentation_arrays(self._augmentations, self._seed, epoch, batch, lane_places=lane_places)
        if batch.text is not None and self._text_augmentation is not None:
            arrays["text"] = self._text_augmentation(batch.text, batch.row, epoch)
        inputs = self._to_replicas(arrays, batch, stop=stop, regroup=regroup)
        self.handover_s = time.perf_counter() - begun_s
        # Traced anew where other towers are frozen than in the epoch before.
        return self._train(inputs, self._tuning.frozen_in(epoch) if self._tuning is not None else ())

    def sums(self, result: Any) -> StepSums:
        """Waits for what `train` or `validate` has started."""
        return read_sums(result, metrics=len(self._task.metrics), towers=self._towers, parts=self._parts)

    def validate(self, batch: Batch, *, stop: bool = False) -> Any:
        """Starts a step without update on this worker's part of a batch."""
        return self._validate(self._to_replicas(_arrays(batch), batch, stop=stop))

    def _to_replicas(self, arrays: Arrays, batch: Batch, *, stop: bool, regroup: bool = False) -> Any:
        """Slices the arrays of this worker's places for its replicas; the first one brings what the worker says."""
        per_replica = batch.size // self._local_replicas
        said = (float(stop), float(regroup), float(len(batch.bad)))

        def part(context: Any) -> dict[str, Any]:
            number = context.replica_id_in_sync_group - self._first_replica
            start = number * per_replica
            tensors = {name: to_tensor(array[start : start + per_replica]) for name, array in arrays.items()}
            return {**tensors, "said": tf.constant(said if number == 0 else (0.0, 0.0, 0.0), tf.float32)}

        return self._strategy.experimental_distribute_values_from_function(part)

    def _train_all(self, inputs: Any, frozen: tuple[str, ...]) -> Any:
        variables = self._tuning.freeze(frozen) if self._tuning is not None else self._model.trainable_variables
        kept = self._undo.take() if self._undo is not None else []
        sums = self._strategy.run(lambda given: self._train_replica(given, variables), args=(inputs,))
        total = self._strategy.reduce(tf.distribute.ReduceOp.SUM, sums, axis=None)
        if self._averages is not None:
            self._averages.follow(self._optimizer.iterations)
        is_broken = total[BROKEN] > 0
        if self._undo is not None:
            self._undo.give_back(kept, is_broken)
        return with_overflowed(total, self._loss_scale.follow(is_broken))

    def _validate_all(self, inputs: Any) -> Any:
        sums = self._strategy.run(self._validate_replica, args=(inputs,))
        return with_overflowed(self._strategy.reduce(tf.distribute.ReduceOp.SUM, sums, axis=None), tf.zeros([]))

    def _train_replica(self, inputs: dict[str, Any], variables: Sequence[Any]) -> Any:
        """A step on one replica's rows; `variables` are those that learn."""
        context = tf.distribute.get_replica_context()
        rows = context.all_reduce(tf.distribute.ReduceOp.SUM, tf.reduce_sum(inputs["mask"]))
        shares = float(self._strategy.num_replicas_in_sync * self._accumulate)

        def compute(part: dict[str, Any]) -> tuple[list[Any], Any]:
            with tf.GradientTape() as tape:
                loss_sum, taught_sum, counts, outputs = self._forward(part, training=True)
                loss = taught_sum / tf.maximum(rows, 1.0)
                if self._model.losses:
                    loss += tf.add_n(self._model.losses) / shares
                scaled = self._loss_scale.scale(loss)
            return tape.gradient(scaled, variables), tf.concat([[loss_sum, loss], counts, outputs], axis=0)

        by_row = {name: tensor for name, tensor in inputs.items() if name != "said"}
        gradients, numbers = gradients_in_parts(compute, by_row, self._accumulate)
        gradients = self._loss_scale.unscale(gradients)
        sums = [_sum(gradient) for gradient in gradients]
        self._optimizer.apply(self._clipping.clip(gradients, variables), variables)
        fixed = fixed_sums(inputs, numbers[0], numbers[1] + tf.add_n(sums))
        counts, outputs = tf.split(numbers[2:], [len(self._task.metrics), len(self._towers)])
        flags = broken(tf.concat([outputs, self._sums_of_parts(sums, variables)], axis=0))
        return tf.concat([fixed, counts, flags], axis=0)

    def _sums_of_parts(self, sums: Sequence[Any], variables: Sequence[Any]) -> Any:
        """Of the gradients' sums, by part of the model, float32 (parts,)."""
        parts = [part_of(variable) for variable in variables]
        return tf.stack(
            [
                tf.add_n([tf.zeros([]), *(each for each, part in zip(sums, parts, strict=True) if part == wanted)])
                for wanted in self._parts
            ]
        )

    def _validate_replica(self, inputs: dict[str, Any]) -> Any:
        loss_sum, _, counts, outputs = self._forward(inputs, training=False)
        return tf.concat([fixed_sums(inputs, loss_sum, loss_sum), counts, broken(outputs)], axis=0)

    def _forward(self, inputs: dict[str, Any], *, training: bool) -> tuple[Any, Any, Any, Any]:
        """Over the rows that count, the sums of the loss that is reported, of what is minimized, and of the metrics;
        and by tower the sum of its output, float32 (towers,)."""
        counts = inputs["mask"] > 0
        ready = {name: inputs[name] for name in self._model.input}
        ready |= {name: tf.logical_and(ready[name], counts) for name in ready if name.endswith("_present")}
        if "image" in ready:
            changes = self._augmentations if training else ()
            is_mixed = "partner_image" in inputs
            partners = Partners(inputs["partner_image"], inputs["partner_augmentation"]) if is_mixed else None
            ready["image"] = augment(ready["image"], inputs.get("augmentation"), changes, partners)
        own, of_towers = self._watched(ready, training=training)
        outputs = self._task.across_replicas(own, inputs)
        mask = inputs["mask"]
        losses, taught = self._row_losses(outputs, inputs)
        beside = tf.zeros_like(mask)
        if training:
            beside = auxiliary_losses(
                self._auxiliary, outputs, inputs, lambda modality, alone: self._taught_alone(modality, alone, inputs)
            )
        metrics = [tf.reduce_sum(values * mask) for values in self._task.row_metrics(outputs, inputs)]
        totals = tf.stack(metrics) if metrics else tf.zeros([0])
        taught_sum = tf.reduce_sum(taught * mask) + tf.reduce_sum(beside * mask)
        shown = [tf.reduce_sum(tf.cast(of_towers[name], tf.float32)) for name in self._towers]
        return tf.reduce_sum(losses * mask), taught_sum, totals, tf.stack(shown) if shown else tf.zeros([0])

    def _taught_alone(self, modality: str, outputs: Mapping[str, Any], inputs: dict[str, Any]) -> Any:
        """What a modality's own head is taught, float32 (B,): only pictures are mixed, so others keep their labels."""
        own = inputs if modality == "image" else {name: inputs[name] for name in inputs if name != "own_share"}
        return self._row_losses(outputs, own)[1]

    def _row_losses(self, outputs: Mapping[str, Any], inputs: dict[str, Any]) -> tuple[Any, Any]:
        """The task's, as they are reported and as they are taught; a mixed row has two labels, of which its own counts
        as right."""

        def of(given: dict[str, Any]) -> tuple[Any, Any]:
            losses = self._task.row_losses(outputs, given)
            return losses, self._task.taught_losses(losses, outputs, given)

        found = of(inputs)
        if "own_share" not in inputs:
            return found
        own, partner = inputs["own_share"], of({**inputs, "label": inputs["partner_label"]})
        return own * found[0] + (1.0 - own) * partner[0], own * found[1] + (1.0 - own) * partner[1]


def _sum(gradient: Any) -> Any:
    """The sum of a gradient's numbers, which is finite only where all of them are."""
    return tf.reduce_sum(gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient)


def _arrays(batch: Batch) -> Arrays:
    arrays: Arrays = {"mask": batch.mask, **batch.inputs()}
    if batch.label is not None:
        arrays["label"] = batch.label
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}
