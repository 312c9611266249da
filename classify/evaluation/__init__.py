"""Honest evaluation: splits by person, cross-validation, baselines, report and error gallery."""
