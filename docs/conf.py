"""Sphinx settings. `make docs` builds into docs/_build/html; a warning fails the build."""

import re
import shutil
from importlib.metadata import version as installed_version
from pathlib import Path

project = "llmclients"
author = "the llmclients authors"
copyright = f"2026, {author}"
version = release = installed_version("llmclients")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"llmclients {release}"

# Pages link to each other's headings: [text](page.md#heading).
myst_heading_anchors = 3

# Signatures as the source writes them, and in its order.
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
autodoc_type_aliases = {"Messages": "Messages", "llmclients.ProviderName": "ProviderName"}

# Docstrings: Google's sections, and code between single backticks.
napoleon_numpy_docstring = False
napoleon_use_ivar = True
default_role = "code"


def name_aliases(app, what, name, obj, options, signature, returned):
    """Sphinx names an alias that is part of a union as `TypeAliasForwardRef('ProviderName')`."""
    return signature and re.sub(r"TypeAliasForwardRef\('(\w+)'\)", r"\1", signature), returned


def require_messages():
    """Messages, and prompts, have to be given: what is their default inside says so to whoever leaves them out."""
    import llmclients

    for kind in (llmclients.Client, llmclients.AsyncClient, llmclients.Conversation, llmclients.AsyncConversation):
        for name in ("chat", "stream", "map"):
            if hasattr(kind, name):
                getattr(kind, name).__defaults__ = None


def copy_text(app, exception):
    """The pages as they are written lie beside the site's, with llms.txt, whose links lead to them."""
    if exception is None and app.builder.format == "html":
        source, target = Path(app.srcdir), Path(app.outdir)
        for page in [source / "llms.txt", *(source / name for name in app.project.docnames)]:
            written = page if page.suffix == ".txt" else page.with_name(page.name + ".md")
            shutil.copyfile(written, target / written.relative_to(source))


def setup(app):
    require_messages()
    app.connect("build-finished", copy_text)
    app.connect("autodoc-process-signature", name_aliases)
