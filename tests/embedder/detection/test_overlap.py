from __future__ import annotations

import numpy as np
import pytest

from maskcls.embedder.detection.overlap import match, overlaps

LEFT, RIGHT = (0, 0, 10, 10), (20, 0, 30, 10)


@pytest.mark.parametrize(
    ("other", "share"),
    [
        pytest.param((0, 0, 10, 10), 1, id="the same"),
        pytest.param((0, 0, 5, 10), 0.5, id="half of it"),
        pytest.param((5, 0, 15, 10), 1 / 3, id="moved by half"),
        pytest.param((10, 0, 20, 10), 0, id="beside it"),
        pytest.param((5, 5, 5, 5), 0, id="a point"),
    ],
)
def test_intersection_over_union(other: tuple[int, ...], share: float) -> None:
    assert overlaps(np.array([LEFT]), np.array([other])) == pytest.approx(share)


@pytest.mark.parametrize(
    ("labelled", "found", "expected"),
    [
        pytest.param([LEFT, RIGHT], [RIGHT, LEFT], [1, 0], id="any order"),
        pytest.param([LEFT, RIGHT], [LEFT], [0, -1], id="one not found"),
        pytest.param([LEFT], [RIGHT, LEFT], [1], id="one not labelled"),
        pytest.param([LEFT], [(0, 0, 3, 10)], [0], id="just enough"),
        pytest.param([LEFT], [(0, 0, 2.9, 10)], [-1], id="too little"),
        pytest.param([LEFT, (2, 0, 12, 10)], [(2, 0, 12, 10)], [-1, 0], id="the best overlap first"),
        pytest.param([LEFT, LEFT], [LEFT], [0, -1], id="one to one, the first of equal ones"),
        pytest.param([(1, 0, 11, 10), LEFT], [LEFT, (3, 0, 13, 10)], [1, 0], id="the second best is left"),
        pytest.param([LEFT], [], [-1], id="nothing found"),
        pytest.param([], [LEFT], [], id="nothing labelled"),
    ],
)
def test_match(labelled: list[tuple[float, ...]], found: list[tuple[float, ...]], expected: list[int]) -> None:
    one, other = (np.array(part, np.float64).reshape(-1, 4) for part in (labelled, found))
    assert match(one, other).tolist() == expected
