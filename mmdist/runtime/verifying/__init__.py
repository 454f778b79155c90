"""`mmdist verify`: proves on a job, shrunk, that replicas agree, a resume is exact, and every row is fed once."""

from mmdist.runtime.verifying.proof import Check, Proof
from mmdist.runtime.verifying.verify import verify

__all__ = ["Check", "Proof", "verify"]
