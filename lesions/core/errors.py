"""The errors that a person can mend."""

import errno

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""The disk is full, the person's share of it is used up, or the file is longer than allowed."""


class UserError(Exception):
    """Something in the data or the parameters is wrong, and the reader of the message can mend it.

    The message names the file, row or key, what was found, what was expected, and what to do.
    """
