"""Scores of predictions with confidence intervals over people.

Other rooms use ``scores.summarise`` for a whole report, and ``scored``, ``confusion`` and ``bootstrap`` for figures of
their own. Nothing here imports another room of ``classify``.
"""
