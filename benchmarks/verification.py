"""Are the packaged weights FaceNet? Exactness of the dequantisation, and same-person separation on real photos.

    python benchmarks/verification.py faces/contest

The set must name people (contest layout). AUC: probability that two photos of one person are more similar than two
photos of different people, by mask state of the pair.
"""

from __future__ import annotations

import sys
from itertools import combinations_with_replacement
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from maskcls.embedder.facenet.tflite import dequantised_tensors, torch_name
from maskcls.embedder.facenet.weights import load_facenet, packaged_file
from maskcls.embedder.faceset.store import open_set
from maskcls.embedder.labels import MASKS


def main(faces: Path) -> None:
    """Run and print."""
    state = load_facenet()[0].state_dict()
    worst, compared = 0.0, 0
    for name, value in dequantised_tensors(packaged_file().read_bytes()).items():
        loaded = state[".".join(torch_name(name))].numpy()
        loaded = loaded.transpose(0, 2, 3, 1) if loaded.ndim == 4 else loaded
        worst, compared = max(worst, float(np.abs(loaded - value).max())), compared + 1
    print(f"weights: {compared} tensors compared with the file's own, largest difference {worst}")
    found = open_set(faces)
    person, mask = found.table["person"].to_numpy(), found.table["mask"].to_numpy()
    embeddings = np.asarray(found.embeddings)
    print("| pair | same person: median | different: median | AUC |\n|---|---:|---:|---:|")
    for first, second in combinations_with_replacement(MASKS, 2):
        left, right = np.flatnonzero(mask == first), np.flatnonzero(mask == second)
        similarity = embeddings[left] @ embeddings[right].T
        other = left[:, None] < right[None] if first == second else np.ones_like(similarity, bool)
        same = (person[left][:, None] == person[right][None])[other]
        similarity = similarity[other]
        if same.any():
            auc = roc_auc_score(same, similarity)
            medians = (np.median(similarity[same]), np.median(similarity[~same]))
            print(f"| {first} - {second} | {medians[0]:.3f} | {medians[1]:.3f} | {auc:.4f} |", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
