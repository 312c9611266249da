"""A local page on which a person decides about labels."""
