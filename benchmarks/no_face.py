"""What embeddings' lengths are where there is no face, and what sharpness blurred faces have.

    python benchmarks/no_face.py faces/contest

The figures stand in ``maskcls.classify.labels.audit.photos``. Squares are cut at random from pictures that
scikit-learn and scikit-image ship; faces are those of an embedding set whose photos are still there.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
import skimage.data
from PIL import Image, ImageFilter
from sklearn.datasets import load_sample_images

from maskcls.embedder.detection.align import CROP_SIZE, sharpness
from maskcls.embedder.facenet.encoder import FaceNetEncoder
from maskcls.embedder.faceset.crops import read_crops
from maskcls.embedder.faceset.store import open_set

SQUARES = 40
FACES = 150
QUANTILES = np.arange(0.05, 1, 0.1)
RADII = (0, 1, 2, 3, 4, 6, 8)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path, help="embedding set")
    folder = parser.parse_args().faces
    encoder, random = FaceNetEncoder(), np.random.default_rng(0)
    norms = encoder.encode(squares(random)).norms
    print("no face: lengths at quantiles .05, .15, …:", np.quantile(norms, QUANTILES).round(1).tolist())
    found = open_set(folder)
    chosen = random.permutation(len(found))[:FACES]
    crops = read_crops(found.table.iloc[chosen].assign(root=found.settings["root"]))
    sharp = encoder.encode(crops).embeddings
    print("| blur, pixels | length | sharpness | cosine to unblurred |\n|--:|--:|--:|--:|")
    for radius in RADII:
        filtered = [Image.fromarray(crop).filter(ImageFilter.GaussianBlur(radius)) for crop in crops]
        blurred = np.stack([np.asarray(image) for image in filtered])
        seen = encoder.encode(blurred)
        cosine = np.median((seen.embeddings * sharp).sum(axis=1))
        level = np.median([sharpness(crop) for crop in blurred])
        print(f"| {radius} | {np.median(seen.norms):.1f} | {level:.1f} | {cosine:.2f} |")


def squares(random: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Squares (n, 160, 160, 3) of pictures without faces."""
    names = ("rocket", "coffee", "chelsea", "hubble_deep_field", "immunohistochemistry", "retina")
    pictures = [*load_sample_images().images, *(getattr(skimage.data, name)() for name in names)]
    found = []
    for picture in pictures:
        for _ in range(SQUARES):
            height, width = picture.shape[:2]
            side = random.integers(64, min(height, width))
            top, left = random.integers(0, height - side + 1), random.integers(0, width - side + 1)
            square = Image.fromarray(picture[top : top + side, left : left + side])
            found.append(np.asarray(square.resize((CROP_SIZE, CROP_SIZE))))
    return np.stack(found)


if __name__ == "__main__":
    main()
