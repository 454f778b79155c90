"""Predict jobs: a trained model over every row of a dataset, into Parquet shards, on Ray Data."""

from mmdist.prediction.predict import PredictionResult, predict

__all__ = ["PredictionResult", "predict"]
