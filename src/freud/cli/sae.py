"""`freud sae`: look at an SAE's files, exchange them with other tools, fetch and publish them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from freud.cli.options import Json, Maybe, Switch
from freud.cli.output import print_json, print_table

if TYPE_CHECKING:
    from freud.saes import SAE

LayoutName = Literal["saelens", "sparsify", "audiosae", "dictionary_learning", "freud-original"]


@dataclass(frozen=True)
class Info:
    """Say what an SAE is: layout, architecture, sizes, site."""

    path: tyro.conf.Positional[Path]
    """A folder in any known layout, or a .pth file of the original FREUD."""
    layout: Maybe[LayoutName] = None
    """Which layout, if it cannot be told from the files."""
    json: Json = False
    """Print JSON."""

    def run(self) -> None:
        from freud.saes import formats

        sae = formats.load(self.path, layout=self.layout)
        layout = self.layout or formats.detect(self.path).name
        _show({"path": self.path, "layout": layout, **describe(sae)}, self.json)


@dataclass(frozen=True)
class Import:
    """Make a folder of ours of another tool's SAE."""

    path: tyro.conf.Positional[Path]
    """A folder in any known layout, or a .pth file of the original FREUD."""
    out: Path
    """Folder to write."""
    site: Maybe[str] = None
    """The site it is of, where the files do not say, such as encoder.blocks.2."""
    model: Maybe[str] = None
    """Name of the model, where the files do not say."""
    layout: Maybe[LayoutName] = None
    """Which layout, if it cannot be told from the files."""
    json: Json = False
    """Print JSON."""

    def run(self) -> None:
        from freud import saes

        sae = saes.import_sae(self.path, self.out, layout=self.layout, site=self.site, model=self.model)
        _show({"path": self.out, **describe(sae)}, self.json)


@dataclass(frozen=True)
class Export:
    """Write an SAE for another tool. Ours are in SAELens's layout as they are."""

    path: tyro.conf.Positional[Path]
    """A folder in any known layout, or a .pth file of the original FREUD."""
    out: Path
    """Folder to write, empty or new; sparsify takes its name for that of the site."""
    layout: Literal["sparsify", "saelens"] = "sparsify"
    """For which tool."""
    json: Json = False
    """Print JSON."""

    def run(self) -> None:
        from freud import saes

        files = saes.export_sae(self.path, self.out, self.layout)
        if self.json:
            print_json({"path": self.out, "layout": self.layout, "files": files})
        else:
            print(f"{self.out}: {', '.join(files)}")


@dataclass(frozen=True)
class Pull:
    """Download an SAE of any known layout from the Hugging Face hub."""

    repository: tyro.conf.Positional[str]
    """Its id, owner/name."""
    out: Path
    """Folder to write."""
    folder: Maybe[str] = None
    """Which folder, or .pth file, of the repository, where it holds several SAEs."""
    revision: Maybe[str] = None
    """Branch, tag or commit."""
    site: Maybe[str] = None
    """The site it is of, where the files do not say, such as encoder.blocks.2."""
    model: Maybe[str] = None
    """Name of the model, where the files do not say."""
    layout: Maybe[LayoutName] = None
    """Which layout, if it cannot be told from the files."""
    json: Json = False
    """Print JSON."""

    def run(self) -> None:
        from freud.saes.formats import hub

        sae = hub.pull(
            self.repository, self.out, folder=self.folder, revision=self.revision, layout=self.layout, site=self.site,
            model=self.model,
        )  # fmt: skip
        _show({"path": self.out, **describe(sae)}, self.json)


@dataclass(frozen=True)
class Push:
    """Publish an SAE of ours on the Hugging Face hub, with a card. Log in with `hf auth login` first."""

    path: tyro.conf.Positional[Path]
    """A folder written by `freud train` or `freud sae import`."""
    repository: tyro.conf.Positional[str]
    """Its id, owner/name; made if it is not there."""
    private: Switch = False
    """Make it private."""
    json: Json = False
    """Print JSON."""

    def run(self) -> None:
        from freud.saes.formats import hub

        address = hub.push(self.path, self.repository, private=self.private)
        if self.json:
            print_json({"path": self.path, "repository": self.repository, "address": address})
        else:
            print(address)


Action = (
    Annotated[Info, tyro.conf.subcommand("info")]
    | Annotated[Import, tyro.conf.subcommand("import")]
    | Annotated[Export, tyro.conf.subcommand("export")]
    | Annotated[Pull, tyro.conf.subcommand("pull")]
    | Annotated[Push, tyro.conf.subcommand("push")]
)


def main(action: tyro.conf.OmitSubcommandPrefixes[Action]) -> None:
    """Look at an SAE's files, exchange them with other tools, fetch and publish them."""
    action.run()


def describe(sae: SAE) -> dict[str, Any]:
    """What `freud sae info` prints."""
    return {
        "architecture": sae.architecture,
        "d_in": sae.d_in,
        "d_sae": sae.d_sae,
        **sae.config(),
        "model": sae.metadata.get("model"),
        "site": sae.metadata.get("site"),
        "apply_b_dec_to_input": sae.apply_b_dec_to_input,
        "normalize_activations": sae.normalize_activations,
        "tensors": {name: list(tensor.shape) for name, tensor in sae.state_dict().items()},
        "metadata": sae.metadata,
    }


def _show(facts: dict[str, Any], json: bool) -> None:
    if json:
        print_json(facts)
        return
    tensors = facts.pop("tensors")
    facts.pop("metadata")
    print_table(["", ""], [[name, value] for name, value in facts.items()])
    print()
    print_table(["tensor", "shape"], [[name, " x ".join(map(str, shape))] for name, shape in tensors.items()])
