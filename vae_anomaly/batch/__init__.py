"""Batch scoring: tables of any size in, tables of scores out."""
