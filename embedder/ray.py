"""Encode photos on the machines of a Ray cluster (https://docs.ray.io), which must all see the photos' folder.

Needs the extra ``ray``. Batches become Ray tasks; a worker process or a machine that dies has its batches given to
another one, and every batch comes back once, in order, so that the set is the same as that of a run on one machine.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from .detection.finder import FaceFinder, FaceMode
from .detection.search import SearchName
from .errors import MaskclsError
from .facenet.encoder import EncoderInfo, FaceNetEncoder
from .facenet.runtimes import REFERENCE, Runtime
from .pipeline import EncodedPhoto, encode_photos

AHEAD = 2
"""Batches that are given out for each processor of the cluster, so that none waits and memory stays bounded."""

RETRIES = 10
"""Of a batch whose worker died: enough for machines that come and go, and an end where a photo is what kills it."""


@dataclass(frozen=True)
class Work:
    """How every worker encodes: see :func:`.pipeline.encode_photos` and :class:`.facenet.encoder.FaceNetEncoder`.

    ``encoder`` is what the asking machine has; a worker that has another one refuses.
    """

    encoder: EncoderInfo
    weights: Path | None
    device: str
    mode: FaceMode
    batch_size: int
    runtime: Runtime = REFERENCE
    search: SearchName | None = None
    faces: int = 1


@contextmanager
def ray_cluster(processors: int | None = None) -> Iterator[None]:
    """Join the cluster that ``RAY_ADDRESS`` names, or start one on this machine for the time of the block.

    Args:
        processors: of the cluster that is started; by default all of this machine.

    Raises:
        MaskclsError: the extra is not installed, or the cluster cannot be reached or started.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent home
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # nor is a GPU hidden, which Ray warns of
    try:
        import ray
    except ImportError as error:
        raise MaskclsError(f"--engine ray needs an extra: pip install 'maskcls[ray]' ({error.name})") from error
    joined = os.environ.get("RAY_ADDRESS")
    try:
        if joined:
            ray.init(address=joined, log_to_driver=False, configure_logging=False)
        else:
            ray.init(num_cpus=processors, include_dashboard=False, log_to_driver=False, configure_logging=False)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        where = f"RAY_ADDRESS {joined}: cannot be reached" if joined else "a Ray cluster cannot be started here"
        raise MaskclsError(f"{where} ({str(error).splitlines()[0] if str(error) else type(error).__name__})") from error
    try:
        yield
    finally:
        ray.shutdown()


def encode_with_ray(paths: Sequence[Path], work: Work) -> AbstractContextManager[Iterator[list[EncodedPhoto]]]:
    """Like :func:`.pipeline.encode_photos`, by the workers of the cluster of :func:`ray_cluster`.

    Raises:
        MaskclsError: a worker has another encoder, or the work cannot be done.
    """
    return closing(_batches(paths, work))


def _batches(paths: Sequence[Path], work: Work) -> Generator[list[EncodedPhoto]]:
    import ray

    gpu = 1 if work.device.startswith("cuda") else 0
    task: Any = ray.remote(num_cpus=1, num_gpus=gpu, max_retries=RETRIES)(_encode)
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    ahead = AHEAD * max(1, int(resources.get("GPU" if gpu else "CPU", 1)))
    waiting: deque[Any] = deque()
    try:
        for start in range(0, len(paths), work.batch_size):
            waiting.append(task.remote(list(paths[start : start + work.batch_size]), work))
            if len(waiting) >= ahead:
                yield ray.get(waiting.popleft())
        while waiting:
            yield ray.get(waiting.popleft())
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, MaskclsError):
            raise MaskclsError(str(error.cause)) from None
        raise
    except ray.exceptions.RayError as error:
        raise MaskclsError(f"the Ray cluster failed ({type(error).__name__}); run it again to go on") from error
    finally:
        for one in waiting:
            ray.cancel(one, force=True)


def _encode(paths: list[Path], work: Work) -> list[EncodedPhoto]:
    """One batch, in a worker."""
    encoder, finder = _networks(work.weights, work.device, work.runtime, work.search)
    if encoder.info != work.encoder:
        raise MaskclsError(
            f"a worker has encoder {encoder.info.name} ({encoder.info.fingerprint}), this run {work.encoder.name} "
            f"({work.encoder.fingerprint}); install the same maskcls and weights on every machine"
        )
    size = work.batch_size
    with encode_photos(paths, finder, encoder, mode=work.mode, faces=work.faces, jobs=1, batch_size=size) as batches:
        return [photo for batch in batches for photo in batch]


@lru_cache(1)
def _networks(
    weights: Path | None, device: str, runtime: Runtime, search: SearchName | None
) -> tuple[FaceNetEncoder, FaceFinder]:
    """Loaded once a worker process, which Ray uses again for the next batch."""
    return FaceNetEncoder(weights, device, runtime=runtime), FaceFinder(device, runtime.engine, search)
