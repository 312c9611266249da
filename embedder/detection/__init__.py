"""Finds faces in photos and aligns them. Other rooms use `FaceFinder` and `align`."""
