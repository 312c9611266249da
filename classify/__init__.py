"""Predicts mask, gender and age of faces: models, evaluation, label audit, comparison, privacy, serving."""
