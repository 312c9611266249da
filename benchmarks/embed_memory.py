"""Memory and time of ``maskcls embed`` by number of photos, and of a second run that finds nothing to do.

    python benchmarks/embed_memory.py ../shared/data/contest/images --sizes 1000 5000 20000

The photos of the folder are linked as often as it takes; files are distinct, contents repeat. Memory is what the
process has for itself (``RssAnon``, its peak, read 50 times a second): pages of the mapped arrays can be dropped at
any time. ``--bookkeeping`` replaces the networks by constants, to see what lists and tables alone need for very many
photos. Linux only.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from maskcls.embedder.photo import list_photos

_PLAIN = "from maskcls.cli.main import main; main()"
_CONSTANT = """
import numpy as np
from maskcls.embedder.facenet import encoder
from maskcls.embedder.facenet.encoder import EMBEDDING_DIM, MAP_SHAPE, Encoded
def constant(self, crops):
    vectors = np.full((len(crops), EMBEDDING_DIM), EMBEDDING_DIM ** -0.5, np.float32)
    return Encoded(vectors, np.zeros((len(crops), *MAP_SHAPE), np.float16), np.ones(len(crops), np.float32))
encoder.FaceNetEncoder.encode = constant
"""


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 5000, 20000])
    parser.add_argument("--bookkeeping", action="store_true")
    parser.add_argument("--scratch", type=Path, help="where sets are written; 57 KB a photo while a run is on")
    options = parser.parse_args()
    sources = list_photos(options.photos)[0]
    for size in options.sizes:
        with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
            link(sources, size, Path(scratch, "photos"))
            command = [sys.executable, "-c", (_CONSTANT if options.bookkeeping else "") + _PLAIN, "embed"]
            command += [str(Path(scratch, "photos")), "--out", str(Path(scratch, "faces")), "--face"]
            command += ["whole" if options.bookkeeping else "auto"]
            for name in ("first", "second"):
                seconds, peak = watched(command)
                print(f"{size} photos, {name} run: {seconds:.1f} s, {peak / 2**20:.0f} MiB", flush=True)


def link(sources: list[Path], size: int, root: Path) -> None:
    """Links to the sources, a thousand a folder."""
    for number in range(size):
        source = sources[number % len(sources)]
        target = root / f"{number // 1000:04d}" / f"{number % 1000:03d}{source.suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        os.symlink(source.resolve(), target)


def watched(command: list[str]) -> tuple[float, int]:
    """Seconds of a command that must succeed, and the most bytes of memory it had for itself."""
    peak, start = 0, time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            peak = max(peak, anonymous(process.pid))
            time.sleep(0.02)
    if process.returncode:
        raise SystemExit(process.returncode)
    return time.perf_counter() - start, peak


def anonymous(pid: int) -> int:
    """Bytes of memory that a process has for itself now; 0 where it has just ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


if __name__ == "__main__":
    main()
