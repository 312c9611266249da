"""The faces under review: their columns for the page, their nearest faces, and a map of the embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.decomposition import PCA

from ....embedder.faceset.corrections import confirmed_labels, labels_of
from ....embedder.faceset.store import EmbeddingSet
from ....embedder.labels import AGE_BANDS, GENDERS, MASKS, band_numbers
from ....embedder.photo import shown
from ....index.flat import Gallery
from ...data.identity import person_keys
from ...data.thumbnails import FacePlace

MAP_STEPS = 4000
"""Positions on the map are whole numbers from 0 to this, both ways."""
CLASSES = tuple(f"{mask}, {gender}, {band}" for mask in MASKS for gender in GENDERS for band in AGE_BANDS)
"""Names of the classes 0-17."""

_WORDS = {"mask": MASKS, "gender": GENDERS}

Floats = npt.NDArray[np.float32]


class Faces:
    """Faces of one or more embedding sets; a row is a position in ``table``.

    Attributes:
        table: see :data:`maskcls.embedder.table.COLUMNS`, plus ``root`` (folder of photos the path is relative to) and
            ``dataset`` (id of the data set).
        embeddings: (n, 512) float32.
    """

    def __init__(self, folders: Sequence[Path], sets: Sequence[EmbeddingSet]) -> None:
        """Join opened sets; a face that is in several, or twice in one under the same path, is taken once."""
        names = [shown(folder.resolve().name) for folder in folders]
        tables = [one.table.assign(root=one.settings["root"], dataset=one.dataset) for one in sets]
        table = pd.concat(tables, ignore_index=True)
        number = np.repeat(np.arange(len(sets)), [len(one) for one in sets])
        kept = np.flatnonzero(~table.duplicated(["face_id", "path"]).to_numpy())
        self.table = table.iloc[kept].reset_index(drop=True)
        self.embeddings = np.concatenate([one.embeddings for one in sets])[kept]
        self._set = number[kept]
        self._set_names = names
        self._confirmed = set().union(*(confirmed_labels(one) for one in sets))
        self._mutex = Lock()

    def __len__(self) -> int:
        return len(self.table)

    def places(self) -> dict[str, FacePlace]:
        """``face_id`` -> where its picture is cut from."""
        columns = (self.table[name] for name in ("face_id", "root", "path", "box", "file_sha256"))
        return {face_id: FacePlace(*place) for face_id, *place in zip(*columns, strict=True)}

    def rows(self) -> dict[str, int]:
        """``face_id`` -> its first row."""
        return {face_id: row for row, face_id in reversed(list(enumerate(self.table["face_id"])))}

    def columns(self) -> dict[str, Any]:
        """The table for the page as JSON values, a list a column.

        ``mask``, ``gender``, ``band``, ``class``, ``age``, ``person`` and ``race`` are positions in their names, -1
        where unknown; a person is a name within one data set, and the names of ages are in order.
        """
        table = self.table
        low, high = (band_numbers(table[name].fillna(0)) for name in ("age_low", "age_high"))
        band = np.where(table["age_low"].notna() & (low == high), low, -1)
        mask, gender = (pd.Index(words).get_indexer(pd.Index(table[name])) for name, words in _WORDS.items())
        known = (mask >= 0) & (gender >= 0) & (band >= 0)
        person, people = pd.factorize(person_keys(table), sort=True)
        ages = table[["age_low", "age_high"]].assign(text=labels_of(table)["age"])
        known_ages = ages[ages["text"] != ""].drop_duplicates("text").sort_values(["age_low", "age_high"])["text"]
        source, sources = pd.factorize(table["source"].fillna(""), sort=True)
        race, races = pd.factorize(table["race"], sort=True)
        return {
            "count": len(table),
            "id": table["face_id"].tolist(),
            "path": [shown(path) for path in table["path"]],
            "mask": mask.tolist(),
            "gender": gender.tolist(),
            "band": band.tolist(),
            "class": np.where(known, 6 * mask + 3 * gender + band, -1).tolist(),
            "age": pd.Index(known_ages).get_indexer(pd.Index(ages["text"])).tolist(),
            "person": person.tolist(),
            "source": source.tolist(),
            "race": race.tolist(),
            "set": self._set.tolist(),
            "cut": (table["face"] != "whole").astype(int).tolist(),
            "reviewed": self._reviewed(),
            "names": {
                "mask": MASKS,
                "gender": GENDERS,
                "band": AGE_BANDS,
                "class": CLASSES,
                "age": known_ages.tolist(),
                "person": [shown(str(key).partition(":")[2]) for key in people],
                "source": [shown(name) for name in sources],
                "race": [shown(name) for name in races],
                "set": self._set_names,
            },
        }

    def near(self, row: int, k: int) -> list[tuple[int, float]]:
        """Rows of the ``k`` nearest other faces and their cosine similarities, nearest first."""
        found = self._gallery.search(self.embeddings[row : row + 1], min(k + 1, len(self)))
        pairs = zip(found.ids[0].tolist(), found.similarities[0].tolist(), strict=True)
        return [(other, round(similarity, 3)) for other, similarity in pairs if other not in (row, -1)][:k]

    def plane(self) -> dict[str, Any]:
        """The map: ``x`` and ``y`` (n each, 0 to :data:`MAP_STEPS`), and the share of the variance each explains."""
        with self._mutex:
            return self._plane

    @cached_property
    def _plane(self) -> dict[str, Any]:
        parts = min(2, len(self) - 1)
        points, explained = np.zeros((len(self), 2)), [0.0, 0.0]
        if parts > 0:
            pca = PCA(parts, svd_solver="covariance_eigh").fit(self.embeddings)
            points[:, :parts] = pca.transform(self.embeddings)
            explained[:parts] = np.nan_to_num(pca.explained_variance_ratio_).round(4).tolist()
        low, high = points.min(axis=0), points.max(axis=0)
        steps = np.rint((points - low) / np.maximum(high - low, 1e-9) * MAP_STEPS).astype(int)
        return {"x": steps[:, 0].tolist(), "y": steps[:, 1].tolist(), "explained": explained}

    @property
    def _gallery(self) -> Gallery:
        with self._mutex:
            return self._filled

    @cached_property
    def _filled(self) -> Gallery:
        gallery = Gallery(self.embeddings.shape[1])
        gallery.add(self.embeddings, np.arange(len(self)))
        return gallery

    def _reviewed(self) -> list[int]:
        """Rows whose known labels were all corrected or confirmed in their set by an earlier review."""
        if not self._confirmed:
            return []
        texts = labels_of(self.table)
        unconfirmed = np.zeros(len(self), bool)
        for field, column in texts.items():
            labels = zip(self.table["face_id"], column, strict=True)
            unconfirmed |= [text != "" and (face_id, field, text) not in self._confirmed for face_id, text in labels]
        known = (texts != "").any(axis=1).to_numpy()
        return np.flatnonzero(~unconfirmed & known).tolist()
