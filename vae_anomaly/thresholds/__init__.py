"""Thresholds of any outlier detector: chosen, judged and drawn. Nothing here imports a detector."""
