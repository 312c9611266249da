"""The receipt of an erasure: what was removed and verified; the person is a salted hash, which a name can be checked
against."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ...embedder.erasure.traces import Traces
from ...embedder.errors import MaskclsError
from ...embedder.photo import normal_form, shown
from .verify import Verification

KIND = "maskcls-receipt"
FORMAT = 2
WITHHELD = "(withheld)"
_HARD = {"n": 2**14, "r": 8, "p": 1}
"""Cost of scrypt (Percival 2009): there are few names, so that guessing them must be slow."""
UNLEARNED = (
    "age space, heads and a fine-tuned backbone keep what they learned from the person's photos, and the data card "
    "counts them; `maskcls build-index` on the sets as they are now makes a model that never saw them"
)


def make_receipt(
    person: str,
    traces: Traces,
    folders: Sequence[Path],
    removed: Mapping[tuple[str, Path], int],
    models: Iterable[Path],
    photos: Mapping[str, int],
    verification: Verification,
) -> dict[str, Any]:
    """The content of a receipt; it holds no name, id, hash or vector of the person.

    Args:
        person: the name or the face that was given, kept as a salted scrypt hash.
        traces: what must not be in it.
        removed: how much of a kind was removed at a place.
        models: that may have learned from the person.
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
        "verification": {
            "faces_left": verification.faces,
            "models": [{"where": where(path), **asdict(one)} for path, one in verification.models.items()],
            "files_read": verification.files,
            "bytes_read": verification.size,
            "searched_for": dict(verification.patterns),
            "files_with_traces": len(verification.left),
            "files_unread": len(verification.unread),
            "files_that_name_a_photo": len(verification.mentions),
        },
        "not_unlearned": {"why": UNLEARNED, "models": [where(folder) for folder in models]},
    }


def is_about(path: Path, person: str) -> bool:
    """Whether a receipt is about a person, given the name (in any Unicode form) or the face that it was made for.

    Raises:
        MaskclsError: it is no receipt.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["kind"] != KIND:
            raise ValueError
        about = content["person"]
        return secrets.compare_digest(str(about["scrypt"]), _digest(normal_form(person), str(about["salt"])))
    except FileNotFoundError:
        raise MaskclsError(f"{shown(path)}: no such file") from None
    except (OSError, ValueError, KeyError, TypeError):
        raise MaskclsError(f"{shown(path)}: not a receipt of `maskcls index forget`") from None


def _digest(person: str, salt: str) -> str:
    return hashlib.scrypt(person.encode(errors="surrogateescape"), salt=bytes.fromhex(salt), **_HARD).hex()


def _withheld(text: str, person: str, traces: Traces) -> str:
    """A path without those of its parts that name the person."""
    word = re.compile(rf"(?<![^\W_]){re.escape(shown(person))}(?![^\W_])", re.IGNORECASE)
    known = traces.faces | traces.hashes

    def names_person(part: str) -> bool:
        return bool(word.search(normal_form(part))) or any(one in part for one in known)

    return "/".join(WITHHELD if names_person(part) else part for part in text.split("/"))
