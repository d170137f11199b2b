"""What can go wrong in the engine.

    EngineError
    ├── InputError               one input cannot be embedded; the others can
    │   ├── UnreadableFile       missing, a folder, or not permitted
    │   ├── EmptyFile            zero bytes
    │   ├── FileTooLarge         more bytes than the cap
    │   ├── BadText              not text at all, or too long
    │   │   └── BlankText        text without a visible character
    │   ├── ImageError
    │   │   ├── NotAnImage       the bytes are no known image format, whatever the name says
    │   │   ├── TruncatedImage   the picture data ends early
    │   │   ├── CorruptImage     a known format whose data cannot be decoded
    │   │   ├── ZeroAreaImage    a width or height of zero
    │   │   └── ImageTooLarge    more pixels than the cap
    │   └── FetchError           nothing could be had from a URL
    │       ├── UrlRefused       malformed, or it leads where nothing is fetched from (a private address, ...)
    │       ├── FetchFailed      the network, the server or the clock: status, tries
    │       └── FetchTooLarge    more bytes than the cap
    ├── BadRoot                  no folder and no URI that content may be read from
    ├── ViewError                an unknown or malformed view, or one the model cannot follow
    ├── EncodingError            the model gave no usable vector for an input
    ├── NoWords                  the model cannot say what its vectors stand for
    ├── DeviceOutOfMemory        even a batch of one does not fit
    └── ModelError
        ├── ModelNotFound        no such name, folder or cached checkpoint
        ├── WrongCheckpoint      a checkpoint of another architecture, or an incomplete one
        ├── MissingDependency    an extra is not installed
        ├── DeviceUnavailable    the asked device or dtype is not to be had here
        ├── UntrustedModel       a collection names a server that nobody has said may be contacted
        └── RemoteUnavailable    another machine's model cannot be reached, refuses us, or answers what it should not

Every message says the thing, its value, what was expected and what to do next.
"""

from oneword.errors import Error


class EngineError(Error):
    """Base of all errors raised by `engine`."""


class InputError(EngineError):
    """One input cannot be embedded."""


class UnreadableFile(InputError):
    """A file is missing, is a folder, or may not be read."""


class EmptyFile(InputError):
    """A file has no bytes."""


class FileTooLarge(InputError):
    """A file has more bytes than are read."""


class BadText(InputError):
    """A text cannot be decoded, or is too long."""


class BlankText(BadText):
    """A text has no visible character."""


class ImageError(InputError):
    """A picture cannot be decoded."""


class NotAnImage(ImageError):
    """The bytes are not an image of a known format."""


class TruncatedImage(ImageError):
    """The picture's data ends before the picture does."""


class CorruptImage(ImageError):
    """The format is known but its data cannot be decoded."""


class ZeroAreaImage(ImageError):
    """A picture with a width or height of zero."""


class ImageTooLarge(ImageError):
    """A picture with more pixels than the cap."""


class FetchError(InputError):
    """Nothing could be had from a URL.

    Attributes:
        retryable: whether the same URL may well answer later.
    """

    retryable = False


class UrlRefused(FetchError):
    """A URL that is malformed, or leads where nothing is fetched from. No request reached that place."""


class FetchFailed(FetchError):
    """The network, the server or the clock.

    Attributes:
        status: the HTTP status of the last answer; None if there was none.
        tries: how often it was tried.
    """

    def __init__(self, message: str, *, retryable: bool = False, status: int | None = None, tries: int = 1) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.status = status
        self.tries = tries


class FetchTooLarge(FetchError):
    """More bytes than the cap."""


class BadRoot(EngineError):
    """What content may be read from is given as something that is no folder and no URI for that."""


class ViewError(EngineError):
    """A view is unknown, malformed, or not one that the model can follow."""


class EncodingError(EngineError):
    """The model gave no finite, non-zero vector.

    Attributes:
        index: position of the offending input in the call's inputs.
    """

    def __init__(self, message: str, *, index: int) -> None:
        super().__init__(message)
        self.index = index


class NoWords(EngineError):
    """The model cannot say which words its vectors stand for."""


class DeviceOutOfMemory(EngineError):
    """The device's memory does not hold the batch."""


class ModelError(EngineError):
    """A model cannot be used."""


class ModelNotFound(ModelError):
    """No such model name, folder, or cached checkpoint."""


class UntrustedModel(ModelError):
    """A collection names a server as its model, and nobody who runs this has said that it may be contacted."""

    def __init__(self, url: str) -> None:
        super().__init__(
            f"the collection says that its model is at {url}; its data may come from anyone, so that address is not "
            f"contacted unless you say so: pass --model {url}, or set ONEWORD_REMOTE_MODELS={url.partition('#')[0]}"
        )


class WrongCheckpoint(ModelError):
    """A checkpoint of another architecture, or one with missing parts."""


class MissingDependency(ModelError):
    """A package that the model needs is not installed."""


class DeviceUnavailable(ModelError):
    """The device or dtype asked for is not available on this machine."""


class RemoteUnavailable(ModelError):
    """A model on another machine cannot be reached, refuses us, or answers what it should not."""
