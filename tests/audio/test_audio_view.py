"""A view reads like a file that holds its pieces."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from freud.audio.view import View

PIECES = st.lists(st.one_of(st.binary(max_size=9), st.tuples(st.integers(0, 40), st.integers(0, 50))), max_size=5)
STEPS = st.lists(st.tuples(st.integers(0, 2), st.integers(-60, 60), st.integers(0, 30)), max_size=8)


@given(data=st.binary(min_size=50, max_size=50), pieces=PIECES, steps=STEPS)
def test_a_view_reads_like_a_file_of_its_pieces(data, pieces, steps):
    content = b"".join(piece if isinstance(piece, bytes) else data[piece[0] : piece[1]] for piece in pieces)
    view, file = View(io.BytesIO(data), pieces), io.BytesIO(content)
    assert view.read() == content
    view.seek(0)
    for whence, offset, count in steps:
        base = (0, file.tell(), len(content))[whence]
        file.seek(max(0, base + offset))
        assert view.seek(offset, whence) == file.tell()
        assert view.read(count) == file.read(count)
        assert view.tell() == file.tell() or file.tell() > len(content)
