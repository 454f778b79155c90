"""Datasets: checked shards, a provable order of their rows, and batches that account for every one."""
