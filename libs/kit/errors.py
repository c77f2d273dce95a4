"""The one exception that means "tell the client": it carries a code of `libs.contracts.errors`."""

from libs.contracts.errors import ErrorSpec, spec_of


class ServiceError(Exception):
    """A failure with a meaning outside this process.

    Attributes:
        code: one of `libs.contracts.errors.ERRORS`.
        message: what happened and what to do, fit for the client.
        param: the request field at fault, or None.
        retry_after_s: when to try again, if that can help.
    """

    def __init__(
        self, code: str, message: str, *, param: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s

    @property
    def spec(self) -> ErrorSpec:
        """What the code means to HTTP and to retries."""
        return spec_of(self.code)
