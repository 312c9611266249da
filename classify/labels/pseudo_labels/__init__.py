"""Confident predictions of a model as labels of another embedding set."""
