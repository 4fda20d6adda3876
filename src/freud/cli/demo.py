"""`freud demo`: the whole job on the bundled clips with the bundled model, no network needed."""

from __future__ import annotations

from pathlib import Path

from freud.cli.discover import show
from freud.cli.options import Json
from freud.cli.output import print_json, print_table

FEATURES = 6  # shown of each site and basis
CLIPS = 3  # shown of each feature


def main(out: Path = Path("demo-results"), json: Json = False) -> None:
    """Discover the features of the bundled model on the bundled clips, and print the most active ones.

    Args:
        out: Folder to write.
        json: Print JSON.
    """
    import freud
    from freud import discovery, models, results

    result = freud.demo(out, progress=not json)
    if json:
        print_json(result)
        return
    show(result)
    for clip, heard in discovery.demo_transcripts(models.load("nano")):
        print(f"\n{clip.name}\n  said:  {clip.transcript}\n  heard: {heard}")
    for row in result.sites:
        index = results.open_index(out, row.site, row.basis)
        print(f"\nmost active {row.basis} of {row.site}: where they peak")
        lines = []
        for feature in index.table(sort="max", n=FEATURES):
            hits = index.top(feature["feature"], CLIPS)
            places = " · ".join(f"{h.name} {h.time:.2f} s{_heard(h.tiers)}" for h in hits)
            lines.append([feature["feature"], feature["max"], f"{100 * feature['density']:.1f} %", places])
        print_table([row.basis[:-1], "max", "of frames", "clips and times"], lines)


def _heard(tiers: dict[str, str]) -> str:
    return f" /{tiers['phones']}/" if "phones" in tiers else ""
