"""Scores of predictions with confidence intervals over people. Imports none of the other rooms."""
