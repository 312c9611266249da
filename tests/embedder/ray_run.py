"""Embeds a folder on a local Ray cluster of two workers, one of which it kills; run by ``test_ray_engine``.

A process of its own: Ray connects to itself over TCP, which tests may not.
"""

import sys
from functools import partial
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from maskcls.embedder.datasets.layouts import read_dataset
from maskcls.embedder.detection.finder import FaceFinder
from maskcls.embedder.facenet.encoder import FaceNetEncoder
from maskcls.embedder.faceset.embed import embed_folder
from maskcls.embedder.ray import Work, encode_with_ray, ray_cluster

photos, out = map(Path, sys.argv[1:])
killed: list[int] = []
seen: list[int] = []


def kill_one(done: int, total: int) -> None:
    """As soon as the first batch is in, with others under way."""
    seen.append(done)
    if done and not killed:
        workers = [p for p in psutil.Process().children(recursive=True) if "ray::_encode" in " ".join(p.cmdline())]
        killed.extend(worker.pid for worker in workers[:1])
        workers[0].kill()


encoder = FaceNetEncoder()
with ray_cluster(2):
    work = Work(encoder.info, None, "cpu", "whole", 4)
    report = embed_folder(
        read_dataset(photos, "folders"),
        photos,
        out,
        encoder,
        FaceFinder(),
        mode="whole",
        encode=partial(encode_with_ray, work=work),
        progress=kill_one,
    )
print(len(killed), report.faces, report.rejects, seen)
