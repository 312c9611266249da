"""FaceNet: its network, weights, encoder and the runtimes that run it. Other rooms use `FaceNetEncoder`."""
