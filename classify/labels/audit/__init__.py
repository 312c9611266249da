"""Finds labels that are probably wrong, ranks them and writes a patch."""
