"""Photos per second of ``maskcls embed`` beside facenet-pytorch's documented loop, in one run.

    python benchmarks/embed_speed.py ../shared/data/contest/images --photos 400 --rounds 3

The peer is the loop of facenet-pytorch's README: open, ``MTCNN(image_size=160)``, ``InceptionResnetV1`` one photo at a
time, here with the same packaged weights (with batch norm folded, which favours the peer). Rounds alternate; medians
are reported, model loading is left out on both sides.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from pathlib import Path

import torch
from facenet_pytorch import MTCNN
from PIL import Image

from maskcls.embedder.embed import embed_folder
from maskcls.embedder.encoder import FaceNetEncoder
from maskcls.embedder.finder import FaceFinder
from maskcls.embedder.layouts import Dataset, Listed
from maskcls.embedder.photo import list_photos
from maskcls.embedder.weights import load_facenet


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos_folder", type=Path)
    parser.add_argument("--photos", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    paths = list_photos(options.photos_folder)[0]
    paths = sorted(random.Random(0).sample(paths, min(options.photos, len(paths))))
    encoder, finder = FaceNetEncoder(), FaceFinder()
    mtcnn, resnet = MTCNN(image_size=160), load_facenet()[0]
    ours: dict[str, list[float]] = {"auto": [], "detect": []}
    peer: list[float] = []
    found: dict[str, int] = {}
    for _ in range(options.rounds):
        for mode, rates in ours.items():
            with tempfile.TemporaryDirectory() as out:
                start = time.perf_counter()
                dataset = Dataset("folders", [Listed(path) for path in paths], 0)
                report = embed_folder(dataset, options.photos_folder, Path(out), encoder, finder, mode=mode)  # type: ignore[arg-type]
                found[mode] = report.faces
                rates.append(len(paths) / (time.perf_counter() - start))
        start, found["peer"] = time.perf_counter(), 0
        with torch.no_grad():
            for path in paths:
                with Image.open(path) as image:
                    face = mtcnn(image.convert("RGB"))
                if face is not None:
                    resnet(face.unsqueeze(0))
                    found["peer"] += 1
        peer.append(len(paths) / (time.perf_counter() - start))
    theirs = statistics.median(peer)
    print(f"{len(paths)} photos, {torch.get_num_threads()} threads, medians of {options.rounds} rounds")
    print(f"facenet-pytorch loop: {theirs:.1f} photos/s (a face in {found['peer']} of {len(paths)})")
    for mode, rates in ours.items():
        rate = statistics.median(rates)
        print(f"maskcls embed --face {mode}: {rate:.1f} photos/s, {rate / theirs:.2f} x (a face in {found[mode]})")


if __name__ == "__main__":
    main()
