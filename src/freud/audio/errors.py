"""What is said of audio that cannot be used: always one `AudioError` that names the file and the reason."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from freud.errors import FreudError


class AudioError(FreudError):
    """An audio file that cannot be used; the message names it and says why."""


@contextlib.contextmanager
def refusing_failures(name: str) -> Iterator[None]:
    """Turn whatever a decoder raises into an `AudioError`, so that no file of any content ends a batch.

    Decoders meet damaged files with errors of many types (their own, ValueError, OverflowError, MemoryError of a
    claimed size, struct.error), so every `Exception` is taken; the original stays attached as the cause.
    """
    try:
        yield
    except AudioError:
        raise
    except FileNotFoundError:
        raise AudioError(f"{name}: no such file") from None
    except MemoryError as error:
        raise AudioError(f"{name}: takes more memory to decode than there is") from error
    except OSError as error:
        raise AudioError(f"{name}: cannot be read: {(error.strerror or 'input error').lower()}") from error
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise AudioError(f"{name}: damaged: {reason}") from error


def not_audio(name: str) -> AudioError:
    return AudioError(f"{name}: not audio of a format that can be read, or damaged at its start")


def cut_short(name: str, present: float, stated: float | None = None) -> AudioError:
    """The error for a file that ends after `present` seconds, of `stated` where its header says so."""
    of = f" of {stated:.1f} s" if stated is not None else ""
    return AudioError(f"{name}: ends after {present:.1f} s{of}: the file is cut short")


def two_lengths(name: str, header: float, content: float) -> AudioError:
    """The error for a file whose header and content disagree about its length, both in seconds."""
    return AudioError(
        f"{name}: its header says {header:.2f} s of sound, but {content:.2f} s are there; write the file again"
    )
