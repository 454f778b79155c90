"""Adds up the ledgers of all workers, through the strategy's own collectives."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from mmdist.data.batches import LedgerDelta
from mmdist.data.ledger import EpochLedger

__all__ = ["LedgerExchange"]

_LIMBS = 4
_LIMB_BITS = 16


class LedgerExchange:
    """Gives every worker the sum of all ledgers. All workers must call it at the same step.

    Args:
        strategy: All replicas of all workers.
        columns: Columns that the ledgers may have sums of, in the same order on every worker.
        local_replicas: Replicas in this worker.
        worker: Number of this worker.
        workers: Number of workers; with one, nothing is exchanged.
    """

    def __init__(
        self, strategy: Any, *, columns: Sequence[str], local_replicas: int, worker: int, workers: int
    ) -> None:
        self._strategy = strategy
        self._columns = tuple(columns)
        self._first_replica = worker * local_replicas
        self._workers = workers
        self._reduce = tf.function(
            lambda parts: strategy.reduce(tf.distribute.ReduceOp.SUM, parts, axis=None), jit_compile=False
        )

    def total(self, ledger: EpochLedger) -> EpochLedger:
        """The sum over all workers."""
        if self._workers == 1:
            return ledger
        mine = self._pack(ledger.total)

        def part(context: Any) -> Any:
            is_first = context.replica_id_in_sync_group == self._first_replica
            return tf.constant(mine if is_first else np.zeros_like(mine))

        summed = self._reduce(self._strategy.experimental_distribute_values_from_function(part)).numpy()
        total = EpochLedger(ledger.epoch)
        total.add(self._unpack(summed))
        return total

    def _pack(self, delta: LedgerDelta) -> npt.NDArray[np.int64]:
        """Sums mod 2^64 in limbs of 16 bits, so that adding up to 2^47 of them loses nothing."""
        values = [delta.fed_rows, delta.quarantined_rows]
        for sums in (delta.fed_sums, delta.quarantined_sums):
            for name in self._columns:
                whole = sums.get(name, 0)
                values += [whole >> (_LIMB_BITS * limb) & 0xFFFF for limb in range(_LIMBS)]
        return np.array(values, np.int64)

    def _unpack(self, values: npt.NDArray[np.int64]) -> LedgerDelta:
        limbs = values[2:].reshape(2, len(self._columns), _LIMBS)
        fed, quarantined = (
            {
                name: sum(int(value) << (_LIMB_BITS * limb) for limb, value in enumerate(row)) % (1 << 64)
                for name, row in zip(self._columns, columns, strict=True)
                if rows
            }
            for rows, columns in zip(values[:2], limbs, strict=True)
        )
        return LedgerDelta(int(values[0]), fed, int(values[1]), quarantined)
