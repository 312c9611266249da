"""Faces found in whole street photos with boxes, by both searches, and the mask state predicted for each of them.

    python benchmarks/streets.py ../shared/data/streets --half measure

Half of the photos (even numbers) chose the rules of the search, ``tune``; the others measure them. A labelled face is
found if a box overlaps it by at least :data:`OVERLAP` (intersection over union), each box one face. Large faces are at
least 1/8 of the photo's longest side high, middle-sized ones 1/16. The largest face counts in photos where it has at
least 40 pixels; ``largest`` is right if the first box is that face, ``nearly`` if it is a labelled face of at least .8
of its area. ``beyond`` are boxes, at least 1/16 high, that touch no labelled face: many of them are people without
a label, see ``--sheet``, which draws them all. The last column is the macro F1 of three mask states over large and
middle-sized faces, a face that is not found being an error.
"""

from __future__ import annotations

import argparse
import re
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image
from sklearn.metrics import f1_score

from maskcls.classify.model.loading import open_model
from maskcls.classify.predict.job import answer_photos
from maskcls.embedder.detection.finder import FaceFinder
from maskcls.embedder.detection.overlap import match, overlaps
from maskcls.embedder.detection.search import SearchName
from maskcls.embedder.labels import MASKS
from maskcls.embedder.photo import read_photo
from maskcls.embedder.pipeline import MOST_FACES, encode_read

OVERLAP = 0.4
SIZES = {"large": 1 / 8, "middle": 1 / 16}
LEAST = 40
SEARCHES: tuple[SearchName, ...] = ("mtcnn", "libfacedetection")
Boxes = npt.NDArray[np.float32]


def main() -> None:
    """Run and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("streets", type=Path)
    parser.add_argument("--half", choices=["tune", "measure"], required=True)
    parser.add_argument("--model", type=Path, help="default: the built-in one")
    parser.add_argument("--sheet", type=Path, help="picture of the boxes that touch no labelled face")
    options = parser.parse_args()
    labels = pd.read_csv(options.streets / "boxes.csv")
    number = labels["path"].map(lambda path: int(re.findall(r"\d+", path)[0]))
    labels = labels[number % 2 == (options.half == "measure")]
    photos = {str(path): read_photo(options.streets / str(path)) for path in sorted(labels["path"].unique())}
    model, encoder, finder, _ = open_model(options.model)
    columns = ["masked large", "masked middle", "bare large", "bare middle", "largest", "nearly", "beyond", "ms", "F1"]
    print(
        f"{len(photos)} photos, {len(labels)} faces\n| search | {' | '.join(columns)} |\n|---|{'---:|' * len(columns)}"
    )
    for search in SEARCHES:
        finder = FaceFinder(engine="openvino", search=search)
        rows, beyond, truth, states = [], [], [], []
        images = [photo.image for photo in photos.values()]
        finder.find(images[:8])  # warms up
        start = time.thread_time()
        for first in range(0, len(images), 32):
            finder.find_all(images[first : first + 32])
        seconds = time.thread_time() - start
        for path, photo in photos.items():
            answers = answer_photos(encode_read([photo], finder, encoder, faces=MOST_FACES), [path], model)
            found = [answer.face.box for answer in answers if answer.face is not None]
            boxes = np.array(found, np.float32).reshape(-1, 4)
            faces = labels[labels["path"] == path]
            mine, high = faces[["x0", "y0", "x1", "y1"]].to_numpy(np.float32), max(photo.image.size)
            matched = match(mine, boxes, OVERLAP)
            rows.append((mine, faces["mask"].to_numpy() != "normal", matched, boxes, high))
            for box in boxes[overlaps(mine, boxes).max(axis=0) < 0.1] if len(boxes) else []:
                if box[3] - box[1] >= SIZES["middle"] * high:
                    beyond.append(photo.image.crop(around(box)).resize((150, 150)))
            for box, state, to in zip(mine, faces["mask"], matched, strict=True):
                if box[3] - box[1] >= SIZES["middle"] * high:
                    truth.append(state)
                    mask = answers[to].mask if to >= 0 else None
                    states.append("not found" if mask is None else mask.label)
        figures = [*shares(rows), *largest(rows), f"{100 * len(beyond) / len(photos):.1f} per 100"]
        f1 = f1_score(truth, states, labels=list(MASKS), average="macro")
        print(f"| {search} | {' | '.join(figures)} | {1000 * seconds / len(photos):.0f} | {f1:.3f} |", flush=True)
        if options.sheet and beyond:
            sheet(beyond).save(options.sheet.with_stem(f"{options.sheet.stem}-{search}"))


def shares(rows: list[tuple[Boxes, npt.NDArray[np.bool_], npt.NDArray[np.int64], Boxes, int]]) -> list[str]:
    """Found of all: masked large and middle, bare large and middle."""
    figures = []
    for masked in (True, False):
        for size in SIZES:
            hits = [
                to >= 0
                for boxes, states, matched, _, high in rows
                for box, state, to in zip(boxes, states, matched, strict=True)
                if state == masked
                and next((s for s, least in SIZES.items() if box[3] - box[1] >= least * high), "") == size
            ]
            figures.append(f"{100 * np.mean(hits):.1f} % of {len(hits)}")
    return figures


def largest(rows: list[tuple[Boxes, npt.NDArray[np.bool_], npt.NDArray[np.int64], Boxes, int]]) -> list[str]:
    """Photos in which the largest face was picked, and a face nearly as large."""
    right, nearly, photos = 0, 0, 0
    for labelled, _, matched, boxes, _ in rows:
        areas = (labelled[:, 2:] - labelled[:, :2]).prod(axis=1)
        first = int(areas.argmax())
        if (labelled[first, 2:] - labelled[first, :2]).max() < LEAST:
            continue
        photos += 1
        if len(boxes):
            right += matched[first] == 0
            nearly += bool((areas[matched == 0] >= 0.8 * areas[first]).any())
    return [f"{right} of {photos}", f"{nearly} of {photos}"]


def around(box: Boxes) -> tuple[float, float, float, float]:
    """A square twice as high as a box, around its middle."""
    (x, y), side = ((box[:2] + box[2:]) / 2).tolist(), float(box[3] - box[1])
    return x - side, y - side, x + side, y + side


def sheet(tiles: list[Image.Image]) -> Image.Image:
    """The tiles in rows of eight."""
    picture = Image.new("RGB", (8 * 150, 150 * ((len(tiles) + 7) // 8)))
    for i, tile in enumerate(tiles):
        picture.paste(tile, (i % 8 * 150, i // 8 * 150))
    return picture


if __name__ == "__main__":
    main()
