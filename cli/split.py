"""``maskcls split``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import OverwriteOption
from .outputs import check_outputs, table
from .terminal import one_line_errors, tell


def split(
    faces: Annotated[list[Path], typer.Argument(help="Embedding sets made by `maskcls embed`.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Split to write: .csv or .parquet.")] = Path("split.csv"),
    folds: Annotated[int, typer.Option(min=2, help="Parts to split into.")] = 5,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of the order people are dealt out in.")] = 0,
    check: Annotated[Path | None, typer.Option(help="Check this split of the sets instead of making one.")] = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Split the people of embedding sets into folds alike in mask state, gender and age.

    A person, known by name or by embedding, is never in two folds. --check fails where one is.
    """
    with one_line_errors():
        from ..classify.data.face_set import open_face_set
        from ..classify.evaluation.splits import (
            COLUMNS,
            fold_counts,
            pool_folds,
            read_split,
            scarce_classes,
            write_split,
        )
        from ..embedder.photo import shown

        if not check:
            check_outputs(overwrite, (out, table("splits", COLUMNS, exact=True)))
        pool = open_face_set(faces)
        if check:
            found = read_split(check, pool)
            fold, names = found.fold, found.names
            typer.echo(f"{shown(check)}: {len(names)} folds of {len(pool)} faces, nobody is in two of them")
            if found.ignored:
                typer.echo(f"{found.ignored} rows of faces that are not in these sets were passed over")
        else:
            fold, names = pool_folds(pool, folds, seed), tuple(map(str, range(folds)))
            write_split(out, pool, fold)
            typer.echo(f"{shown(out)}: {folds} folds of {len(pool)} faces, {pool.copies} exact copies left out")
        folds_made = fold_counts(pool, fold).to_dict("records")
        tell(
            split=check or out,
            faces=len(pool),
            copies=pool.copies,
            folds=[{"name": name, **counts} for name, counts in zip(names, folds_made, strict=True)],
            scarce=scarce_classes(pool, len(names)),
        )
        for name, counts in zip(names, folds_made, strict=True):
            people, count = counts.pop("people"), counts.pop("faces")
            ages = ", ".join(f"{band} {number}" for band, number in counts.items())
            typer.echo(f"  fold {shown(name)}: {people} people, {count} faces (age {ages})")
        for line in scarce_classes(pool, len(names)):
            typer.echo(line)
