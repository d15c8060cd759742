"""The one exception type that a user sees. Knows nothing else."""


class UserError(Exception):
    """Something the user can mend. Its message is one line: what is wrong, where, what to do.

    ``cli`` prints it without a traceback and exits with code 2.
    """
