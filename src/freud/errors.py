"""The one exception of this package that a user is meant to read.

A `FreudError` message is a single line that names the file or field, what was expected and what to do.
The command line prints it and exits with status 1; anything else that escapes is a bug.
"""


class FreudError(Exception):
    """Something the user can mend: bad input, a damaged file, an unknown name."""


class UnknownNameError(FreudError):
    """A site, model, feature or clip that does not exist; the message says what does."""


class DamagedFileError(FreudError):
    """A file of ours is cut short or altered; the message names it and how to rebuild it."""
