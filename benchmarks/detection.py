"""Share of photos in which a face is found, by data set and mask state, for several ways of finding it.

    python benchmarks/detection.py ../shared/data --photos 400

Beside maskcls's three modes stands the peer: facenet-pytorch's MTCNN with its documented defaults on the photo as it
is. The last row is the price: photos without a face (scikit-image's and scikit-learn's sample pictures and random
cuts of them) in which a face is found all the same; lower is better there.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import skimage
from facenet_pytorch import MTCNN
from PIL import Image
from sklearn.datasets import load_sample_images

from maskcls.embedder.detection.finder import FaceFinder
from maskcls.embedder.photo import list_photos, read_photo

SETS = {
    "contest, wear": ("contest/images", "mask"),
    "contest, incorrect": ("contest/images", "incorrect"),
    "contest, normal": ("contest/images", "normal"),
    "utkface, normal": ("utkface/photos", ""),
    "fairface": ("fairface/photos", ""),
    "street, wear": ("masks/street/wear", ""),
    "street, incorrect": ("masks/street/incorrect", ""),
    "street, normal": ("masks/street/normal", ""),
    "portraits, wear": ("masks/portraits/wear", ""),
    "portraits, normal": ("masks/portraits/normal", ""),
    "rendered, wear": ("masks/rendered/wear", ""),
    "rendered, incorrect": ("masks/rendered/incorrect", ""),
}
FACELESS = [
    "brick.png",
    "cell.png",
    "chelsea.png",
    "coffee.png",
    "coins.png",
    "color.png",
    "grass.png",
    "gravel.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "moon.png",
    "motorcycle_left.png",
    "page.png",
    "retina.jpg",
    "rocket.jpg",
    "text.png",
]
CUTS = 15
Images = Sequence[Image.Image]


def main() -> None:
    """Run and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--photos", type=int, default=400, help="photos per row at most, drawn with seed 0")
    options = parser.parse_args()
    finder, peer = FaceFinder(), MTCNN()
    ways: dict[str, Callable[[Images], int]] = {
        "MTCNN defaults": lambda images: sum(peer.detect(image)[0] is not None for image in images),
        "detect": lambda images: sum(face is not None for face in finder.find(images, "detect")),
        "auto": lambda images: sum(face is not None for face in finder.find(images, "auto")),
        "auto, taken whole": lambda images: sum(
            f is not None and f.how == "whole" for f in finder.find(images, "auto")
        ),
    }
    print(f"| photos | n | {' | '.join(ways)} |\n|---|---:|{'---:|' * len(ways)}")
    for name, (folder, prefix) in SETS.items():
        paths = [path for path in list_photos(options.data / folder)[0] if path.name.startswith(prefix)]
        paths = random.Random(0).sample(paths, min(options.photos, len(paths)))
        row(name, [read_photo(path).image for path in paths], ways)
    row("no face in it", faceless(), ways)


def row(name: str, images: Images, ways: dict[str, Callable[[Images], int]]) -> None:
    """Print the share of images in which each way finds a face."""
    shares = [f"{100 * way(images) / len(images):.1f} %" for way in ways.values()]
    print(f"| {name} | {len(images)} | {' | '.join(shares)} |", flush=True)


def faceless() -> list[Image.Image]:
    """Sample pictures without a face, whole and in random square cuts of at least 100 pixels."""
    draw = random.Random(0)
    folder = Path(skimage.__path__[0], "data")
    whole = [Image.open(folder / name).convert("RGB") for name in FACELESS]
    whole += [Image.fromarray(pixels) for pixels in load_sample_images().images]
    cuts = []
    for image in whole:
        for _ in range(CUTS):
            side = draw.randint(min(100, *image.size), min(image.size))
            x, y = draw.randint(0, image.width - side), draw.randint(0, image.height - side)
            cuts.append(image.crop((x, y, x + side, y + side)))
    return whole + cuts


if __name__ == "__main__":
    main()
