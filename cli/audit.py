"""``maskcls audit``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import OverwriteOption
from .outputs import check_outputs, table
from .terminal import one_line_errors, progress_bar, tell

SHOWN = 10


def audit(
    faces: Annotated[list[Path], typer.Argument(help="Embedding sets made by `maskcls embed`.")],
    out: Annotated[Path, typer.Option("--out", "-o", file_okay=False, help="Folder for issues and patch.")] = Path(
        "audit"
    ),
    also: Annotated[
        list[Path] | None, typer.Option(help="A set to train on only (repeatable), such as drawn masks.")
    ] = None,
    folds: Annotated[int, typer.Option(min=2, help="Parts the people are split into.")] = 5,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of folds and training.")] = 0,
    min_probability: Annotated[
        float, typer.Option(min=0, max=1, help="The patch holds issues at least this likely.")
    ] = 0.5,
    overwrite: OverwriteOption = False,
) -> None:
    """Find labels that are probably wrong, and photos without a usable face.

    Each label is compared with the predictions of models trained without the person, with the person's other photos
    and with near-copies. Labels confirmed by `maskcls review` or `maskcls relabel` are not reported again. Nothing is
    changed: look at the issues, then apply the patch. A killed run resumes.
    """
    with one_line_errors():
        from ..classify.data.face_set import merge_sets, open_sets
        from ..classify.evaluation.evaluate import data_key, datasets_to_build_from, plan
        from ..classify.labels.audit.audit import PATCH, correcting_patch, find_label_issues, reported, write_patch
        from ..classify.labels.audit.issues import COLUMNS, ISSUES, issue_table, write_issues
        from ..embedder.faceset.corrections import confirmed_labels
        from ..embedder.faceset.store import PATCH_COLUMNS
        from ..embedder.photo import shown
        from ..embedder.storage.step_cache import StepCache

        check_outputs(
            overwrite,
            (out / ISSUES, table("label issues", COLUMNS)),
            (out / PATCH, table("corrections", PATCH_COLUMNS)),
        )
        train_only = also or []
        sets = open_sets([*faces, *train_only])
        pool = merge_sets(sets)
        chosen = plan(pool, datasets_to_build_from(sets, len(faces)), None, folds, seed)
        cache = StepCache(out / ".folds", *data_key(pool, chosen.fold, chosen.scored), seed)
        with progress_bar() as progress:
            found = find_label_issues(pool, chosen.fold, chosen.scored, seed, cache=cache, progress=progress)
        audited = pool.table.iloc[chosen.scored].reset_index(drop=True)
        confirmed = set().union(*(confirmed_labels(one) for one in sets[: len(faces)]))
        issues = reported(found, audited, confirmed)
        patch = correcting_patch(audited, issues, min_probability)
        write_issues(out, issues, audited)
        write_patch(out, patch)
        cache.clear()
        likeliest = issue_table(issues[:SHOWN], audited)
        tell(
            out=out,
            faces=len(audited),
            issues=len(issues),
            changes=len(patch),
            patch=out / PATCH,
            likeliest=likeliest,
        )
        for issue in likeliest.to_dict("records"):
            change = f"{issue['field']} {issue['given_label']} -> {issue['proposed_label']}" if issue["field"] else ""
            what = " ".join(part for part in (issue["kind"], change) if part)
            typer.echo(f"{issue['probability']:.2f} {shown(issue['path'])}: {what} ({shown(issue['evidence'])})")
        typer.echo(f"{shown(out / ISSUES)}: {len(issues)} label issues on {len(audited)} faces")
        typer.echo(f"{shown(out / PATCH)}: changes {len(patch)} labels")
