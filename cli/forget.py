"""``maskcls index forget`` and ``check-receipt``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import OverwriteOption, SourceOption
from .outputs import check_outputs, json_object
from .terminal import one_line_errors, progress_bar, tell

if TYPE_CHECKING:
    from ..classify.privacy.forget import Forgetting


def forget(
    folders: Annotated[
        list[Path], typer.Option("--in", help="Folder of embedding sets, models or outputs, searched (repeatable).")
    ],
    person: Annotated[str | None, typer.Option(help="The person's name, as embedding sets and models have it.")] = None,
    face: Annotated[str | None, typer.Option(help="A face_id: it and all that is grouped with it.")] = None,
    source: SourceOption = None,
    receipt: Annotated[Path, typer.Option(help="Receipt to write (JSON); tells nobody who it was.")] = Path(
        "receipt.json"
    ),
    delete_photos: Annotated[bool, typer.Option("--delete-photos", help="Delete the person's photos too.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing, say what would be done.")] = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Remove a person from every embedding set, model and output in some folders, prove it, and write a receipt.

    A later `maskcls embed` into the same sets refuses the person's photos. A killed run, called again, goes on. What
    heads and age space have learned cannot be taken out of them: only `maskcls build-index` makes them anew.
    """
    with one_line_errors():
        from ..classify.privacy.forget import forget_person
        from ..classify.privacy.person import Wanted
        from ..classify.privacy.receipt import KIND
        from ..embedder.errors import MaskclsError

        check_outputs(overwrite, (None if dry_run else receipt, json_object("receipts", KIND)))
        if (person is None) == (face is None):
            raise MaskclsError("say whom to forget by --person or by --face")
        if source is not None and face is not None:
            raise MaskclsError("--source: only with --person")
        with progress_bar() as progress:
            done = forget_person(
                Wanted(person, source, face),
                folders,
                receipt,
                delete_photos=delete_photos,
                dry_run=dry_run,
                step=progress,
            )
        tell(
            faces=done.faces,
            others=done.others,
            removed=[{"what": what, "where": where, "count": count} for (what, where), count in done.removed.items()],
            photos=done.photos,
            photos_deleted=done.deleted,
            models=done.models,
            proven=done.proof.holds if done.proof else None,
            receipt=receipt if done.proof else None,
        )
        for line in _forgotten(done, receipt):
            typer.echo(line)
        if done.proof and not done.proof.holds:
            raise MaskclsError(_unproven(done))


def check_receipt(
    receipt: Annotated[Path, typer.Argument(help="Receipt written by `maskcls index forget`.")],
    person: Annotated[str, typer.Option(help="The name, or the face_id, that was forgotten.")],
) -> None:
    """Say whether a receipt is about a person; exit 1 if it is not."""
    with one_line_errors():
        from ..classify.privacy.receipt import is_about
        from ..embedder.errors import MaskclsError
        from ..embedder.photo import shown

        about = is_about(receipt, person)
        tell(receipt=receipt, about=about)
        if not about:
            raise MaskclsError(f"{shown(receipt)}: about somebody else")
        typer.echo(f"{shown(receipt)}: about this person")


def _forgotten(done: Forgetting, receipt: Path) -> list[str]:
    """What was done, for the terminal."""
    from ..classify.privacy.receipt import UNLEARNED
    from ..embedder.photo import shown

    verb = "removed" if done.proof else "would be removed"
    lines = [f"{done.faces} faces of the person"]
    lines += [f"  {verb}: {count} {what} in {shown(where)}" for (what, where), count in done.removed.items()]
    if done.others:
        lines.append(f"{done.others} faces grouped with them have another name and stay; forget these by that name")
    if done.deleted:
        lines.append(f"{done.deleted} photos deleted")
    lines += [f"still lies there: {shown(photo)}" for photo in done.photos]
    if not done.proof:
        return [*lines, "nothing was changed"]
    lines += [f"names a photo of theirs: {shown(path)}" for path in done.proof.mentions]
    if done.models:
        lines.append(f"not unlearned: {UNLEARNED}")
    for folder, asked in done.proof.models.items():
        lines.append(
            f"{shown(folder)}: asked with {asked.queries} of their vectors, {asked.own} of {asked.looked_at} "
            "neighbours are theirs"
        )
    lines.append(
        f"{done.proof.files} files read ({done.proof.size / 2**20:.0f} MiB), {len(done.proof.left)} of them hold "
        "anything of the person"
    )
    return [*lines, f"{shown(receipt)}: receipt"]


def _unproven(done: Forgetting) -> str:
    """What is left, and what to do."""
    from ..embedder.photo import shown

    assert done.proof
    parts = [f"{shown(path)} holds {' and '.join(kinds)}" for path, kinds in done.proof.left.items()]
    parts += [f"{shown(path)} cannot be read" for path in done.proof.unread]
    parts += [
        f"{shown(path)} still answers with them or their like"
        for path, one in done.proof.models.items()
        if one.own or one.in_gallery or one.same
    ]
    return (
        f"not proven: {'; '.join(parts[:3])}{f' and {len(parts) - 3} more' if len(parts) > 3 else ''}; remove that and "
        f"run the same command again ({shown(done.pending)} holds what it needs until then)"
    )
