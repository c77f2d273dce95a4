"""Prints the catalogue as Markdown."""

from libs.contracts.catalogue.page import render

print(render(), end="")  # noqa: T201 - the page is this command's output
