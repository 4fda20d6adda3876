"""`python -m freud.server.document FILE`: write the OpenAPI document, from which the web app's types are generated."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from freud.server.app import openapi


def text() -> str:
    """The document as it is checked in; without the version, which would change it with every release."""
    document = openapi()
    document["info"]["version"] = "0"
    return json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(text(), encoding="utf-8")
