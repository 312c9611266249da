"""Predictions for photos: the resuming job, explanations, the HTML report, the submission."""
