"""The one kind of error that a person can mend."""


class UserError(Exception):
    """Something in the data or the parameters is wrong, and the reader of the message can mend it.

    The message names the file, row or key, what was found, what was expected, and what to do.
    """
