"""The error that tables which cannot be used raise."""


class TableError(ValueError):
    """A table that cannot be read or does not fit; one sentence that names file and place."""


class ChangedInputError(TableError):
    """A file that was written to, or removed, while it was read."""
