"""Small CNN heads for mask and gender, and their training."""
