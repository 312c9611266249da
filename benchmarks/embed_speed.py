"""Photos per second of ``maskcls embed`` by runtime beside facenet-pytorch's documented loop, in one run.

    python benchmarks/embed_speed.py ../shared/data/contest/images ../shared/data/masks/rendered

The first folder holds tight face crops, the second photos in which the face must be searched for. The peer is the
loop of facenet-pytorch's README: open, ``MTCNN(image_size=160)``, ``InceptionResnetV1`` one photo at a time, here
with the same packaged weights (with batch norm folded, which favours the peer). Everybody may use the same threads
(``OMP_NUM_THREADS``). Rounds alternate; medians and ranges are reported, model loading is left out on all sides.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from facenet_pytorch import MTCNN
from PIL import Image

from maskcls.embedder.datasets.dataset import Dataset, Listed
from maskcls.embedder.detection.finder import FaceFinder, FaceMode
from maskcls.embedder.facenet.encoder import FaceNetEncoder
from maskcls.embedder.facenet.runtimes import Runtime, has_bf16, has_openvino, threads
from maskcls.embedder.facenet.weights import load_facenet
from maskcls.embedder.faceset.embed import embed_folder
from maskcls.embedder.photo import PassedOver, list_photos

PEER = "facenet-pytorch loop"
Job = Callable[[list[Path]], int]


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("crops", type=Path)
    parser.add_argument("scenes", type=Path, nargs="?")
    parser.add_argument("--photos", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(threads())
    jobs = {PEER: peer()}
    for runtime in there():
        encoder, finder = FaceNetEncoder(runtime=runtime), FaceFinder(engine=runtime.engine)
        jobs[f"maskcls, {runtime}"] = ours(encoder, finder, "auto")
    jobs[f"maskcls, {runtime}, --face detect"] = ours(encoder, finder, "detect")
    for folder in (options.crops, options.scenes):
        if folder is not None:
            report(folder, jobs, options.photos, options.rounds)


def there() -> list[Runtime]:
    """The runtimes that there are here, slowest first."""
    runtimes = [Runtime("torch", "fp32"), *[Runtime("torch", "bf16")] * has_bf16()]
    if has_openvino():
        runtimes += [Runtime("openvino", "fp32"), *[Runtime("openvino", "bf16")] * has_bf16()]
    return runtimes


def ours(encoder: FaceNetEncoder, finder: FaceFinder, mode: FaceMode) -> Job:
    """``maskcls embed`` into a new set."""

    def run(paths: list[Path]) -> int:
        dataset = Dataset("folders", [Listed(path) for path in paths], PassedOver())
        with tempfile.TemporaryDirectory() as out:
            return embed_folder(dataset, paths[0].parents[1], Path(out), encoder, finder, mode=mode).faces

    return run


def peer() -> Job:
    """facenet-pytorch's documented loop."""
    mtcnn, resnet = MTCNN(image_size=160), load_facenet()[0]

    def run(paths: list[Path]) -> int:
        found = 0
        with torch.no_grad():
            for path in paths:
                with Image.open(path) as image:
                    face = mtcnn(image.convert("RGB"))
                if face is not None:
                    resnet(face.unsqueeze(0))
                    found += 1
        return found

    return run


def report(folder: Path, jobs: dict[str, Job], photos: int, rounds: int) -> None:
    """Time all jobs on photos of one folder and print a table."""
    paths = list_photos(folder)[0]
    paths = sorted(random.Random(0).sample(paths, min(photos, len(paths))))
    rates: dict[str, list[float]] = {name: [] for name in jobs}
    found: dict[str, int] = {}
    for number in range(rounds + 1):
        for name, job in jobs.items():
            todo = paths if number else paths[:16]  # the first round warms up
            start = time.perf_counter()
            found[name] = job(todo)
            if number:
                rates[name].append(len(todo) / (time.perf_counter() - start))
    theirs = statistics.median(rates[PEER])
    print(f"{folder}: {len(paths)} photos, {threads()} threads, medians of {rounds} rounds")
    for name, some in rates.items():
        rate = statistics.median(some)
        print(
            f"{name}: {rate:.1f} photos/s ({min(some):.1f}-{max(some):.1f}), {rate / theirs:.2f} x, "
            f"a face in {found[name]}",
            flush=True,
        )


if __name__ == "__main__":
    main()
