"""A genotype's cells as a picture: laid out in columns, and written as SVG, PNG or PDF.

PNG and PDF need matplotlib: ``pip install 'bnao[plot]'``.
"""

from bnao.space.drawing.formats import save, svg
from bnao.space.drawing.layout import Graph, Picture, picture

__all__ = ["Graph", "Picture", "picture", "save", "svg"]
