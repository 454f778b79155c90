"""Where an evaluation and its report lie in the run directory."""

__all__ = ["EVALUATION", "EVALUATION_VERSION", "MISTAKES", "NEIGHBOURS", "PREDICTIONS", "REPORT_HTML", "REPORT_JSON"]

PREDICTIONS = "report/predictions.parquet"
MISTAKES = "report/mistakes.parquet"
NEIGHBOURS = "report/neighbours.parquet"
EVALUATION = "report/evaluation.json"
EVALUATION_VERSION = 1
REPORT_JSON = "report/report.json"
REPORT_HTML = "report/report.html"
