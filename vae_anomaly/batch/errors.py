"""The errors about tables that cannot be read or do not fit."""


class TableError(ValueError):
    """A table cannot be read, or does not fit a model.

    The message is one sentence that names the file and the place in it.

    See Also
    --------
    Source : Reads tables.

    Examples
    --------
    >>> from vae_anomaly.batch import Source, TableError
    >>> try:
    ...     Source.open([])
    ... except TableError as error:
    ...     print(error)
    no file is named
    """


class ChangedInputError(TableError):
    """A file was changed or removed while it was read."""
