"""Labels as the API shows them: what `freud.naming` knows, as schemas."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from freud import naming
from freud.errors import FreudError
from freud.server import schemas
from freud.server.result import IndexedSite, Result


def labels(result: Result) -> list[schemas.Label]:
    """The labels of all indexes, each once."""
    found: dict[str, schemas.Label] = {}
    for names in _all(result):
        for row in names.table("labels").to_pylist():
            label = schemas.Label(**{field: row[field] for field in schemas.Label.model_fields})
            found.setdefault(label.label, label)
    return list(found.values())


def page(result: Result, label: str, n: int) -> schemas.LabelPage:
    """A label's page.

    Raises:
        UnknownNameError: no index has the label.
    """
    every = _all(result)
    found = naming.label_page(every, label)
    return schemas.LabelPage(
        label=found.label,
        kind=found.kind,
        text=found.text,
        latent=_score(found.latent) if found.latent else None,
        neuron=_score(found.neuron) if found.neuron else None,
        curve=[_score(row) for row in found.best],
        controls=[_score(row) for row in found.controls],
        features=[_score(row) for row in naming.features_for(every, label, n)],
    )


def matrix(site: IndexedSite) -> schemas.Matrix:
    """Phones against the best feature of each."""
    return schemas.Matrix(**asdict(named(site).matrix()))


def scores(site: IndexedSite, feature: int) -> list[schemas.LabelScore]:
    """The labels of a feature, the one that agrees best first; none before `freud name`."""
    site.index.check(feature)
    if site.names.automatic is None:
        return []
    rows = site.names.automatic.scores(feature)
    return [_score({"site": site.site, "basis": site.basis, "by": "agreement", **row}) for row in rows]


def _all(result: Result) -> list[naming.Names]:
    return [site.names.automatic for site in result if site.names.automatic]


def named(site: IndexedSite) -> naming.Names:
    """The names that `freud name` gave.

    Raises:
        FreudError: it has not been run.
    """
    if site.names.automatic is None:
        raise FreudError(f"{site.basis} of {site.site} have no names yet: run `freud name` on the result")
    return site.names.automatic


_FIELDS = ("label", "text", "site", "basis", "feature", "side", "by", "agreement", "f1", "auc", "average_precision")


def _score(row: dict[str, Any]) -> schemas.LabelScore:
    lag = row.get("lag_ms")
    return schemas.LabelScore(
        **{field: row[field] for field in _FIELDS},
        control=row.get("control"),
        spearman=row.get("spearman"),
        null=row.get("null"),
        clips=row.get("clips"),
        lag=None if lag is None else lag / 1000,
    )
