"""SAEs on the Hugging Face hub: fetch those of any tool, publish our own.

HF_ENDPOINT names another server; the token is huggingface_hub's own business (`hf auth login` or HF_TOKEN).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from freud import artifacts
from freud.errors import FreudError, UnknownNameError
from freud.models.files import one_line
from freud.saes.formats import dictionary_learning, import_sae, load, saelens, sparsify
from freud.saes.sae import SAE

SMALL = {saelens.CONFIG, dictionary_learning.CONFIG}
WEIGHTS = {saelens.WEIGHTS, sparsify.WEIGHTS, dictionary_learning.WEIGHTS}


def pull(
    repo: str,
    out: Path | str,
    *,
    folder: str | None = None,
    revision: str | None = None,
    layout: str | None = None,
    site: str | None = None,
    model: str | None = None,
) -> SAE:
    """Download one SAE from the hub, whichever tool wrote it, and import it into `out`.

    Only its own files are downloaded, into the hub's cache.

    Args:
        repo: id on the hub, `owner/name`.
        out: folder to write.
        folder: which folder, or `.pth` file, of the repository, where it holds several SAEs.
        revision: branch, tag or commit; the newest if not given.
        layout: see `freud.saes.formats.load`.
        site: see `freud.saes.formats.import_sae`.
        model: name of the model, where the files do not say.

    Raises:
        UnknownNameError: no such repository, or no such SAE in it; the message says which there are.
        FreudError: the hub cannot be reached, or what `import_sae` raises.
    """
    from huggingface_hub import HfApi, snapshot_download

    with _hub(repo) as endpoint:
        info = HfApi(endpoint).model_info(repo, revision=revision)
        names = [file.rfilename for file in info.siblings or []]
        chosen = _choose(names, repo, folder)
        single = chosen in names
        wanted = [chosen] if single else [_join(chosen, name) for name in (*SMALL, *WEIGHTS)]
        local = Path(snapshot_download(repo, endpoint=endpoint, revision=info.sha, allow_patterns=wanted))
    source = f"{repo}@{info.sha}:{chosen}"
    return import_sae(local / chosen, out, layout=layout, site=site, model=model, source=source)


def _choose(names: list[str], repo: str, folder: str | None) -> str:
    """The folder (or `.pth` file) of the one SAE that is meant; "." is the repository itself."""
    paths = [PurePosixPath(name) for name in names]
    there = {str(path.parent) for path in paths if path.name in WEIGHTS}
    there |= {str(path) for path in paths if path.suffix == ".pth"}
    if not there:
        raise UnknownNameError(f"{repo}: holds no SAE in a known layout")
    if folder is not None:
        folder = str(PurePosixPath(folder))
    elif len(there) == 1:
        (folder,) = there
    if folder not in there:
        listed = ", ".join(sorted(there, key=_natural)[:40])
        raise UnknownNameError(
            f"{repo}: {'give --folder' if folder is None else f'has no SAE {folder!r}'}; it has {listed}"
        )
    return folder


def _natural(name: str) -> tuple[object, ...]:
    digits = "".join(character for character in name if character.isdigit())
    return name.strip("0123456789"), int(digits or 0), name


def _join(folder: str, name: str) -> str:
    return name if folder == "." else f"{folder}/{name}"


def push(sae: Path | str, repo: str, *, private: bool = False) -> str:
    """Publish a folder of ours, with a card, and return its address.

    Args:
        sae: a folder that `freud train` or `freud sae import` wrote; a damaged one stays here.
        repo: id on the hub, `owner/name`; made if it is not there.
        private: make it private.

    Raises:
        FreudError: not one of our folders, it is damaged, or the hub cannot be reached or does not let you in.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    sae = Path(sae)
    loaded = load(sae)
    if not saelens.found(sae):
        raise FreudError(f"{sae}: is in another tool's layout; run `freud sae import` first")
    names = [saelens.CONFIG, saelens.WEIGHTS, artifacts.MANIFEST, "training.jsonl"]
    with _hub(repo) as endpoint:
        api = HfApi(endpoint)
        api.create_repo(repo, private=private, exist_ok=True)
        operations = [CommitOperationAdd(name, str(sae / name)) for name in names if (sae / name).is_file()]
        operations.append(CommitOperationAdd("README.md", card(loaded, repo).encode()))
        commit = api.create_commit(repo, operations, commit_message="SAE written by freud")
    return str(commit.repo_url)


def card(sae: SAE, repo: str) -> str:
    """The README of an SAE on the hub."""
    facts = {
        "architecture": sae.architecture,
        "model": sae.metadata.get("model"),
        "site": sae.metadata.get("site"),
        "width": sae.d_in,
        "latents": sae.d_sae,
        **sae.config(),
    }
    rows = "\n".join(f"| {name} | {value} |" for name, value in facts.items())
    training = json.dumps(sae.metadata.get("training", {}), indent=2)
    return f"""---
library_name: freud
tags: [sparse-autoencoder, interpretability, audio]
---
# {repo}

A sparse autoencoder in SAELens's layout.

| | |
|---|---|
{rows}

```
freud sae pull {repo} --out sae
```

Trained with:

```json
{training}
```
"""


@contextmanager
def _hub(repo: str) -> Iterator[str]:
    """The address of the hub; whatever it, or the network, says is turned into one line."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    try:
        yield endpoint
    except RepositoryNotFoundError:
        raise UnknownNameError(f"{repo}: {endpoint} has no such public repository, or you may not see it") from None
    except RevisionNotFoundError:
        raise UnknownNameError(f"{repo}: has no such revision") from None
    except HFValidationError as error:
        raise FreudError(f"{repo}: not an id of the hub ({one_line(error)}); expected owner/name") from None
    except HfHubHTTPError as error:
        raise FreudError(f"{repo}: {endpoint} answers: {one_line(error)}") from None
    except FreudError:
        raise
    except Exception as error:  # no network, in the many ways of the HTTP libraries below
        raise FreudError(f"{repo}: cannot reach {endpoint} ({one_line(error)})") from None
