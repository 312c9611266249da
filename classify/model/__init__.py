"""The model: build, save, load, edit its gallery. Other rooms use `Model`, `build_model` and `load_model`."""
