"""Forgetting a person: erase every artefact that holds them, verify it, write a receipt."""
