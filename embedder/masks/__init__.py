"""Draws masks on bare faces, and renders whole folders of masked photos."""
