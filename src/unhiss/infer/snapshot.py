"""The state of a stream as bytes, so that another process can go on from it: a safetensors file, no pickle.

    8 bytes     length of the header, little-endian
    header      JSON: {"__metadata__": {"unhiss.stream": FACTS, "unhiss.crc32": SUM}, NAME: {"dtype", "shape",
                "data_offsets"}, ...}, filled with spaces to a multiple of eight
    arrays      end to end, little-endian

FACTS is JSON in a string, since safetensors allows no other metadata: "version", what the stream was made with,
and "held": the numbers of its parts. Names are PART.FIELD, as in each part's HELD. SUM is over all but itself.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from unhiss.errors import ModelError
from unhiss.legacy import OLD_NAME, is_old

VERSION = 1
_DTYPES = {"F32": np.dtype("<f4"), "C64": np.dtype("<c8")}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


def gather(parts: Mapping[str, Any], facts: dict[str, Any]) -> bytes:
    """What each part names in HELD, and facts that JSON can hold."""
    held: dict[str, Any] = {}
    arrays: dict[str, np.ndarray] = {}
    for name, part in parts.items():
        for field in part.HELD:
            value = getattr(part, field)
            (arrays if isinstance(value, np.ndarray) else held)[f"{name}.{field.strip('_')}"] = value
    return _pack({"version": VERSION, **facts, "held": held}, arrays)


def read(data: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Facts, and all that was held, by name. Raises ModelError for other bytes and for another version."""
    try:
        size = int.from_bytes(data[:8], "little")
        header, body = json.loads(data[8 : 8 + size]), memoryview(data)[8 + size :]
        metadata = header.pop("__metadata__")
        if is_old(metadata):
            raise ModelError(
                f"a stream's state of {OLD_NAME}, the former name of unhiss; begin a new Stream and save it"
            )
        facts = json.loads(metadata["unhiss.stream"])
        version, whole = facts["version"], metadata["unhiss.crc32"] == _sum(metadata["unhiss.stream"], header, body)
        arrays = {name: _array(entry, body) for name, entry in header.items()} if version == VERSION and whole else {}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(
            f"{len(data):,} bytes that are no state of a stream; expected what Stream.save gave"
        ) from error
    if version != VERSION:
        raise ModelError(
            f"a stream's state of version {version}, expected {VERSION}; save it with this version of unhiss"
        )
    if not whole:
        raise ModelError(f"a stream's state of {len(data):,} bytes is damaged; save it again")
    return facts, {name: _tupled(value) for name, value in facts.pop("held").items()} | arrays


def scatter(parts: Mapping[str, Any], held: Mapping[str, Any]) -> None:
    """Give parts that were newly made what `gather` took from others."""
    wanted = {f"{name}.{field.strip('_')}": (part, field) for name, part in parts.items() for field in part.HELD}
    if wanted.keys() != held.keys():
        raise ModelError(f"a stream's state with other parts: {sorted(wanted.keys() ^ held.keys())}; save it again")
    for name, (part, field) in wanted.items():
        setattr(part, field, held[name])


def _pack(facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> bytes:
    header: dict[str, Any] = {}
    body = bytearray()
    for name, array in arrays.items():
        start = len(body)
        body += np.ascontiguousarray(array).tobytes()
        header[name] = {
            "dtype": _NAMES[array.dtype.newbyteorder("<")], "shape": array.shape, "data_offsets": (start, len(body)),
        }  # fmt: skip
    told = json.dumps(facts)
    metadata = {"unhiss.stream": told, "unhiss.crc32": _sum(told, header, body)}
    text = json.dumps({"__metadata__": metadata, **header}).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + body


def _sum(facts: str, header: dict[str, Any], body: bytes | bytearray | memoryview) -> str:
    return f"{zlib.crc32(body, zlib.crc32(json.dumps([facts, header]).encode())):08x}"


def _array(entry: dict[str, Any], body: memoryview) -> np.ndarray:
    first, last = entry["data_offsets"]
    array = np.frombuffer(body[first:last], _DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return array.astype(array.dtype.newbyteorder("="))  # a copy, which does not hold on to the caller's bytes


def _tupled(value: Any) -> Any:
    """JSON has lists where a part holds tuples."""
    return tuple(map(_tupled, value)) if isinstance(value, list) else value
