"""Build the built-in model (``make builtin-model``): prototypes in the gallery, heads trained on augmented faces too.

python -m benchmarks.builtin_model FACES DRAWN_FACES --out MODEL
"""

from __future__ import annotations

import argparse
from pathlib import Path

from maskcls.classify.data.augmentation import augment
from maskcls.classify.data.face_set import open_face_set
from maskcls.classify.model.build import build_model
from maskcls.embedder.facenet.encoder import FaceNetEncoder
from maskcls.embedder.facenet.runtimes import pick_runtime

PROTOTYPES, AUGMENTATIONS = 5, 4


def main() -> None:
    """Build and save; a killed run goes on with the augmentations it had."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    cache = options.out.with_name(f".{options.out.name}.views")
    encoder = FaceNetEncoder(runtime=pick_runtime())
    pool = augment(open_face_set(options.faces), encoder, AUGMENTATIONS, options.seed, cache)
    model, _ = build_model(pool, options.seed, prototypes=PROTOTYPES)
    model.save(options.out)


if __name__ == "__main__":
    main()
