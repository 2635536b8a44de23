"""Explanations of scores: contributions of the user's columns, sentences and counterfactuals."""
