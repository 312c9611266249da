"""The age vote: age space, neighbours, vote, tuning, intervals and the scikit-learn estimators."""
