"""What can be wrong with a submitted message."""


class SubmissionError(Exception):
    """The message cannot be scheduled, now or ever.

    Attributes:
        reply: where its gateway listens; empty if that cannot be read either.
        retry: the gateway's retry number, 0 if it cannot be read.
    """

    def __init__(self, reason: str, *, reply: str = "", retry: int = 0) -> None:
        super().__init__(reason)
        self.reply = reply
        self.retry = retry
