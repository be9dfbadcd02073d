"""Mathematics as MathML, which browsers draw themselves: the pages need no script and no network."""

import re

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

FUNCTION = re.compile(r"(\\(?:log|tanh|det|max)) +(?=[\\A-Za-z0-9])")  # docutils sets no space behind their names


def setup(app):
    """Register the renderer."""
    app.add_html_math_renderer("mathml", inline_renderers=(inline, None), block_renderers=(block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def inline(writer, node):
    """A formula within a line."""
    writer.body.append(mathml(node))
    raise nodes.SkipNode


def block(writer, node):
    """A formula on its own."""
    writer.body.append(f'<div class="formula">{mathml(node, as_block=True)}</div>')
    raise nodes.SkipNode


def mathml(node, as_block=False):
    """The formula of a node."""
    formula = tex2mathml(FUNCTION.sub(r"\1\\, ", node.astext()), as_block=as_block)
    return formula.replace("<mo>‖</mo>", '<mo stretchy="false">‖</mo>')  # else as tall as the fractions beside it
