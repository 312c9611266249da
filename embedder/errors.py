"""The one exception a user may cause: its text is a complete, single-line message."""


class MaskclsError(Exception):
    """A mistake the user can mend; the CLI prints it as one line and exits 1.

    The text names what is wrong (a file, an option, a value) and what to do about it.
    """
