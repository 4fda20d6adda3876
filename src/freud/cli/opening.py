"""What `freud edit` and `freud sweep` begin with: the model, corpus, features and clip that the flags name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from freud.cli.options import Computation, Maybe
from freud.errors import FreudError

if TYPE_CHECKING:
    from freud.corpus import Corpus
    from freud.models import AudioModel
    from freud.models.edits import Feature


@dataclass(frozen=True, kw_only=True)
class FeatureFlags:
    """Which features of which model, and where its clips are."""

    model: Maybe[str] = None
    """Name of a model (default: that of the result, or nano)."""
    sae: Maybe[str] = None
    """Folder of an SAE, or "bundled"; without it the features are neurons of --site."""
    result: Maybe[Path] = None
    """A folder written by `freud discover`: its corpus, its model, and its SAE of --site."""
    corpus: Maybe[Path] = None
    """A folder of audio, or a corpus written by `freud corpus`."""
    site: Maybe[str] = None
    """The site (default: that of the SAE)."""
    feature: Annotated[tuple[int, ...], tyro.conf.UseAppendAction] = ()
    """Number of a neuron or latent; may be given several times."""

    def open(self, computation: Computation) -> Opened:
        """Load what the flags name.

        Raises:
            FreudError: no feature was given, or what is named is not there.
        """
        from freud import artifacts
        from freud import corpus as corpora
        from freud.models.edits import latent, neuron
        from freud.results import Layout, open_sae

        if not self.feature:
            raise FreudError("--feature: give the number of at least one neuron or latent")
        model, sae, clips = self.model, self.sae, None
        if self.result is not None:
            made_with = artifacts.read(self.result, "discover").manifest["parameters"]
            model = model or made_with["model"]
            layout = Layout(self.result)
            clips = corpora.read(layout.corpus if layout.corpus.is_dir() else made_with["audio"])
            has_sae = layout.has_saes if self.site is None else layout.sae(self.site).is_dir()
            if sae is None and has_sae:
                sae = str(self.result)
        if self.corpus is not None:
            clips = corpora.read(self.corpus)
        dictionary = open_sae(sae, self.site) if sae else None
        if dictionary is None and self.site is None:
            raise FreudError("give --sae for latents (such as --sae bundled), or --site for neurons")
        loaded = computation.load(model or "nano")
        if dictionary is not None:
            dictionary.to(loaded.device)
            features = [latent(dictionary, number, self.site) for number in self.feature]
        else:
            features = [neuron(self.site or "", number) for number in self.feature]
        # An SAE that is named may be another than the result's, which the result's index does not know.
        return Opened(loaded, clips, features, None if self.sae else self.result)


@dataclass(frozen=True)
class Opened:
    """What `FeatureFlags` name, loaded.

    Attributes:
        clips: the corpus, if one is named.
        result: the result whose indexes hold statistics of the features, if there is one.
    """

    model: AudioModel
    clips: Corpus | None
    features: Sequence[Feature]
    result: Path | None

    def clip(self, name: str) -> dict[str, Any]:
        """The arguments `audio` and `segments` of `freud.editing.edit` for an audio file, or the id of a clip."""
        if self.clips is None or Path(name).is_file():
            return {"audio": name}
        clip = self.clips[name]
        return {"audio": self.clips.samples(clip), "segments": self.clips.segments(clip.id)}

    def percentile(self, feature: Feature) -> float:
        """A feature's own 99th percentile where it is active: from the result's index, or by running the model.

        Raises:
            FreudError: there is neither a result nor a corpus.
        """
        if self.result is not None:
            from freud import results
            from freud.features import browse

            return browse.percentile(results.open_index(self.result, feature.site, feature.basis), feature.index)
        if self.clips is None:
            raise FreudError("--add in units of the 99th percentile needs --corpus or --result; or give --unit raw")
        from freud.editing import percentile

        return percentile(self.model, feature, (self.clips.samples(clip) for clip in self.clips))
