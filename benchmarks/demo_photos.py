"""Photos for ``make demo`` that every installation has: a public-domain portrait and two photos without a face.

    python benchmarks/demo_photos.py demo

Writes ``photos/`` to predict on, and ``gallery/`` with ``gallery.csv``: re-framed, re-lit copies of the portrait with
its labels, enough to run every command where there are no labelled photos. One person is no gallery to trust.
"""

from __future__ import annotations

import sys
from pathlib import Path

import skimage.data
from PIL import Image, ImageEnhance, ImageOps
from sklearn.datasets import load_sample_images

AGE_IN_PORTRAIT = 36
LIGHT = (0.7, 0.85, 1.15, 1.3)


def main(folder: Path) -> None:
    """Write the photos below ``folder``."""
    photos, gallery = folder / "photos", folder / "gallery"
    for path in (photos, gallery):
        path.mkdir(parents=True, exist_ok=True)
    portrait = Image.fromarray(skimage.data.astronaut())
    portrait.save(photos / "astronaut.jpg", quality=92)
    samples = load_sample_images()
    for name, pixels in zip(samples.filenames, samples.images, strict=True):
        Image.fromarray(pixels).save(photos / Path(name).name, quality=92)
    rows = ["path,person,mask,gender,age"]
    for number, light in enumerate(LIGHT):
        copy = ImageEnhance.Brightness(ImageOps.mirror(portrait) if number % 2 else portrait).enhance(light)
        copy.crop((10 * number, 0, 512, 512 - 10 * number)).save(gallery / f"{number}.jpg", quality=85)
        rows.append(f"{number}.jpg,collins,normal,female,{AGE_IN_PORTRAIT}")
    (folder / "gallery.csv").write_text("\n".join(rows) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
