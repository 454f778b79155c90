"""How towers learn: at rates of their own, and what is pretrained of them not at all, for some epochs or for good."""

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from mmdist.spec.model import ModelSpec

__all__ = ["Tuning"]

_TOWER = "_tower"


class Tuning:
    """What becomes of the weights of a model's towers. A function of the epoch: it has no state.

    Args:
        model: Its towers may have `stages`, their pretrained weights from input to output, and `is_frozen`.
        spec: Sections of the towers, with `learning_rate_scale`, and of pretrained ones `freeze` and `layer_decay`.
        steps_per_epoch: Training steps of an epoch.
    """

    def __init__(self, model: Any, spec: ModelSpec, *, steps_per_epoch: int) -> None:
        self._model = model
        self._towers: dict[str, tuple[Any, Any]] = {}
        self._held: dict[str, set[int]] = {}
        self._shares: dict[int, float] = {}
        self._thawed: dict[int, int] = {}
        for name, tower, section in _towers(model, spec):
            if not (getattr(section, "weights", None) and getattr(tower, "stages", None)):
                own = (id(variable) for variable in tower.trainable_variables)
                self._shares |= dict.fromkeys(own, float(section.learning_rate_scale))
                continue
            self._towers[name] = tower, section
            stages = [[id(variable) for variable in stage] for stage in tower.stages]
            self._held[name] = {variable for stage in stages for variable in stage}
            self._thawed |= dict.fromkeys(self._held[name], int(section.freeze) * steps_per_epoch)
            for below_top, stage in enumerate(reversed(stages)):
                share = section.learning_rate_scale * section.layer_decay**below_top
                self._shares |= dict.fromkeys(stage, float(share))

    def frozen_in(self, epoch: int) -> tuple[str, ...]:
        """The towers whose pretrained weights stay as they are in an epoch, from 0."""
        return tuple(name for name, (_, spec) in self._towers.items() if spec.freeze is True or epoch < spec.freeze)

    def freeze(self, frozen: Sequence[str]) -> list[Any]:
        """Makes the backbones of these towers run as in prediction, before tracing; returns what is trained."""
        held: set[int] = set()
        for name, (tower, _) in self._towers.items():
            tower.is_frozen = name in frozen
            if tower.is_frozen:
                held |= self._held[name]
        return [variable for variable in self._model.trainable_variables if id(variable) not in held]

    def prepare(self, optimizer: Any) -> None:
        """Gives a built Keras optimizer rates by variable, of the update and of weight decay.

        The rate is scaled, for Adam divides a scale of the gradient away. Adam's moments begin at 0, which it makes
        up for by the number of steps of the run: where a weight has been frozen it is made up for by the number of
        its own.
        """
        variables = optimizer._trainable_variables
        shares = [self._shares.get(id(variable), 1.0) for variable in variables]
        thawed = [self._thawed.get(id(variable), 0) for variable in variables]
        if all(share == 1.0 for share in shares) and not any(thawed):
            return
        update_step, decay = optimizer.update_step, optimizer.weight_decay
        # LAMB normalizes its updates: their size does not follow from the number of steps.
        betas = (optimizer.beta_1, optimizer.beta_2) if isinstance(optimizer, keras.optimizers.Adam) else None

        def update_at_own_rate(gradient: Any, variable: Any, rate: Any) -> None:
            number = optimizer._get_variable_index(variable)
            rate = tf.cast(rate, variable.dtype) * shares[number]
            if decay and optimizer._use_weight_decay(variable):
                variable.assign_sub(variable * tf.cast(decay, variable.dtype) * rate)
            if betas is not None and thawed[number]:
                rate *= _own_correction(optimizer.iterations, thawed[number], *betas)
            update_step(gradient, variable, rate)

        optimizer.update_step = update_at_own_rate
        optimizer._apply_weight_decay = lambda variables: None


def _towers(model: Any, spec: ModelSpec) -> Iterator[tuple[str, Any, Any]]:
    for layer in model.layers:
        if layer.name.endswith(_TOWER):
            yield layer.name, layer, getattr(spec, layer.name.removesuffix(_TOWER))


def _own_correction(iterations: Any, thawed_at: int, beta_1: float, beta_2: float) -> Any:
    """Adam's correction after the steps since a weight was thawed, over that after all steps."""

    def correction(steps: Any) -> Any:
        return tf.sqrt(1.0 - tf.pow(beta_2, steps)) / (1.0 - tf.pow(beta_1, steps))

    done = tf.cast(iterations + 1, tf.float32)
    return correction(tf.maximum(done - thawed_at, 1.0)) / correction(done)
