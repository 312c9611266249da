"""``maskcls index forget`` and ``check-receipt``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import OverwriteOption
from .outputs import check_outputs, json_object
from .terminal import one_line_errors, progress_bar, tell

if TYPE_CHECKING:
    from ..classify.privacy.erase import Erasure


def forget(
    folders: Annotated[
        list[Path], typer.Option("--in", help="Folder of embedding sets, models or outputs, searched (repeatable).")
    ],
    person: Annotated[
        str | None, typer.Option(help="The person's name in embedding sets and models, in any Unicode form.")
    ] = None,
    face: Annotated[str | None, typer.Option(help="A face_id: it and all that is grouped with it.")] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Id of the data set that the name is of, where several have such a person.")
    ] = None,
    receipt: Annotated[Path, typer.Option(help="Receipt to write (JSON); it does not name the person.")] = Path(
        "receipt.json"
    ),
    delete_photos: Annotated[bool, typer.Option("--delete-photos", help="Delete the person's photos too.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing, show what would be done.")] = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Erase a person from every embedding set, model and output in some folders, verify it, and write a receipt.

    A later `maskcls embed` into the same sets rejects the person's photos. A killed run, called again, goes on. What
    heads and age space have learned cannot be taken out of them: only `maskcls build-index` makes them anew.
    """
    with one_line_errors():
        from ..classify.privacy.erase import erase_person
        from ..classify.privacy.person import PersonSelector
        from ..classify.privacy.receipt import KIND
        from ..embedder.errors import MaskclsError

        check_outputs(overwrite, (None if dry_run else receipt, json_object("receipts", KIND)))
        if (person is None) == (face is None):
            raise MaskclsError("name the person to forget by --person or by --face")
        if dataset is not None and face is not None:
            raise MaskclsError("--dataset: only with --person")
        with progress_bar() as progress:
            done = erase_person(
                PersonSelector(person, face, dataset),
                folders,
                receipt,
                delete_photos=delete_photos,
                dry_run=dry_run,
                progress=progress,
            )
        tell(
            faces=done.faces,
            others=done.others,
            removed=[{"what": what, "where": where, "count": count} for (what, where), count in done.removed.items()],
            photos=done.photos,
            photos_deleted=done.deleted,
            models=done.models,
            verified=done.verified if done.verification else None,
            receipt=receipt if done.verified else None,
        )
        for line in _lines(done, receipt):
            typer.echo(line)
        if done.verification and not done.verified:
            raise MaskclsError(_not_verified(done))


def check_receipt(
    receipt: Annotated[Path, typer.Argument(help="Receipt written by `maskcls index forget`.")],
    person: Annotated[str, typer.Option(help="The name, or the face_id, that was forgotten.")],
) -> None:
    """Check whether a receipt is about a person; exit 1 if it is not."""
    with one_line_errors():
        from ..classify.privacy.receipt import is_about
        from ..embedder.errors import MaskclsError
        from ..embedder.photo import shown

        about = is_about(receipt, person)
        tell(receipt=receipt, about=about)
        if not about:
            raise MaskclsError(f"{shown(receipt)}: about another person")
        typer.echo(f"{shown(receipt)}: about this person")


def _lines(done: Erasure, receipt: Path) -> list[str]:
    """What was done, for the terminal."""
    from ..classify.privacy.receipt import UNLEARNED
    from ..embedder.photo import shown

    found = done.verification
    lines = [f"{done.faces} faces of the person"]
    verb = "removed" if found else "would be removed"
    lines += [f"  {verb}: {count} {what} in {shown(where)}" for (what, where), count in done.removed.items()]
    if done.others:
        lines.append(f"{done.others} faces grouped with them have another name and stay; forget these by that name")
    if done.deleted:
        lines.append(f"{done.deleted} photos deleted")
    lines += [f"photo that still exists: {shown(photo)}" for photo in done.photos]
    if not found:
        return [*lines, "nothing was changed"]
    lines += [f"names a photo of theirs: {shown(path)}" for path in found.mentions]
    if done.models:
        lines.append(f"not unlearned: {UNLEARNED}")
    for folder, one in found.models.items():
        lines.append(
            f"{shown(folder)}: searched with {one.queries} of their vectors, {one.of_person} of {one.neighbours} "
            "neighbours are theirs"
        )
    lines.append(
        f"{found.files} files read ({found.size / 2**20:.0f} MiB), {len(found.left)} of them hold anything of the "
        "person"
    )
    return [*lines, f"{shown(receipt)}: receipt"] if done.verified else lines


def _not_verified(done: Erasure) -> str:
    """What is left, and what to do."""
    from ..embedder.photo import shown

    assert done.verification
    parts = [f"{shown(path)} {problem}" for path, problem in done.verification.problems]
    if done.verification.faces:
        parts.append(f"{done.verification.faces} faces are still in sets and models")
    more = f" and {len(parts) - 3} more" if len(parts) > 3 else ""
    return (
        f"not verified, no receipt: {'; '.join(parts[:3])}{more}; remove that and run the same command again "
        f"({shown(done.pending)} holds what it needs until then)"
    )
