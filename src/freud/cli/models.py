"""`freud models`: list models, or the sites of one."""

from __future__ import annotations

import tyro

from freud.cli.options import Json, Maybe, Switch, refuse
from freud.cli.output import print_json, print_table


def main(
    name: tyro.conf.Positional[Maybe[str]] = None,
    sites: Switch = False,
    json: Json = False,
) -> None:
    """List the models that have a short name, or describe one.

    Args:
        name: A short name, a folder in Hugging Face layout, an OpenAI .pt file, or a Hugging Face id.
        sites: List its sites.
        json: Print JSON.
    """
    from freud import models

    if name is None:
        refuse("without the name of a model", sites=sites)
        names = models.available()
        if json:
            print_json(names)
        else:
            print("\n".join(names))
        return
    facts = models.describe(name)
    listed = facts.pop("sites")
    if json:
        print_json({**facts, **({"sites": listed} if sites else {})})
        return
    print_table(["model", name], [[key, value] for key, value in facts.items()])
    if sites:
        header = ["name", "width", "frames_per_second", "privileged", "writable", "alias"]
        print()
        print_table(["site", *header[1:]], [[site[key] for key in header] for site in listed])
