"""The checks between keys: what no single key can tell, and no cluster or data is needed for."""

from mmdist.spec.checks.job import check_job

__all__ = ["check_job"]
