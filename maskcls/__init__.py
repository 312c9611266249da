"""Mask, gender and age of a face by one FaceNet pass, small heads and a vote of nearest neighbours."""
