"""Photos for ``make demo`` on a machine without labelled ones.

    python -m benchmarks.demo_photos demo

Writes ``photos/``: scikit-image's public-domain portrait, bare and with a drawn mask (worn, worn incorrectly), and two
photos without a face. Writes ``portrait/`` and ``portrait.csv``: the bare portrait with its labels, to draw masks on.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image
from sklearn.datasets import load_sample_images

from maskcls.embedder.detection.finder import FaceFinder
from maskcls.embedder.labels import Mask
from maskcls.embedder.masks.drawing import draw_mask, random_style

LABELS = "path,person,mask,gender,age\nastronaut.jpg,collins,normal,female,36\n"
DRAWN: tuple[Mask, ...] = ("wear", "incorrect")
SEED = 2
QUALITY = 92


def main(folder: Path) -> None:
    """Write the photos below ``folder``."""
    photos, bare = folder / "photos", folder / "portrait"
    for path in (photos, bare):
        path.mkdir(parents=True, exist_ok=True)
    portrait = Image.fromarray(skimage.data.astronaut())
    finder = FaceFinder()
    landmarks = finder.landmarks([portrait], [face for face in finder.find([portrait], "detect") if face])[0]
    images = {"astronaut": portrait}
    for state in DRAWN:
        images[f"astronaut-{state}"] = draw_mask(portrait, landmarks, random_style(np.random.default_rng(SEED), state))
    samples = load_sample_images()
    for name, pixels in zip(samples.filenames, samples.images, strict=True):
        images[Path(name).stem] = Image.fromarray(pixels)
    for name, image in images.items():
        image.save(photos / f"{name}.jpg", quality=QUALITY)
    portrait.save(bare / "astronaut.jpg", quality=QUALITY)
    (folder / "portrait.csv").write_text(LABELS)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
