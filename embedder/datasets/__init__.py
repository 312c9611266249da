"""Reads the layouts of data sets: photos with labels. Other rooms use `read_dataset`."""
