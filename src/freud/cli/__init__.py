"""The command line: one file a verb, each a thin call of the Python function of the same name.

Only the verb that is asked for is imported, and each imports torch inside its function, so `freud --help` is instant.
"""

from __future__ import annotations

import errno
import importlib
import io
import os
import sys
from typing import NoReturn

VERBS = {
    "demo": "all of it on the bundled clips with the bundled model, in a minute or two",
    "discover": "folder of audio in, searchable features out: all the stages below, in one command",
    "corpus": "download, import or describe a corpus of audio with its labels; export its tiers",
    "models": "list models, or the sites of one",
    "collect": "run a model over a corpus and store activations",
    "train": "train a sparse autoencoder on a site",
    "evaluate": "measure an SAE on held-out clips, and draw a page of it",
    "sae": "look at an SAE, exchange it with other tools and with the hub",
    "index": "index the neurons of a site, or the latents of an SAE",
    "name": "name every feature after what it responds to, with held-out scores and controls",
    "names": "show, search, change and export the names of a result",
    "features": "list features with their statistics, show one, or rank those of a clip",
    "search": "find the clips that drive a feature most",
    "edit": "change a feature, and see what the model then hears",
    "sweep": "scale a feature by several factors, beside controls, on a clip or a corpus",
    "serve": "see, hear, search and edit features in a browser",
    "export": "write pages about features, with sound, that need no server",
    "doctor": "check this machine, and the files of a result",
}

_MOVED = {
    "edit": dict.fromkeys(("--sweep", "--controls", "--out"), "sweep"),
    "name": dict.fromkeys(("--label", "--feature", "--set-name", "--side", "--export", "--table"), "names"),
}  # options of a verb that are now those of another


def usage() -> str:
    """The text of `freud --help`."""
    lines = [f"  {verb:<10}{what}" for verb, what in VERBS.items()]
    return "\n".join(
        [
            "usage: freud VERB ...    (freud VERB --help for its options)",
            "",
            "Find what an audio model has learned, hear and see it, and change it.",
            "",
            *lines,
            "",
            "  --version prints the version. Every verb takes --json for results that programs can read.",
        ]
    )


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exits with 1 on an error the user can mend, 2 on wrong usage, 130 on Ctrl-C."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        print(usage())
        sys.exit(0 if arguments else 2)
    if arguments[0] == "--version":
        from freud.version import __version__

        print(f"freud {__version__}")
        return
    verb = arguments[0]
    if verb not in VERBS:
        import difflib

        near = difflib.get_close_matches(verb, VERBS, n=1)
        hint = f"did you mean `freud {near[0]}`?" if near else f"expected one of {', '.join(VERBS)}"
        _fail(f"no verb {verb!r}; {hint}", 2)
    # Progress bars and messages of the model library say nothing that a user of ours needs.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # file names and transcripts hold anything

    from freud.cli.parsing import UsageError, parse
    from freud.errors import FreudError

    try:
        command = parse(importlib.import_module(f"freud.cli.{verb}").main, f"freud {verb}", arguments[1:])
        command()
        sys.stdout.flush()  # here, where a closed pipe is expected
    except UsageError as error:
        moved = [f"for {flag} use freud {other}" for flag, other in _MOVED.get(verb, {}).items() if flag in arguments]
        _fail("; ".join([str(error), *moved, f"see freud {verb} --help"]), 2)
    except FreudError as error:
        _fail(str(error), 1)
    except KeyboardInterrupt:
        _fail("interrupted; what is finished is kept, and the same command goes on from there", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # `freud search ... | head` is no error
    except OSError as error:
        if error.errno not in _MENDABLE:
            raise
        _fail(f"{error.filename or 'cannot write'}: {error.strerror}; finished work is kept", 1)


_MENDABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO}


def _fail(message: str, status: int) -> NoReturn:
    print("freud:", " ".join(message.split()), file=sys.stderr)
    sys.exit(status)
