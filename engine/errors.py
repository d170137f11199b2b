"""Errors of the engine.

    EngineError
    ├── InputError               one input cannot be embedded; the others can
    │   ├── UnreadableFile       missing, a folder, or not permitted
    │   ├── EmptyFile            zero bytes
    │   ├── FileTooLarge         more bytes than the cap
    │   ├── BadText              not text at all, or too long
    │   │   └── BlankText        text without a visible character
    │   ├── BadRegion            a region of an image that is not within it
    │   ├── BadSequence          images between words: too few or too many, or no image
    │   ├── ImageError
    │   │   ├── NotAnImage       the bytes are not a known image format, whatever the name says
    │   │   ├── TruncatedImage   the image data ends early
    │   │   ├── CorruptImage     a known format whose data cannot be decoded
    │   │   ├── LockedFile       a file that asks for a password
    │   │   ├── NoPages          a document without a page, or a video without a picture
    │   │   ├── TooManyPages     more pages than the cap
    │   │   ├── ZeroAreaImage    a width or height of zero
    │   │   └── ImageTooLarge    more pixels than the cap
    │   └── FetchError           a URL could not be fetched
    │       ├── UrlRefused       malformed, or it leads to a private address
    │       ├── FetchFailed      the network or the server failed, or the time was up
    │       └── FetchTooLarge    more bytes than the cap
    ├── BadRoot                  neither a folder nor a URI that content can be read from
    ├── ViewError                an unknown or malformed view, or one the model cannot follow
    ├── EncodingError            the model gave no usable vector for an input
    ├── NoWords                  the model cannot name words for its vectors
    ├── DeviceOutOfMemory        even a batch of one does not fit
    └── ModelError
        ├── ModelNotFound        no such name, folder or cached checkpoint
        ├── WrongCheckpoint      a checkpoint of another architecture, or an incomplete one
        ├── MissingDependency    an extra is not installed
        ├── DeviceUnavailable    this machine does not have the device or dtype
        ├── UntrustedModel       a collection names a server that nobody has allowed
        └── RemoteUnavailable    a remote model cannot be reached, refuses access, or answers wrongly

Every message names the thing, its value, what was expected and what to do next.
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


class BadRegion(InputError):
    """A region of an image that is not within the image, or is empty."""


class BadSequence(InputError):
    """Images between words, of which there are too few or too many, or none is an image."""


class ImageError(InputError):
    """An image cannot be decoded."""


class NotAnImage(ImageError):
    """The bytes are not an image of a known format."""


class TruncatedImage(ImageError):
    """The image data ends early."""


class CorruptImage(ImageError):
    """The format is known but its data cannot be decoded."""


class LockedFile(ImageError):
    """A file that asks for a password."""


class NoPages(ImageError):
    """A document without a page, or a video without a picture."""


class TooManyPages(ImageError):
    """A document with more pages than the cap."""


class ZeroAreaImage(ImageError):
    """An image with a width or height of zero."""


class ImageTooLarge(ImageError):
    """An image with more pixels than the cap."""


class FetchError(InputError):
    """A URL could not be fetched.

    Attributes:
        retryable: whether a later fetch may succeed.
    """

    retryable = False


class UrlRefused(FetchError):
    """A URL is malformed, or leads to a private address. No request was sent there."""


class FetchFailed(FetchError):
    """The network or the server failed, or the time was up.

    Attributes:
        status: the HTTP status of the last answer; None if there was none.
        tries: number of requests made.
    """

    def __init__(self, message: str, *, retryable: bool = False, status: int | None = None, tries: int = 1) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.status = status
        self.tries = tries


class FetchTooLarge(FetchError):
    """More bytes than the cap."""


class BadRoot(EngineError):
    """A root is neither a folder nor a URI that content can be read from."""


class ViewError(EngineError):
    """A view is unknown or malformed, or the model cannot follow it."""


class EncodingError(EngineError):
    """The model gave no finite, non-zero vector.

    Attributes:
        index: position of the offending input in the call's inputs.
    """

    def __init__(self, message: str, *, index: int) -> None:
        super().__init__(message)
        self.index = index


class NoWords(EngineError):
    """The model cannot name words for its vectors."""


class DeviceOutOfMemory(EngineError):
    """The device's memory does not hold the batch."""


class ModelError(EngineError):
    """A model cannot be used."""


class ModelNotFound(ModelError):
    """No such model name, folder, or cached checkpoint."""


class UntrustedModel(ModelError):
    """A collection names a server as its model, which the user has not allowed."""

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
    """A remote model cannot be reached, refuses access, or answers wrongly."""
