"""``maskcls index``: what is in a model's gallery, what comes in and what goes."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from . import forget
from .app import App
from .options import DatasetOption, Device, DeviceOption, WeightsOption
from .terminal import one_line_errors, progress_bar, tell

app = App(name="index", no_args_is_help=True, help="List and edit a model's gallery without training; forget a person.")
app.command("forget")(forget.forget)
app.command("check-receipt")(forget.check_receipt)

ModelArgument = Annotated[Path, typer.Argument(help="Model made by `maskcls build-index`.")]
LIMIT = 20


@app.command("list")
def list_faces(
    model: ModelArgument,
    person: Annotated[str | None, typer.Option(help="List the faces of this person.")] = None,
    dataset: DatasetOption = None,
    limit: Annotated[int | None, typer.Option(min=1, help=f"Faces listed at most. [default: {LIMIT}]")] = None,
) -> None:
    """Count the faces and people of the gallery, and its faces by source, age band, mask state and gender.

    With --person, --dataset or --limit the faces themselves are listed too.
    """
    with one_line_errors():
        import numpy as np

        from ..classify.model.gallery_list import LISTED, of_dataset, of_person, summary
        from ..classify.model.model import Model
        from ..embedder.errors import MaskclsError
        from ..embedder.photo import shown

        table = Model.load(model).table
        counts = summary(table)
        rows = np.arange(len(table)) if dataset is None else of_dataset(table, dataset)
        if person is not None:
            rows = of_person(table, person, dataset)
        if not len(rows) and (person is not None or dataset is not None):
            raise MaskclsError(
                f"{shown(model)}: no such face in the gallery; see `maskcls index list` without --person"
            )
        wanted = any(option is not None for option in (person, dataset, limit))
        faces = table.iloc[rows[: limit or LIMIT] if wanted else rows[:0]][list(LISTED)]
        tell(**counts, rows=faces)
        typer.echo(f"{shown(model)}: {counts.pop('faces')} faces of {counts.pop('people')} people")
        for name, column in counts.items():
            typer.echo(f"  {name}: " + ", ".join(f"{shown(value)} {count}" for value, count in column.items()))
        for row in faces.to_dict("records"):
            typer.echo("  ".join(_cell(row[name]) for name in LISTED))
        if wanted and len(faces) < len(rows):
            typer.echo(f"… {len(rows) - len(faces)} more; --limit shows them")


@app.command("add")
def add(
    model: ModelArgument,
    faces: Annotated[list[Path], typer.Argument(help="Embedding sets whose faces of known age come in.")],
    known: Annotated[
        list[Path] | None,
        typer.Option("--known", help="A set the model was built from: its faces help to identify people (repeatable)."),
    ] = None,
    device: DeviceOption = Device.auto,
    weights: WeightsOption = None,
) -> None:
    """Add faces to the gallery; age space, heads and vote settings stay as they are.

    New faces are grouped with people of the gallery by name, by photo and, among the faces of FACES and --known, by
    their looks. The last two options are for a fine-tuned model, which reads the photos again.
    """
    with one_line_errors():
        from ..classify.data.face_set import open_sets
        from ..classify.model.gallery_edit import add_faces, check_addable, edit_model
        from ..classify.model.model import Model
        from ..embedder.facenet.encoder import FaceNetEncoder, pick_device
        from ..embedder.facenet.runtimes import pick_runtime
        from ..embedder.photo import shown

        sets = open_sets([*faces, *(known or [])])
        new, others = sets[: len(faces)], sets[len(faces) :]

        def edit(loaded: Model) -> Any:
            check_addable(loaded, model, list(zip(faces, new, strict=True)))
            encoder = None
            if loaded.tuned is not None:
                chosen = pick_device(device.value)
                encoder = FaceNetEncoder(weights, chosen, loaded.tuned, pick_runtime(device=chosen))
                loaded.check_encoder(encoder.info, model)
            with progress_bar() as progress:
                return add_faces(loaded, new, others, encoder=encoder, progress=partial(progress, "embedding again"))

        done = edit_model(model, edit)
        tell(model=model, **asdict(done))
        typer.echo(
            f"{shown(model)}: {done.faces} faces added, of {done.people} new people and {done.joined} known ones; "
            f"{done.known} were in already, {done.ageless} have no age"
        )
        if done.merged:
            typer.echo(f"{done.merged} people of the gallery were merged with another one: a new face belongs to both")
        typer.echo(
            f"compared by looks with {done.compared} faces of the gallery"
            + ("" if known else "; with the others by name and photo only (--known SETS compares more)")
        )


@app.command("remove")
def remove(
    model: ModelArgument,
    face: Annotated[list[str] | None, typer.Option(help="A face_id (repeatable).")] = None,
    photo: Annotated[list[str] | None, typer.Option(help="A photo, by its path or as listed (repeatable).")] = None,
    person: Annotated[str | None, typer.Option(help="The person of this name.")] = None,
    from_file: Annotated[Path | None, typer.Option("--from", help="CSV with a column face_id or path.")] = None,
    dataset: DatasetOption = None,
) -> None:
    """Remove faces from the gallery; they do not vote any more. One of the first four options selects them.

    What heads and age space have learnt from them stays learnt. See `forget` for removing a person everywhere.
    """
    with one_line_errors():
        import numpy as np

        from ..classify.model.gallery_edit import drop_faces, edit_model
        from ..classify.model.gallery_list import of_dataset, of_faces, of_file, of_person, of_photos
        from ..classify.model.model import Model
        from ..embedder.errors import MaskclsError
        from ..embedder.photo import shown

        if sum(map(bool, (face, photo, person, from_file))) != 1:
            raise MaskclsError("choose what to remove by one of --face, --photo, --person and --from")

        def edit(loaded: Model) -> Any:
            table, asked = loaded.table, 1
            if from_file:
                rows, asked = of_file(table, from_file)
            elif face or photo:
                asked = len(set(face or photo or ()))
                rows = of_faces(table, face) if face else of_photos(table, photo or ())
            else:
                rows = of_person(table, str(person), dataset)
            if dataset is not None:
                rows = np.intersect1d(rows, of_dataset(table, dataset))
            if not len(rows):
                raise MaskclsError(f"{shown(model)}: nothing in the gallery matches; see `maskcls index list`")
            if len(rows) == len(table):
                raise MaskclsError(f"{shown(model)}: that is the whole gallery, and no model is left without one")
            return drop_faces(loaded, rows, "removed"), (len(rows), len(table) - len(rows), asked)

        gone, left, asked = edit_model(model, edit)
        tell(model=model, removed=gone, named=asked, left=left)
        typer.echo(f"{shown(model)}: {gone} faces removed ({asked} named), {left} left")


def _cell(value: Any) -> str:
    from ..embedder.photo import shown

    if value is None or value != value:
        return "-"
    return f"{value:g}" if isinstance(value, float) else shown(str(value))
