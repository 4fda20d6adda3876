"""Files of SAEs: our own layout is SAELens's; other tools' formats get a file each here."""

from freud.saes.formats.saelens import load, save

__all__ = ["load", "save"]
