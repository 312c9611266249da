"""Which runtime answers fastest, and whether its answers stay what they are: faces/s beside accuracy, in one run.

    python benchmarks/runtimes.py faces/contest faces/utkface --faces 1200

The sets are split by person: a model is built from one part as the sets hold it (embed them with
``--runtime torch --precision fp32``), and every runtime encodes the same photos of the other people. Timed parts
alternate, all with the same threads; what is timed is the backbone alone, crops in memory. onnxruntime and int8 are
measured if ``onnx onnxruntime onnxscript`` and ``nncf`` are installed; int8 is calibrated on faces of the gallery.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.metrics import f1_score
from sklearn.model_selection import GroupShuffleSplit

from maskcls.classify.age.vote import NOBODY
from maskcls.classify.data.face_set import FaceSet, open_face_set
from maskcls.classify.model.answers import answer_rows
from maskcls.classify.model.build import build_model
from maskcls.classify.model.model import Model
from maskcls.embedder.facenet.encoder import CROP_SHAPE, FaceNetEncoder
from maskcls.embedder.facenet.network import Backbone
from maskcls.embedder.facenet.runtimes import Runtime, has_bf16, has_openvino, threads
from maskcls.embedder.facenet.weights import load_facenet
from maskcls.embedder.faceset.crops import read_crops
from maskcls.embedder.labels import age_band

Crops = npt.NDArray[np.uint8]
Run = Callable[[Crops], list[npt.NDArray[Any]]]
CALIBRATION = 200
NEIGHBOURS = 20
GROUPS = ("contest", "utkface")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", type=Path, nargs="+")
    parser.add_argument("--faces", type=int, default=1200, help="asked about, about; of other people than the gallery")
    parser.add_argument("--timed", type=int, default=128, help="faces a timed part")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=64)
    options = parser.parse_args()
    torch.set_num_threads(threads())
    pool = open_face_set(options.sets)
    split = GroupShuffleSplit(1, test_size=options.faces / len(pool), random_state=0)
    gallery, asked = next(split.split(pool.people, groups=pool.people))
    model, _ = build_model(pool.subset(gallery), seed=0)
    queries = pool.subset(asked)
    crops = read_crops(queries.table)
    calibration = read_crops(pool.table.iloc[np.random.default_rng(0).permutation(gallery)[:CALIBRATION]])
    runs = variants(calibration)
    print(
        f"{len(gallery)} faces of {len(np.unique(pool.people[gallery]))} people in the gallery, {len(asked)} faces of "
        f"{len(np.unique(queries.people))} others asked about; {threads()} threads, batches of {options.batch}"
    )
    rates = timed(runs, crops[: options.timed], options.batch, options.rounds)
    slow = statistics.median(rates["torch fp32"])
    reference: Encoded | None = None
    for name, run in runs.items():
        encoded = Encoded(run, crops, options.batch, model, queries)
        reference = reference or encoded
        middle = statistics.median(rates[name])
        print(
            f"{name}: {middle:.1f} faces/s ({min(rates[name]):.1f}-{max(rates[name]):.1f}), {middle / slow:.2f} x; "
            f"{encoded.compared(reference)}; {encoded.scores()}",
            flush=True,
        )


class Encoded:
    """What one runtime makes of the queries, and what the model answers then."""

    def __init__(self, run: Run, crops: Crops, batch: int, model: Model, queries: FaceSet) -> None:
        parts = [run(crops[i : i + batch]) for i in range(0, len(crops), batch)]
        maps, vectors = (np.concatenate(part) for part in zip(*parts, strict=True))
        vectors = vectors.astype(np.float32)
        self.embeddings = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        self.found = model.gallery.search(model.age_space.project(self.embeddings, maps), NEIGHBOURS).ids
        ages = model.ages(self.embeddings, maps, np.full(len(crops), NOBODY))
        self.answers = answer_rows(model, ages, self.embeddings, maps)
        self.table = queries.table

    def compared(self, other: Encoded) -> str:
        """With float32: cosines, neighbours in the age space, answers that changed."""
        cosine = (self.embeddings * other.embeddings).sum(axis=1)
        recall = np.mean([len(set(a) & set(b)) / NEIGHBOURS for a, b in zip(self.found, other.found, strict=True)])
        changed = {
            task: np.mean([a[task] != b[task] for a, b in zip(self.answers, other.answers, strict=True)])
            for task in ("mask", "gender", "age_band")
        }
        years = np.mean([abs(a["age"] - b["age"]) for a, b in zip(self.answers, other.answers, strict=True)])
        return (
            f"cosine {cosine.mean():.5f}, least {cosine.min():.5f}; recall@{NEIGHBOURS} {recall:.4f}; "
            f"age moves {years:.2f} years; changed "
            + ", ".join(f"{task} {100 * share:.2f} %" for task, share in changed.items())
        )

    def scores(self) -> str:
        """Accuracy on each source's labels."""
        lines = []
        for source in GROUPS:
            rows = np.flatnonzero((self.table["source"] == source).to_numpy())
            if not len(rows):
                continue
            table = self.table.iloc[rows]
            predicted = {key: np.array([self.answers[i][key] for i in rows], object) for key in self.answers[0]}
            bands = [age_band(age) for age in table["age_low"]]
            mae = np.abs(predicted["age"].astype(float) - table["age_low"].to_numpy(float)).mean()
            parts = [
                f"age MAE {mae:.3f}",
                f"band F1 {f1_score(bands, predicted['age_band'].astype(str), average='macro'):.4f}",
                f"gender {(predicted['gender'] == table['gender'].to_numpy(object)).mean():.4f}",
                f"mask {(predicted['mask'] == table['mask'].to_numpy(object)).mean():.4f}",
            ]
            lines.append(f"{source} {' '.join(parts)}")
        return "; ".join(lines)


def timed(runs: dict[str, Run], crops: Crops, batch: int, rounds: int) -> dict[str, list[float]]:
    """Faces per second of each run in each round; the runs take turns."""
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            for i in range(0, len(crops), batch):
                run(crops[i : i + batch])
            if number:  # the first round warms up
                rates[name].append(len(crops) / (time.perf_counter() - start))
    return rates


def variants(calibration: Crops) -> dict[str, Run]:
    """All runtimes that there are here; ``torch fp32`` is the first."""
    wanted = [Runtime("torch", "fp32")]
    wanted += [Runtime("torch", "bf16")] * has_bf16()
    if has_openvino():
        wanted += [Runtime("openvino", "fp32"), *[Runtime("openvino", "bf16")] * has_bf16()]
    runs: dict[str, Run] = {str(runtime): FaceNetEncoder(runtime=runtime)._backbone for runtime in wanted}
    if importlib.util.find_spec("onnxruntime"):
        runs["onnxruntime fp32"] = onnxruntime()
    if importlib.util.find_spec("nncf"):
        runs["openvino int8"] = int8(calibration)
    return runs


def onnxruntime() -> Run:
    """The backbone exported to ONNX and run by onnxruntime."""
    import onnxruntime as ort

    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "backbone.onnx")
        axes = {"crops": {0: "n"}, "maps": {0: "n"}, "vectors": {0: "n"}}
        torch.onnx.export(
            Backbone(load_facenet()[0]),
            (torch.zeros(2, *CROP_SHAPE, dtype=torch.uint8),),
            path,
            dynamo=False,
            input_names=["crops"],
            output_names=["maps", "vectors"],
            dynamic_axes=axes,
        )
        settings = ort.SessionOptions()
        settings.intra_op_num_threads = threads()
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = ort.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    return lambda crops: list(session.run(None, {"crops": crops}))


def int8(calibration: Crops) -> Run:
    """The backbone quantised after training by NNCF, per channel, with its exact bias correction."""
    from maskcls.embedder.facenet.openvino import _openvino

    openvino = _openvino()
    import nncf

    net = openvino.convert_model(
        Backbone(load_facenet()[0]),
        example_input=torch.zeros(2, *CROP_SHAPE, dtype=torch.uint8),
        input=[openvino.PartialShape([-1, *CROP_SHAPE])],
    )
    faces = nncf.Dataset([calibration[i : i + 1] for i in range(len(calibration))])
    quantised = nncf.quantize(net, faces, subset_size=len(calibration), fast_bias_correction=False)
    compiled = openvino.Core().compile_model(
        quantised, "CPU", {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads()}
    )
    request = compiled.create_infer_request()
    return lambda crops: list(request.infer([crops]).values())


if __name__ == "__main__":
    main()
