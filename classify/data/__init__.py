"""Faces to train on: face sets joined from embedding sets, identities, the leakage guard, augmentation."""
