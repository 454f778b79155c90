"""Job files that the tests begin from."""

TRAIN = """\
kind: train
name: demo
data:
  train: d/train
  validation: d/validation
"""
