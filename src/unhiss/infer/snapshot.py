"""The state of a stream as bytes, from which another process can continue: a safetensors file, no pickle.

    8 bytes     length of the header, little-endian
    header      JSON: {"__metadata__": {"unhiss.stream": METADATA, "unhiss.crc32": CHECKSUM}, NAME: {"dtype", "shape",
                "data_offsets"}, ...}, padded with spaces to a multiple of eight
    arrays      end to end, little-endian

METADATA is JSON in a string, since safetensors allows no other type: "version", the arguments of the stream, and
"values": the state that is no array. Names are PART.FIELD, with the fields that each part lists in STATE_FIELDS.
CHECKSUM covers everything but itself.
"""

import json
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from unhiss.errors import ModelError, shown
from unhiss.legacy import OLD_NAME, is_old

VERSION = 2
_DTYPES = {"F32": np.dtype("<f4"), "C64": np.dtype("<c8")}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


def serialize(parts: Mapping[str, Any], metadata: dict[str, Any]) -> bytes:
    """The fields that each part lists in STATE_FIELDS, and metadata that JSON can represent."""
    fields = {name: getattr(part, field) for name, (part, field) in _fields(parts).items()}
    values = {name: value for name, value in fields.items() if not isinstance(value, np.ndarray)}
    header: dict[str, Any] = {}
    body = bytearray()
    for name, array in fields.items():
        if name in values:
            continue
        start = len(body)
        body += array.tobytes()
        dtype = _NAMES[array.dtype.newbyteorder("<")]
        header[name] = {"dtype": dtype, "shape": array.shape, "data_offsets": (start, len(body))}
    text = json.dumps({"version": VERSION, **metadata, "values": values})
    strings = {"unhiss.stream": text, "unhiss.crc32": _checksum(text, header, body)}
    encoded = json.dumps({"__metadata__": strings, **header}).encode()
    encoded += b" " * (-len(encoded) % 8)
    return len(encoded).to_bytes(8, "little") + encoded + body


def parse(data: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The metadata, and all fields by name. Raises ModelError for other bytes and for another version."""
    if not isinstance(data, bytes | bytearray | memoryview):
        raise ModelError(f"the state of a stream is {shown(data)}; expected bytes, a result of Stream.save")
    try:
        size = int.from_bytes(data[:8], "little")
        header, body = json.loads(data[8 : 8 + size]), memoryview(data)[8 + size :]
        strings = header.pop("__metadata__")
        if is_old(strings):
            old = f"a stream's state of {OLD_NAME}, the former name of unhiss"
            raise ModelError(f"{old}; begin a new Stream and save it")
        metadata = json.loads(strings["unhiss.stream"])
        version = metadata["version"]
        intact = strings["unhiss.crc32"] == _checksum(strings["unhiss.stream"], header, body)
        arrays = {name: _array(entry, body) for name, entry in header.items()} if version == VERSION and intact else {}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        no_state = f"{len(data):,} bytes that are no state of a stream"
        raise ModelError(f"{no_state}; expected a result of Stream.save") from error
    if version != VERSION:
        expected = f"expected {VERSION}; save it with this version of unhiss"
        raise ModelError(f"a stream's state of version {version}, {expected}")
    if not intact:
        raise ModelError(f"a stream's state of {len(data):,} bytes is damaged; save it again")
    return metadata, metadata.pop("values") | arrays


def assign(parts: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Set the fields of newly made parts. Raises ModelError unless `values` are of the same parts."""
    fields = _fields(parts)
    if fields.keys() != values.keys():
        raise ModelError(f"a stream's state with other parts: {sorted(fields.keys() ^ values.keys())}; save it again")
    for name, (part, field) in fields.items():
        setattr(part, field, values[name])


def _fields(parts: Mapping[str, Any]) -> dict[str, tuple[Any, str]]:
    return {f"{name}.{field.strip('_')}": (part, field) for name, part in parts.items() for field in part.STATE_FIELDS}


def _checksum(metadata: str, header: dict[str, Any], body: bytes | bytearray | memoryview) -> str:
    return f"{zlib.crc32(body, zlib.crc32(json.dumps([metadata, header]).encode())):08x}"


def _array(entry: dict[str, Any], body: memoryview) -> np.ndarray:
    first, last = entry["data_offsets"]
    array = np.frombuffer(body[first:last], _DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return array.astype(array.dtype.newbyteorder("="))  # a copy, so that the caller's bytes can be freed
