"""The ``maskcls`` command. Heavy imports wait until a command runs."""

from __future__ import annotations

import os
import sys

from . import (
    audit,
    build_index,
    doctor,
    embed,
    ensemble,
    evaluate,
    index,
    predict,
    pseudo_label,
    relabel,
    render_masks,
    review,
    runs,
    serve,
    split,
    train,
)
from .app import App, before_command
from .terminal import INTERRUPTED

app = App(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Mask, gender and age of faces: FaceNet embeddings, a FAISS gallery, and a vote of the nearest neighbours.",
    epilog="Exit codes: 0 done, 1 failed (one line with the reason), 2 the command line is wrong, 130 interrupted.",
)
app.command("embed")(embed.embed)
app.command("build-index")(build_index.build_index)
app.command("predict")(predict.predict)
app.command("render-masks")(render_masks.render_masks)
app.command("evaluate")(evaluate.evaluate)
app.command("split")(split.split)
app.command("audit")(audit.audit)
app.command("relabel")(relabel.relabel)
app.add_typer(index.app, name="index")
app.command("review")(review.review)
app.command("pseudo-label")(pseudo_label.pseudo_label)
app.command("ensemble")(ensemble.ensemble)
app.command("serve")(serve.serve)
app.command("train")(train.train)
app.command("runs")(runs.runs)
app.command("doctor")(doctor.doctor)
app.callback()(before_command)


def main() -> None:
    """Entry point of the console script."""
    # Threads that spin while they wait starve each other on a busy machine: three times the time was measured.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app()
    except KeyboardInterrupt:  # before a command had begun
        sys.exit(INTERRUPTED)
