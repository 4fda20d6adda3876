"""`python -m freud.server.decoder FILE OUT MAX_SECONDS`: decode one file that a stranger sent, under limits.

Runs as a process of its own with little memory and time; the answer is one line of JSON on standard output.
"""

from __future__ import annotations

import json
import sys

MEMORY = 1 << 30  # address space in bytes
SECONDS = 25  # of processor time


def _limit(out_bytes: int) -> None:
    try:
        import resource
    except ImportError:  # Windows has none; the time limit of the caller remains
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (out_bytes, out_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def decode(file: str, out: str, max_seconds: float) -> dict[str, object]:
    """Write the samples of `file` to `out`; returns what the file was, or a status and a sentence."""
    from freud import audio
    from freud.audio.sources import open_source

    longest = round(max_seconds * audio.SAMPLE_RATE)
    total = 0
    try:
        with open_source(file, file) as source:
            rate, channels = source.rate, source.channels
        with open(out, "wb") as samples:
            for block in audio.stream(file):
                total += len(block)
                if total > longest:
                    return {"status": 413, "problem": f"{file}: is longer than {max_seconds:g} s: send a part of it"}
                samples.write(block.astype("<f4").tobytes())
    except audio.AudioError as error:
        return {"status": 415, "problem": str(error)}
    except MemoryError:
        return {"status": 415, "problem": f"{file}: takes too much memory to decode"}
    return {"samples": total, "sample_rate": rate, "channels": channels}


def main() -> None:
    file, out, max_seconds = sys.argv[1:]
    _limit(round(float(max_seconds) + 60) * 64_000)
    print(json.dumps(decode(file, out, float(max_seconds))))


if __name__ == "__main__":
    main()
