"""Networks trained on photos, fold by fold of people."""
