"""Memory and time of ``maskcls embed`` by number of photos, and of a second run that finds nothing to do.

    python -m benchmarks.embed_memory ../shared/data/contest/images --sizes 1000 5000 20000

The photos of the folder are linked as often as it takes; files are distinct, contents repeat. Memory is what the
process has for itself (``RssAnon``, its peak, read 20 times a second): pages of the mapped arrays can be dropped at
any time. ``--bookkeeping`` replaces the networks by constants, to see what lists and tables alone need for very many
photos. Linux only.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from benchmarks.commands import measured
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
                usage = measured(command)
                print(f"{size} photos, {name} run: {usage.wall:.1f} s, {usage.memory / 2**20:.0f} MiB", flush=True)


def link(sources: list[Path], size: int, root: Path) -> None:
    """Links to the sources, a thousand a folder."""
    for number in range(size):
        source = sources[number % len(sources)]
        target = root / f"{number // 1000:04d}" / f"{number % 1000:03d}{source.suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        os.symlink(source.resolve(), target)


if __name__ == "__main__":
    main()
