"""Labels: the audit of given labels, their review in a browser, and pseudo-labels."""
