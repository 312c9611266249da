"""Ensembles of out-of-fold predictions."""
