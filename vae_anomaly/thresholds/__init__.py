"""Thresholds for any outlier detector: choice, evaluation and plots. Imports no detector."""
