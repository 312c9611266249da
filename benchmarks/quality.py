"""Fits the quality of faces (``embedder/detection/quality.py``) to the errors that a model makes on strange people.

    python benchmarks/quality.py ../shared/data --photos 500

Photos of each set are drawn with seed 0; a third of them stays as it is, the others are made smaller, blurred or darker
by a random amount. The built-in model, which has seen none of the people, predicts them. A face is right if mask and
gender are, as far as they are labelled, and the age is at most 10 years off, or within the labelled band. A logistic
regression of that on :func:`~maskcls.embedder.detection.quality.factors` gives the constants, with weights that may
only lower the quality, and an intercept for each set, since some are harder than others whatever their quality. It is
fitted to half of the people and scored on the others, against the norm alone and against the model's own confidence:
mean error over all coverages (AURC), averaged over the sets, lower is better.
"""

from __future__ import annotations

import argparse
import io
import random
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import ImageEnhance, ImageFilter
from scipy.optimize import minimize
from scipy.special import expit

from maskcls.classify.model.loading import open_model
from maskcls.classify.predict.job import answer_photos
from maskcls.embedder.datasets.layouts import read_dataset
from maskcls.embedder.detection.align import sharpness
from maskcls.embedder.detection.finder import FaceFinder
from maskcls.embedder.detection.quality import FACTORS, Measures, factors
from maskcls.embedder.photo import Photo, PhotoError, read_photo, read_photo_bytes
from maskcls.embedder.pipeline import encode_read

SETS = ("contest", "utkface/photos", "aaf", "fairface-more", "masks/street")
BATCH = 50
Floats = npt.NDArray[np.float64]


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--photos", type=int, default=500, help="of each set")
    options = parser.parse_args()
    model, encoder, _, _ = open_model(None)
    finder, draw = FaceFinder(engine="openvino"), random.Random(0)
    rows: list[list[float]] = []
    right: list[bool] = []
    sure: list[float] = []
    half: list[int] = []
    source: list[int] = []
    for number, name in enumerate(SETS):
        listed = [item for item in read_dataset(options.data / name, "auto").photos if item.refused is None]
        listed = draw.sample(listed, min(options.photos, len(listed)))
        lost = 0
        for start in range(0, len(listed), BATCH):
            part = listed[start : start + BATCH]
            photos: list[Photo | PhotoError] = [_damaged(read_photo(item.path), draw) for item in part]
            encoded = encode_read(photos, finder, encoder)
            answers = answer_photos(encoded, [""] * len(part), model)
            for item, photo, answer in zip(part, encoded, answers, strict=True):
                if (face := photo.face) is None or answer.mask is None or answer.gender is None or answer.age is None:
                    lost += 1
                    continue
                labels, side = item.labels, (face.found.box[2:] - face.found.box[:2]).min()
                years, low, high = answer.age.years or 0.0, labels.age_low, labels.age_high
                wrong = (labels.mask is not None and labels.mask != answer.mask.label) or (
                    labels.gender is not None and labels.gender != answer.gender.label
                )
                if low is not None and high is not None:
                    slack = 10 if low == high else 0
                    wrong |= not low - slack <= years <= high + 1 + slack
                rows.append([side, sharpness(face.crop), face.norm, face.brightness])
                right.append(not wrong)
                source.append(number)
                sure.append(min(one.probability or 0.0 for one in (answer.mask, answer.gender, answer.age)))
                half.append(zlib.crc32((labels.person or item.path.name).encode()) % 2)
        print(f"{name}: {len(listed)} photos, {lost} without a face", flush=True)
    measured = np.array(rows)
    inputs, truth = factors(Measures(*measured.T)), np.array(right, np.float64)
    fit, sets = np.array(half) == 0, np.array(source)
    for chosen, where in ((fit, "half"), (np.ones(len(fit), bool), "all")):
        weights = fitted(inputs[chosen], sets[chosen], truth[chosen])
        named = ", ".join(f"{name} {w:.3f}" for name, w in zip(FACTORS, weights[1:], strict=True))
        print(f"fitted to {where} ({chosen.sum()} faces, {truth[chosen].mean():.3f} right): {weights[0]:.3f}; {named}")
        if where == "half":
            scores = {"quality": inputs @ weights[1:], "norm": measured[:, 2], "confidence": np.array(sure)}
            scores["quality x confidence"] = expit(weights[0] + inputs @ weights[1:]) * scores["confidence"]
            for name, score in scores.items():
                areas = [aurc(score[~fit & (sets == one)], truth[~fit & (sets == one)]) for one in range(len(SETS))]
                print(f"  AURC by {name}: {np.mean(areas):.3f} ({', '.join(f'{area:.3f}' for area in areas)})")
            quality = expit(weights[0] + inputs @ weights[1:]) / expit(weights[0])
            for low in (0.0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9):
                inside = ~fit & (quality >= low) & (quality < low + 0.1)
                share = f"{truth[inside].mean():.3f} right" if inside.any() else ""
                print(f"  quality {low:.1f}-{low + 0.1:.1f}: {inside.sum()} faces {share}")


def _damaged(photo: Photo, draw: random.Random) -> Photo:
    """The photo as it is, smaller, blurred or darker."""
    kind, image = draw.choice(["none", "small", "blurred", "dark"] if draw.random() < 0.9 else ["none"]), photo.image
    if kind == "none":
        return photo
    if kind == "small":
        factor = min(1.0, draw.uniform(16, 100) / max(image.size))
        image = image.resize((max(16, round(image.width * factor)), max(16, round(image.height * factor))))
    elif kind == "blurred":
        image = image.filter(ImageFilter.GaussianBlur(draw.uniform(0.002, 0.05) * max(image.size)))
    else:
        image = ImageEnhance.Brightness(image).enhance(draw.uniform(0.03, 0.5))
    content = io.BytesIO()
    image.save(content, "JPEG", quality=92)
    return read_photo_bytes(content.getvalue())


def fitted(inputs: Floats, sets: npt.NDArray[np.int64], truth: Floats) -> Floats:
    """Mean intercept of the sets, and weights (at most 0), of the most probable logistic regression."""
    columns = np.concatenate([np.eye(len(SETS))[sets], inputs], axis=1)

    def loss(weights: Floats) -> tuple[float, Floats]:
        odds = columns @ weights
        return float(np.logaddexp(0, odds).sum() - truth @ odds), columns.T @ (expit(odds) - truth)

    bounds = [*[(None, None)] * len(SETS), *[(None, 0.0)] * inputs.shape[1]]
    found: Floats = minimize(loss, np.zeros(columns.shape[1]), jac=True, bounds=bounds, method="L-BFGS-B").x
    return np.concatenate([[found[: len(SETS)].mean()], found[len(SETS) :]])


def aurc(score: Floats, truth: Floats) -> float:
    """Mean error over all coverages, the best scores first."""
    wrong = 1 - truth[np.argsort(-score, kind="stable")]
    return float((np.cumsum(wrong) / np.arange(1, len(wrong) + 1)).mean())


if __name__ == "__main__":
    main()
