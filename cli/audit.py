"""``maskcls audit``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .terminal import one_line_errors, progress_bar, tell

SHOWN = 10


def audit(
    faces: Annotated[list[Path], typer.Argument(help="Embedding sets made by `maskcls embed`.")],
    out: Annotated[Path, typer.Option("--out", "-o", file_okay=False, help="Folder for findings and patch.")] = Path(
        "audit"
    ),
    also: Annotated[
        list[Path] | None, typer.Option(help="A set that is only learnt from (repeatable), such as drawn masks.")
    ] = None,
    folds: Annotated[int, typer.Option(min=2, help="Parts the people are split into.")] = 5,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of folds and training.")] = 0,
    min_probability: Annotated[
        float, typer.Option(min=0, max=1, help="The patch holds findings at least this likely.")
    ] = 0.5,
) -> None:
    """Find labels that are probably wrong, and photos that are none of a face.

    Each label is doubted by models that have seen no photo of the person, by the person's other photos and by
    near-copies. Labels that were confirmed (see `maskcls review`, `maskcls relabel`) are not found again. Nothing is
    changed: look at the findings, then apply the patch. A killed run goes on with its fold.
    """
    with one_line_errors():
        from ..classify.data.face_set import merge_sets, open_sets
        from ..classify.evaluation.evaluate import data_key, plan
        from ..classify.labels.audit.findings import PATCH, findings_of, patch_of, write_audit
        from ..classify.labels.audit.findings import audit as run
        from ..embedder.faceset.corrections import confirmed_labels
        from ..embedder.photo import shown
        from ..embedder.storage.step_cache import StepCache

        train_only = also or []
        sets = open_sets([*faces, *train_only])
        pool = merge_sets(sets)
        chosen = plan(pool, [one.settings["root"] for one in sets[len(faces) :]], None, folds, seed)
        cache = StepCache(out / ".folds", *data_key(pool, chosen.fold, chosen.scored), seed)
        with progress_bar() as progress:
            doubts = run(pool, chosen.fold, chosen.scored, seed, cache=cache, progress=progress)
        audited = pool.subset(chosen.scored)
        confirmed = set().union(*(confirmed_labels(one) for one in sets[: len(faces)]))
        findings = findings_of(audited, doubts, confirmed)
        patch = patch_of(audited, findings, min_probability)
        write_audit(out, findings, patch)
        cache.clear()
        tell(
            out=out,
            faces=len(audited),
            findings=len(findings),
            changes=len(patch),
            patch=out / PATCH,
            likeliest=findings.head(SHOWN),
        )
        for finding in findings.head(SHOWN).to_dict("records"):
            change = f"{finding['field']} {finding['label']} -> {finding['proposal']}" if finding["field"] else ""
            what = " ".join(part for part in (finding["kind"], change) if part)
            typer.echo(f"{finding['probability']:.2f} {shown(finding['path'])}: {what} ({finding['evidence']})")
        typer.echo(
            f"{shown(out)}: {len(findings)} findings on {len(audited)} faces; {PATCH} changes {len(patch)} labels"
        )
