from __future__ import annotations

import pytest
import torch
from torchvision.transforms import v2

from maskcls.classify.comparison.cnn.photos import (
    CUTOUT_OFTEN,
    ChosenRandAugment,
    augmentation,
    augmented,
    normalised,
)
from maskcls.classify.comparison.cnn.settings import OPERATIONS


@pytest.fixture
def faces() -> torch.Tensor:
    return torch.randint(0, 256, (40, 3, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_nothing_is_asked_for_nothing_changes(faces: torch.Tensor) -> None:
    still = augmented(faces, augmentation(False, (), 2, 9, 0.0))
    torch.testing.assert_close(still, normalised(faces))
    assert still.is_contiguous(memory_format=torch.channels_last)


def test_flip_mirrors_half(faces: torch.Tensor) -> None:
    torch.manual_seed(0)
    got, plain = augmented(faces, augmentation(True, (), 2, 9, 0.0)), normalised(faces)
    mirrored = sum(torch.equal(one, other.flip(2)) for one, other in zip(got, plain, strict=True))
    same = sum(torch.equal(one, other) for one, other in zip(got, plain, strict=True))
    assert mirrored + same == 40
    assert 10 < mirrored < 30


@pytest.mark.parametrize("name", OPERATIONS)
def test_only_chosen_operations_are_drawn(name: str, faces: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    apply = v2.RandAugment._apply_image_or_video_transform

    def noted(self: v2.RandAugment, image: object, operation: str, *rest: object, **more: object) -> object:
        drawn.append(operation)
        return apply(self, image, operation, *rest, **more)

    monkeypatch.setattr(v2.RandAugment, "_apply_image_or_video_transform", noted)
    chosen = ChosenRandAugment((name,), 2, 9)
    assert chosen(faces[0]).shape == faces[0].shape
    assert drawn == [name, name]


@pytest.mark.parametrize("share", [0.05, 0.25])
def test_cutout_blanks_one_square_of_the_share(share: float) -> None:
    torch.manual_seed(0)
    white = torch.full((60, 3, 64, 64), 255, dtype=torch.uint8)
    blank = (augmented(white, augmentation(False, (), 2, 9, share)) == 0).all(dim=1).flatten(1).float().mean(dim=1)
    conformity_score = blank[blank > 0]
    assert len(conformity_score) / 60 == pytest.approx(CUTOUT_OFTEN, abs=0.2)
    torch.testing.assert_close(conformity_score, torch.full_like(conformity_score, share), rtol=0.1, atol=0)
