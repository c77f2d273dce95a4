"""What can go wrong with a stack in foreseeable ways; the text is meant for the person at the terminal."""


class StackError(Exception):
    """The stack cannot do what was asked.

    Attributes:
        message: what happened.
        remedy: what to do about it.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(f"{message} {remedy}".strip())
        self.message = message
        self.remedy = remedy
