"""Compressed bodies, expanded as far as a message may be large and no further.

kombu decompresses a body as soon as a message arrives, whatever it expands to: a
few kilobytes can be gigabytes. Celery's option `compression` works all the same, with
everything that kombu has for it where a bound can be set; anything else is refused.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from functools import partial
from typing import TYPE_CHECKING, Any

import kombu.compression

from tasks.messages import MAX_BODY_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    # From a body, and how many bytes of it to expand, to those and whether that was all.
    Expand = Callable[[bytes, int], tuple[bytes, bool]]

# A header can ask for a dictionary of gigabytes; the strongest preset of xz has this.
MAX_LZMA_BYTES = 2**26 + 2**20
# Of two: as large as a message, in which nothing can be further away.
MAX_ZSTD_WINDOW = 23


def decompress(expand: Expand, body: bytes) -> bytes:
    """Expand a body.

    Args:
        expand: Expands as much as it is told.
        body: Compressed.

    Raises:
        ValueError: It is larger than a message may be, or cut off.
    """
    expanded, is_all = expand(body, MAX_BODY_BYTES + 1)
    if len(expanded) > MAX_BODY_BYTES:
        raise ValueError(f"expanded it is larger than {MAX_BODY_BYTES:,} bytes")
    if not is_all:
        raise ValueError("it is cut off")
    return expanded


def _by(make: Callable[[], Any], body: bytes, most: int) -> tuple[bytes, bool]:
    decompressor = make()
    return decompressor.decompress(body, most), decompressor.eof


def _by_brotli(make: Callable[[], Any], body: bytes, most: int) -> tuple[bytes, bool]:
    decompressor = make()
    return decompressor.process(body, output_buffer_limit=most), decompressor.is_finished()


def _refuse(name: str, _body: bytes) -> bytes:
    raise ValueError(f"{name} is not taken: its decompressor has no bound")


def _known() -> Iterator[tuple[str, Expand]]:
    yield "application/x-gzip", partial(_by, zlib.decompressobj)
    yield "application/x-bz2", partial(_by, bz2.BZ2Decompressor)
    make_lzma = partial(lzma.LZMADecompressor, memlimit=MAX_LZMA_BYTES)
    yield "application/x-lzma", partial(_by, make_lzma)
    # As kombu has them, where they are installed.
    if brotli := getattr(kombu.compression, "brotli", None):
        yield "application/x-brotli", partial(_by_brotli, brotli.Decompressor)
    if zstd := getattr(kombu.compression, "zstd", None):
        options = {zstd.DecompressionParameter.window_log_max: MAX_ZSTD_WINDOW}
        yield "application/zstd", partial(_by, partial(zstd.ZstdDecompressor, options=options))


def install() -> None:
    """Use this in place of what kombu decompresses with, in this process."""
    registry: Any = kombu.compression
    known = dict(_known())
    for content_type in registry.encoders():
        expand = known.get(content_type)
        decode = partial(decompress, expand) if expand else partial(_refuse, content_type)
        encode, _ = registry.get_encoder(content_type)
        registry.register(encode, decode, content_type)
