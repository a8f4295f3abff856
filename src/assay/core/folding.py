"""Folded text: the form in which texts that differ only in case or composition are equal."""

import unicodedata


def fold(text: str) -> str:
    """The form in which two texts that differ only in case or composition are equal."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
