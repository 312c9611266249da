"""The picture of ``docs/detection.md``: a group, and the boxes that both searches find in it.

    python -m benchmarks.group_picture docs/detection.jpg

The group is scikit-image's public-domain portrait at many sizes, bare and with drawn masks, before sample pictures.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image, ImageDraw
from sklearn.datasets import load_sample_images

from maskcls.embedder.detection.finder import FaceFinder
from maskcls.embedder.detection.search import SearchName
from maskcls.embedder.labels import Mask
from maskcls.embedder.masks.drawing import draw_mask, random_style

SIZE = (1000, 660)
FACE = (150, 0, 300, 200)
"""Head and collar in the portrait, in pixels."""
PLACES: tuple[tuple[int, int, int, Mask], ...] = (
    (40, 330, 200, "wear"),
    (260, 300, 170, "normal"),
    (450, 350, 220, "incorrect"),
    (700, 320, 180, "wear"),
    (900, 380, 90, "normal"),
    (60, 200, 90, "wear"),
    (200, 180, 60, "normal"),
    (330, 190, 70, "wear"),
    (480, 200, 80, "incorrect"),
    (640, 190, 60, "wear"),
    (760, 180, 80, "normal"),
    (900, 200, 60, "wear"),
    (150, 110, 40, "wear"),
    (420, 110, 40, "normal"),
    (600, 110, 40, "wear"),
    (840, 110, 40, "incorrect"),
)
"""Left, top, width and mask state of each face."""
SEARCHES: dict[SearchName, str] = {"mtcnn": "MTCNN", "libfacedetection": "libfacedetection and O-Net"}


def main(out: Path) -> None:
    """Draw the group twice, one below the other."""
    picture = group()
    both = Image.new("RGB", (SIZE[0], 2 * SIZE[1] + 20), "white")
    for number, (search, title) in enumerate(SEARCHES.items()):
        (faces,) = FaceFinder(search=search).find_all([picture])
        copy = picture.copy()
        draw = ImageDraw.Draw(copy)
        for face in faces:
            draw.rectangle(face.box.tolist(), outline="#ffb000", width=3)
        draw.rectangle((0, 0, SIZE[0], 26), fill="black")
        draw.text((8, 6), f"{title}: {len(faces)} of {len(PLACES)} faces", fill="white", font_size=16)
        both.paste(copy, (0, number * (SIZE[1] + 20)))
        print(f"{title}: {len(faces)} of {len(PLACES)} faces")
    both.save(out, quality=85)


def group() -> Image.Image:
    """The group before a sample picture."""
    background = Image.fromarray(load_sample_images().images[0]).resize(SIZE)
    portrait = Image.fromarray(skimage.data.astronaut())
    finder = FaceFinder()
    landmarks = finder.landmarks([portrait], [face for face in finder.find([portrait], "detect") if face])[0]
    random = np.random.default_rng(0)
    for left, top, width, state in PLACES:
        drawn = portrait if state == "normal" else draw_mask(portrait, landmarks, random_style(random, state))
        head = drawn.crop(FACE)
        background.paste(head.resize((width, round(width * head.height / head.width))), (left, top))
    return background


if __name__ == "__main__":
    main(Path(sys.argv[1]))
