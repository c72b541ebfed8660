"""The one exception that a user's mistake becomes."""


class UserError(Exception):
    """Bad input, said in one sentence: what is wrong, where, and what would be right.

    The command line prints the sentence and exits with code 2, without a traceback.
    """
