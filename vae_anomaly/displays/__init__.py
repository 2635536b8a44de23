"""Displays of explanations, training and codes, like scikit-learn's. They need matplotlib."""
