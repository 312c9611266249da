"""The receipt of a forgetting: what was done and proven, and about whom only for those who know already."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ...embedder.errors import MaskclsError
from ...embedder.photo import shown
from .proof import Proof
from .traces import Traces

KIND = "maskcls-receipt"
FORMAT = 1
WITHHELD = "(withheld)"
_HARD = {"n": 2**14, "r": 8, "p": 1}
"""Of scrypt (Percival 2009): names are few, so that guessing them must be slow."""
UNLEARNED = (
    "age space, heads and a fine-tuned backbone keep what they learned from the person's photos, and the data card "
    "counts them; `maskcls build-index` on the sets as they are now makes a model that never saw them"
)


def receipt(
    person: str,
    traces: Traces,
    folders: Sequence[Path],
    removed: Mapping[tuple[str, Path], int],
    models: Iterable[Path],
    photos: Mapping[str, int],
    proof: Proof,
) -> dict[str, Any]:
    """The receipt as it is written; it holds no name, id, hash or vector of the person.

    Args:
        person: the name or the face that was asked for, kept as a salted scrypt hash.
        traces: what must not be in it.
        removed: how many of a kind were removed at a place.
        photos: how many photos were ``deleted`` and ``left``.
    """
    salt = secrets.token_hex(16)

    def where(path: Path) -> str:
        return _withheld(shown(path), person, traces)

    return {
        "format": FORMAT,
        "kind": KIND,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "maskcls": version("maskcls"),
        "person": {"scrypt": _digest(person, salt), "salt": salt, **_HARD},
        "folders": [where(folder) for folder in folders],
        "removed": [{"what": what, "where": where(path), "count": n} for (what, path), n in removed.items()],
        "photos": dict(photos),
        "proof": {
            "holds": proof.holds,
            "models": [
                {
                    "where": where(folder),
                    "queries": asked.queries,
                    "neighbours_looked_at": asked.looked_at,
                    "of_the_person": asked.own,
                    "of_the_person_in_gallery": asked.in_gallery,
                    "same_vectors": asked.same,
                    "nearest": asked.nearest,
                }
                for folder, asked in proof.models.items()
            ],
            "files_read": proof.files,
            "bytes_read": proof.size,
            "looked_for": dict(proof.patterns),
            "files_with_traces": len(proof.left),
            "files_unread": len(proof.unread),
            "files_that_name_a_photo": len(proof.mentions),
        },
        "not_unlearned": {"why": UNLEARNED, "models": [where(folder) for folder in models]},
    }


def is_about(path: Path, person: str) -> bool:
    """Whether a receipt is about a person, given the name or the face it was made for.

    Raises:
        MaskclsError: it is no receipt.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["kind"] != KIND:
            raise ValueError
        about = content["person"]
        return secrets.compare_digest(str(about["scrypt"]), _digest(person, str(about["salt"])))
    except FileNotFoundError:
        raise MaskclsError(f"{shown(path)}: no such file") from None
    except (OSError, ValueError, KeyError, TypeError):
        raise MaskclsError(f"{shown(path)}: not a receipt of `maskcls index forget`") from None


def _digest(person: str, salt: str) -> str:
    return hashlib.scrypt(person.encode(errors="surrogateescape"), salt=bytes.fromhex(salt), **_HARD).hex()


def _withheld(text: str, person: str, traces: Traces) -> str:
    """A path whose parts that tell the person are left out."""
    word = re.compile(rf"(?<![^\W_]){re.escape(shown(person))}(?![^\W_])", re.IGNORECASE)
    known = traces.faces | traces.hashes

    def tells(part: str) -> bool:
        return bool(word.search(part)) or any(one in part for one in known)

    return "/".join(WITHHELD if tells(part) else part for part in text.split("/"))
