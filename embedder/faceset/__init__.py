"""Embedding sets on disk: made by `embed_folder`, opened by `open_set`, corrected and edited here."""
