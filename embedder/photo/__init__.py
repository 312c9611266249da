"""Photos as files: what is one, what it is called, and its pixels, read safely.

Other rooms use what is named here.
"""

from .formats import PhotoError
from .listing import PassedOver, is_photo, list_photos
from .paths import NO_FILE, FileState, file_state, normal_form, shown, stored, stored_below
from .reading import WORKING_SIDE, Photo, photo_of, read_photo, read_photo_bytes

__all__ = [
    "NO_FILE",
    "WORKING_SIDE",
    "FileState",
    "PassedOver",
    "Photo",
    "PhotoError",
    "file_state",
    "is_photo",
    "list_photos",
    "normal_form",
    "photo_of",
    "read_photo",
    "read_photo_bytes",
    "shown",
    "stored",
    "stored_below",
]
