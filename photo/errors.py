"""The errors a user of Tintype may see; each message says what is wrong and with what."""

import logging

log = logging.getLogger(__name__)
# A program that sets up no logging gets no traceback on its terminal, as Python would else print one.
log.addHandler(logging.NullHandler())


# A gate refused the data or the model: an exit code of its own, because to try the same again would not help.
REFUSED_BY_GATE = 3


class TintypeError(Exception):
    """Base of every error that is not a bug of Tintype. The command line prints its message, no traceback.

    Attributes:
        exit_code: with which the command line ends for it.
    """

    exit_code = 1


class PhotoError(TintypeError):
    """A photograph cannot be used.

    Attributes:
        reason: one of `empty`, `not_an_image`, `truncated`, `unreadable`, `too_many_pixels`, `too_many_bytes`,
            `too_small`, `gray`, `duplicate`, `wrong_hints`, `no_such_page`, `out_of_memory`,
            `unexpected`; reports count by it.
        detail: what exactly is wrong, in words.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class DataError(TintypeError):
    """The photographs as a whole cannot be used: absent, an archive is damaged, or too many are unreadable."""


class ServerUnavailable(TintypeError):  # noqa: N818
    """The server did not answer: wrong address, not started, or gone."""


class ServerRefused(TintypeError):  # noqa: N818
    """The server answered with an error, or with something that is no answer.

    Attributes:
        code: name of the gRPC status code, such as "NOT_FOUND"; None when the status was OK and the answer wrong.
    """

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class SignatureMissing(ServerRefused):
    """The model was not trained for what is asked of it: it has no such signature.

    Attributes:
        signature: its name.
    """

    def __init__(self, message: str, signature: str, code: str | None = None) -> None:
        super().__init__(message, code)
        self.signature = signature


class ClientClosed(TintypeError):  # noqa: N818
    """The client was closed, or its loop over many photographs left, while the server was asked."""


def fault_of_photo(error: Exception) -> TintypeError:
    """Return what is to be said of a photograph whose reading, colouring or writing raised `error`; the others go on.

    A TintypeError says it itself. Anything else that is not a lack of memory is a fault of the program or of a library:
    it is logged with its traceback, as an error of the logger `photo.errors`, and its kind is in the words. What ends a
    program (KeyboardInterrupt, SystemExit) is no Exception, and no photograph's fault.
    """
    if isinstance(error, TintypeError):
        return error
    if isinstance(error, MemoryError):
        return PhotoError("out_of_memory", "there is not enough memory for it")
    log.error("a photograph met an unexpected %s", type(error).__name__, exc_info=error)
    words = f"{type(error).__name__}: {error}".rstrip(": ")
    return PhotoError("unexpected", f"an unexpected error, which is no fault of yours: {words}")
