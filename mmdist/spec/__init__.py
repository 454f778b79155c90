"""The job file: frozen models, a safe loader with positions, and the checks between keys."""

from mmdist.spec.job import EvaluateJob, ImportJob, JobSpec, PredictJob, TrainJob

__all__ = ["EvaluateJob", "ImportJob", "JobSpec", "PredictJob", "TrainJob"]
