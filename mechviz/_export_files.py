"""What a picture says of itself, put into the bytes of its file: text chunks of PNG, the document information of PDF."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Mapping


def png_with(picture: bytes, text: Mapping[str, str], dots_per_inch: float | None = None) -> bytes:
    """A PNG with UTF-8 text chunks, and its size on paper, behind the header, which is always 33 bytes long."""
    chunks = []
    if dots_per_inch is not None:
        metre = round(dots_per_inch / 0.0254)
        chunks.append(_chunk(b"pHYs", struct.pack(">IIB", metre, metre, 1)))
    for keyword, value in text.items():
        body = keyword.encode("latin-1") + b"\0\0\0\0\0" + value.encode("utf-8", "replace")
        chunks.append(_chunk(b"iTXt", body))
    return picture[:33] + b"".join(chunks) + picture[33:]


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def pdf_with(document: bytes, info: Mapping[str, str]) -> bytes:
    """A PDF with this document information, appended as an update of the file: what stands in it stays as it is.

    Raises:
        ValueError: the file does not end as the PDFs of Chromium do.
    """
    trailer = document.rpartition(b"trailer")[2]
    size, root = re.search(rb"/Size (\d+)", trailer), re.search(rb"/Root (\d+ \d+ R)", trailer)
    before = re.search(rb"startxref\s+(\d+)\s+%%EOF\s*$", trailer)
    if size is None or root is None or before is None:
        raise ValueError("the PDF has no trailer with /Size, /Root and startxref: its provenance cannot be put into it")
    number = int(size[1])
    entries = b" ".join(b"/%s %s" % (key.encode("ascii"), _string(value)) for key, value in info.items())
    start = len(document) + 1
    body = b"%d 0 obj\n<<%s>>\nendobj\n" % (number, entries)
    table = b"xref\n%d 1\n%010d 00000 n \n" % (number, start)
    ending = b"trailer\n<</Size %d /Root %s /Info %d 0 R /Prev %s>>\nstartxref\n%d\n%%%%EOF\n"
    return b"".join(
        [document, b"\n", body, table, ending % (number + 1, root[1], number, before[1], start + len(body))]
    )


def _string(text: str) -> bytes:
    """A text of PDF: UTF-16 with its mark, in hex, so that no character needs escaping."""
    return b"<FEFF%s>" % text.encode("utf-16-be", "replace").hex().encode("ascii")
