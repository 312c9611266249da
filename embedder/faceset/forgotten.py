"""Photos that must not come back into an embedding set, known by salted hashes alone."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import MaskclsError
from ..photo import shown
from ..storage.atomic import write_json
from ..storage.manifest import key_of

FORGOTTEN = "forgotten.json"
REASON = "forgotten"
"""Why such a photo has no face in the set, in ``rejects.csv``."""


@dataclass(frozen=True)
class Forgotten:
    """A list of photos that shows whether it holds a given photo, and nothing else.

    Attributes:
        salt: 32 hexadecimal digits, another one for every list.
        keys: SHA-256 over the salt and a photo file's SHA-256.
    """

    salt: str
    keys: frozenset[str] = frozenset()

    def __contains__(self, file_sha256: object) -> bool:
        return bool(self.keys) and key_of(self.salt, file_sha256) in self.keys

    def holds_file(self, path: Path) -> bool:
        """Whether a file is one of the photos; one that cannot be read is not."""
        try:
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() in self
        except (OSError, ValueError):  # ValueError: a NUL in the path
            return False

    def extended(self, file_sha256: Iterable[str]) -> Forgotten:
        """The list with more photos on it."""
        return Forgotten(self.salt, self.keys | {key_of(self.salt, one) for one in file_sha256})

    def save(self, path: Path) -> None:
        """Write as JSON, atomically."""
        write_json(path, {"salt": self.salt, "photos": sorted(self.keys)})


def read_forgotten(folder: Path) -> Forgotten:
    """The list of an embedding set, an empty one where it has none.

    Raises:
        MaskclsError: the list is damaged.
    """
    path = folder / FORGOTTEN
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Forgotten(str(content["salt"]), frozenset(map(str, content["photos"])))
    except FileNotFoundError:
        return Forgotten(secrets.token_hex(16))
    except (OSError, ValueError, KeyError, TypeError):
        raise MaskclsError(f"{shown(path)}: damaged; bring it back, or forget the people on it again") from None
