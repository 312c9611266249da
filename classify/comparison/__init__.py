"""What the age vote is compared with: networks trained on photos, and ensembles."""
