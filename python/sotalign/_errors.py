"""The exceptions of the package. Each has the message of the C++ library: one line that says what was found."""


class Error(Exception):
    """The base of all exceptions of this package."""


class InvalidArgument(Error, ValueError):
    """A value, shape or option that the called function does not accept."""


class IoError(Error, OSError):
    """A file that cannot be read or written, or that violates its format."""


class OutOfMemory(Error, MemoryError):
    """Memory ran out; the message gives the bytes requested and their purpose."""


class NumericalError(Error, ArithmeticError):
    """A result that is not finite, or a decomposition that did not converge."""


class DeviceError(Error, RuntimeError):
    """A call to a CUDA library failed for a reason other than memory."""
