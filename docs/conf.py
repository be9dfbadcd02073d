"""Sphinx settings: MyST pages, pages generated from the code before each build, doctested examples."""

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import components
import docstrings
import studies

project = "flowvae"
author = "the flowvae authors"
copyright = author
release = version = installed_version("flowvae")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.doctest",
    "mathml",
]
myst_enable_extensions = ["amsmath", "deflist", "dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "_generated"]
default_role = "py:obj"

html_math_renderer = "mathml"
html_theme = "furo"
html_title = "flowvae"
html_static_path = ["static"]
html_css_files = ["docs.css"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True

# Examples of the pages run here, in a folder of their own; those of the docstrings run with the tests.
doctest_test_doctest_blocks = ""
doctest_global_setup = """
import os, tempfile
import torch
_home, _folder = os.getcwd(), tempfile.TemporaryDirectory()
os.chdir(_folder.name)
_ = torch.manual_seed(0)
"""
doctest_global_cleanup = """
os.chdir(_home)
_folder.cleanup()
"""


def setup(app):
    """Hooks: generate pages first, and read docstrings as plain text."""
    app.connect("builder-inited", components.write)
    app.connect("builder-inited", studies.write)
    app.connect("autodoc-process-docstring", docstrings.escape, priority=400)  # before napoleon, at 500
