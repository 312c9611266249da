"""Which faces are drawn how often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch.utils.data import WeightedRandomSampler

from ....embedder.errors import MaskclsError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def sampling_weights(labels: Sequence[Ints], balance: float, factors: Floats) -> Floats:
    """How often each face is drawn in relation to others (n,), mean 1.

    Args:
        labels: class numbers (n,) of each task a network learns; faces alike in all of them are one kind, and the
            faces of a kind weigh ``number of its faces ** -balance``.
        balance: 0 draws kinds as they come, 1 all kinds equally often.
        factors: (n,) times as often, see :func:`sample_factors`.
    """
    kinds = np.unique(np.stack(labels), axis=1, return_inverse=True)[1].ravel()
    weights = np.bincount(kinds)[kinds].astype(np.float64) ** -balance * factors
    return np.asarray(weights / weights.mean(), np.float64)


def sample_factors(table: pd.DataFrame, wanted: Mapping[str, float]) -> Floats:
    """(n,) the product of the factors of ``race:NAME`` and ``source:NAME`` that fit a face, case ignored.

    Raises:
        MaskclsError: no face has such a race or source; those that there are are named.
    """
    factors = np.ones(len(table))
    for name, factor in wanted.items():
        column, _, value = name.partition(":")
        fits = (table[column].str.lower() == value.lower()).fillna(False).to_numpy(bool)
        if not fits.any():
            have = ", ".join(sorted(table[column].dropna().unique())) or "none"
            raise MaskclsError(f"--weight {name}: no face has this {column}; there are: {have}")
        factors[fits] *= factor
    return factors


def order(weights: Floats, seed: int, epoch: int) -> Ints:
    """Positions (n,) of the faces of an epoch: each once, at random, or drawn by weight where weights differ."""
    generator = torch.Generator().manual_seed(int(np.random.default_rng((seed, epoch)).integers(2**62)))
    uneven = bool(np.ptp(weights) > 0)
    sampler = WeightedRandomSampler(weights.tolist(), len(weights), replacement=uneven, generator=generator)
    return np.fromiter(sampler, np.int64, len(weights))
