"""Both searches on photos of one face: faces found, how alike they are framed, and the answers of the built-in model.

    python benchmarks/searches.py ../shared/data --photos 300

Photos of each set are drawn with seed 0. ``cosine`` and ``recall`` compare the embeddings that the two searches lead
to: the mean and lowest twentieth of the cosine, and the share of a photo's 20 nearest others (of its set, by the first
search's embeddings) that are the same by the second. The second table has pictures without a face (scikit-image's and
scikit-learn's, whole and in cuts, and cuts of street photos beside all labelled faces): lower is better. The third has
the photos of the first table turned, and darkened to some share of their brightness: photos answered upright, and age
MAE and gender accuracy of the answers.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import skimage
from PIL import Image, ImageEnhance
from sklearn.datasets import load_sample_images

from maskcls.classify.answer import Answer
from maskcls.classify.model.loading import LoadedModel, open_model
from maskcls.classify.predict.job import answer_photos
from maskcls.embedder.datasets.layouts import read_dataset
from maskcls.embedder.detection.search import SearchName
from maskcls.embedder.labels import Labels
from maskcls.embedder.photo import Photo, photo_of, read_photo
from maskcls.embedder.pipeline import EncodedPhoto, encode_read

SETS = ("contest", "utkface/photos", "aaf", "masks/portraits", "masks/loose")
SEARCHES: tuple[SearchName, ...] = ("mtcnn", "libfacedetection")
NEIGHBOURS, BATCH = 20, 50
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
    """Run and print three tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--photos", type=int, default=300, help="of each set")
    options = parser.parse_args()
    opened = {name: open_model(None, search=name) for name in SEARCHES}
    drawn: dict[str, tuple[list[Photo], list[Labels]]] = {}
    print("| set | n | found | taken whole | cosine: mean, lowest 5 % | recall@20 | age MAE | gender | mask |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for name in SETS:
        items = [item for item in read_dataset(options.data / name, "auto").photos if item.refused is None]
        items = random.Random(0).sample(items, min(options.photos, len(items)))
        drawn[name] = photos, labels = [read_photo(item.path) for item in items], [item.labels for item in items]
        found = [encoded(photos, model) for model in opened.values()]
        answers = [
            answer_photos(one, [""] * len(photos), model.model)
            for one, model in zip(found, opened.values(), strict=True)
        ]
        cells = [
            *(pair(f"{sum(one.face is not None for one in some)}" for some in found),),
            *(
                pair(
                    f"{sum(one.face is not None and one.face.found.how == 'whole' for one in some)}" for some in found
                ),
            ),
            alike(*found),
            *(pair(figures) for figures in zip(*(scores(some, labels) for some in answers), strict=True)),
        ]
        print(f"| {name} | {len(photos)} | {' | '.join(cells)} |", flush=True)
    without = {"pictures": faceless(), "street cuts": beside_faces(options.data / "streets")}
    print(f"\n| without a face | n | {' | '.join(SEARCHES)} |\n|---|---:|---:|---:|")
    for name, images in without.items():
        counts = [sum(bool(faces) for faces in opened[search].finder.find_all(images)) for search in SEARCHES]
        print(
            f"| {name} | {len(images)} | {' | '.join(f'{100 * n / len(images):.1f} %' for n in counts)} |", flush=True
        )
    print("\n| | set | answered upright | age MAE | gender | mask |\n|---|---|---:|---:|---:|---:|")
    for name in SETS[:3]:
        photos, labels = drawn[name]
        for degrees in (0, 90, 180, 270):
            turned = [photo_of(photo.image.rotate(degrees, expand=True)) for photo in photos]
            print(f"| turned by {degrees} | {name} | {row(turned, labels, opened, -degrees % 360)} |", flush=True)
        for share in (0.25, 0.12, 0.06):
            dark = [photo_of(ImageEnhance.Brightness(photo.image).enhance(share)) for photo in photos]
            print(f"| {share:.0%} brightness | {name} | {row(dark, labels, opened)} |", flush=True)


def encoded(photos: Sequence[Photo], model: LoadedModel) -> list[EncodedPhoto]:
    """In batches."""
    return [
        one
        for start in range(0, len(photos), BATCH)
        for one in encode_read(photos[start : start + BATCH], model.finder, model.encoder)
    ]


def answered(found: Sequence[EncodedPhoto], model: LoadedModel) -> list[Answer]:
    """An answer for each photo."""
    return answer_photos(found, [""] * len(found), model.model)


def pair(values: Iterable[str]) -> str:
    """Of both searches."""
    return " / ".join(values)


def alike(first: Sequence[EncodedPhoto], second: Sequence[EncodedPhoto]) -> str:
    """How alike the embeddings of both searches are: two cells."""
    both = [(a.face.embedding, b.face.embedding) for a, b in zip(first, second, strict=True) if a.face and b.face]
    one, other = (np.stack(vectors) for vectors in zip(*both, strict=True))
    cosine = (one * other).sum(axis=1)
    near = [nearest(vectors) for vectors in (one, other)]
    same = np.mean([len(set(a) & set(b)) / NEIGHBOURS for a, b in zip(*near, strict=True)])
    return f"{cosine.mean():.3f}, {np.quantile(cosine, 0.05):.3f} | {same:.3f}"


def nearest(vectors: npt.NDArray[np.float32]) -> list[list[int]]:
    """Numbers of the nearest others of each vector."""
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -1)
    numbers: list[list[int]] = np.argsort(-similarity, axis=1)[:, :NEIGHBOURS].tolist()
    return numbers


def scores(answers: Sequence[Answer], labels: Sequence[Labels]) -> list[str]:
    """Age MAE, gender and mask accuracy of the answers."""
    rows = []
    for answer, label in zip(answers, labels, strict=True):
        if answer.age is None or answer.mask is None or answer.gender is None:
            continue
        exact = label.age_low if label.age_low == label.age_high else None
        rows.append(
            (
                np.nan if exact is None or answer.age.years is None else abs(answer.age.years - exact),
                np.nan if label.gender is None else answer.gender.label == label.gender,
                np.nan if label.mask is None else answer.mask.label == label.mask,
            )
        )
    means = pd.DataFrame(rows, columns=["age", "gender", "mask"], dtype=float).mean()
    return ["" if np.isnan(mean) else f"{mean:.2f}" if name == "age" else f"{mean:.3f}" for name, mean in means.items()]


def row(photos: Sequence[Photo], labels: Sequence[Labels], opened: dict[SearchName, LoadedModel], turn: int = 0) -> str:
    """Cells of the third table; ``turn`` is what puts the photos upright."""
    cells: list[list[str]] = []
    for model in opened.values():
        found = encoded(photos, model)
        upright = sum(one.face is not None and one.face.found.turn == turn for one in found)
        cells.append([f"{100 * upright / len(photos):.0f} %", *scores(answered(found, model), labels)])
    return " | ".join(map(pair, zip(*cells, strict=True)))


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


def beside_faces(streets: Path) -> Images:
    """A random cut of each street photo that no labelled face reaches into, where there is one."""
    draw, cuts = random.Random(0), []
    for path, boxes in pd.read_csv(streets / "boxes.csv").groupby("path"):
        image = read_photo(streets / str(path)).image
        for _ in range(30):
            side = draw.randint(60, min(image.size))
            x, y = draw.randint(0, image.width - side), draw.randint(0, image.height - side)
            inside = (boxes.x0 < x + side) & (boxes.x1 > x) & (boxes.y0 < y + side) & (boxes.y1 > y)
            if not inside.any():
                cuts.append(image.crop((x, y, x + side, y + side)))
                break
    return cuts


if __name__ == "__main__":
    main()
