#!/usr/bin/env python3
"""Decodes frames of agora, written from docs/wire-format.md alone.

usage: decode_frame.py FILE...     one line of JSON for each file; `-` is standard input

A file whose name ends in `.hex` holds hexadecimal text with lines of comment that begin with `#`; any other holds the
message as it is. Needs nothing but Python 3.8 or later. Section numbers are those of the document.
"""

import ipaddress
import json
import struct
import sys

FRAME_BYTES_MAX = (1 << 20) + (64 << 10)
HEADER_BYTES_MAX = 4096
RECORDS_MAX = 1024
KINDS_MAX = 64
NAME_BYTES_MAX = 200
KEY_BYTES_MAX = 1024
BODY_BYTES_MAX = 1 << 20
CONTROL_BODY_BYTES_MAX = 32768
NONCES_MAX = 32

MAGIC = bytes([0xA6, 0x67, 0x6F, 0x72])
DATA, HEAD, CONTROL = 0, 1, 2
CRITICAL = 0x8000
HEAD_EXTENSION = 0x8001
DEFINE, SELECT, KEY, ID, CORRELATION = 1, 2, 4, 8, 16
WORD = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")


class Refused(Exception):
    """A frame that must not be used: the reason is one of the words of section 9."""


class BadBody(Exception):
    """A body that cannot be read."""


# Section 3: the checksum.


def crc_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


CRC_TABLE = crc_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


assert crc32c(b"123456789") == 0xE3069283


class Input:
    """Bytes that may end anywhere; `short` is raised where they do."""

    def __init__(self, data, at, end, short):
        self.data, self.at, self.end, self.short = data, at, end, short

    def take(self, length):
        if length > self.end - self.at:
            raise self.short
        taken = self.data[self.at : self.at + length]
        self.at += length
        return taken

    def number(self, size):
        return int.from_bytes(self.take(size), "little")

    def varint(self):
        """Section 1: LEB128, 32 bits, the shortest form."""
        value = 0
        for place in range(5):
            byte = self.number(1)
            value |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                if value > 0xFFFFFFFF or (place > 0 and byte == 0):
                    raise self.short
                return value
        raise self.short


def is_name(name):
    return len(name) <= NAME_BYTES_MAX and all(word and WORD.issuperset(word) for word in name.split(b"."))


# Sections 3 to 5: the frame.


def decode(message):
    """The message as the vectors show it."""
    if message[:4] != MAGIC:
        return {"message": "foreign"}
    try:
        header = read_header(message)
    except Refused as why:
        return {"message": "corrupt", "why": str(why)}
    shown = {name: header[name] for name in header if name not in ("flags", "header_bytes")}
    try:
        frame = read_version_1(message, header)
    except Refused as why:
        missed = [header["seq"], header["seq"] + header["records"]] if header["seq"] else [0, 0]
        return {"message": "unreadable", "why": str(why), "header": shown, "missed": missed}
    return dict({"message": "frame", "header": shown}, **frame)


def read_header(message):
    if len(message) < 64 or len(message) > FRAME_BYTES_MAX:
        raise Refused("length")
    fields = struct.unpack("<BBHHHIIIQQQQQ", message[4:64])
    version, kind, flags, header_bytes, records, frame_bytes, crc, back, node, incarnation, stream, seq, sent = fields
    if frame_bytes != len(message):
        raise Refused("length")
    if crc32c(message[:16] + message[20:]) != crc:
        raise Refused("checksum")
    if header_bytes < 64 or header_bytes > frame_bytes or back > seq or seq + records >= 1 << 64:
        raise Refused("header")
    return {
        "version": version,
        "type": kind,
        "flags": flags,
        "header_bytes": header_bytes,
        "records": records,
        "node": "%016x" % node,
        "incarnation": "%016x" % incarnation,
        "stream": "%016x" % stream,
        "seq": seq,
        "floor": seq - back,
        "sent_us": sent,
    }


def read_version_1(message, header):
    if header["version"] != 1:
        raise Refused("version")
    if header["flags"]:
        raise Refused("flags")
    if header["type"] not in (DATA, HEAD, CONTROL):
        raise Refused("type")
    head, skipped = read_extensions(message, header)
    check_counts(header)
    frame = {"skipped_extensions": skipped}
    records = read_records(message, header)
    if head is None:
        frame["records"] = records
    else:
        frame["head"] = head
    return frame


def read_extensions(message, header):
    if header["header_bytes"] > HEADER_BYTES_MAX:
        raise Refused("malformed")
    data = Input(message, 64, header["header_bytes"], Refused("malformed"))
    head, skipped = None, 0
    while data.at < data.end:
        number = data.number(2)
        value = data.take(data.number(2))
        if number == HEAD_EXTENSION and header["type"] == HEAD and head is None:
            head = read_head(value)
        elif number & CRITICAL:
            raise Refused("extension")
        else:
            skipped += 1
    if header["type"] == HEAD and head is None:
        raise Refused("malformed")
    return head, skipped


def read_head(value):
    count, rest = divmod(len(value) - 1, 8)
    if rest or count < 0 or count > NONCES_MAX or value[0] > 1:
        raise Refused("malformed")
    return {"fin": value[0] == 1, "nonces": list(struct.unpack("<%dQ" % count, value[1:]))}


def check_counts(header):
    numbered = header["type"] != CONTROL
    filled = header["type"] != HEAD
    if header["records"] > RECORDS_MAX or (header["seq"] > 0) != numbered or (header["records"] > 0) != filled:
        raise Refused("malformed")


def read_records(message, header):
    data = Input(message, header["header_bytes"], len(message), Refused("malformed"))
    kinds, kind, records = [], None, []
    for index in range(header["records"]):
        flags = data.number(1)
        if flags > 31 or flags & 3 == 3:
            raise Refused("malformed")
        if flags & DEFINE:
            if len(kinds) == KINDS_MAX:
                raise Refused("malformed")
            kind = read_kind(data)
            kinds.append(kind)
        elif flags & SELECT:
            number = data.number(1)
            if number >= len(kinds):
                raise Refused("malformed")
            kind = kinds[number]
        if kind is None:
            raise Refused("malformed")
        record = {"seq": header["seq"] + index if header["type"] == DATA else 0}
        record.update(kind)
        record["key"] = read_sized(data, KEY_BYTES_MAX).hex() if flags & KEY else None
        record["id"] = data.take(16).hex() if flags & ID else None
        record["correlation"] = data.take(16).hex() if flags & CORRELATION else None
        body = read_sized(data, BODY_BYTES_MAX)
        record["body_hex"] = body.hex()
        add_body(record, body, header["type"])
        records.append(record)
    if data.at != data.end:
        raise Refused("malformed")
    return records


def read_kind(data):
    flags = data.number(1)
    version = data.number(2)
    name = data.take(data.number(1))
    if flags > 1 or not is_name(name):
        raise Refused("malformed")
    return {"kind": name.decode("ascii"), "kind_version": version, "resync": flags == 1}


def read_sized(data, most):
    length = data.varint()
    if length > most:
        raise Refused("malformed")
    return data.take(length)


# Section 6: bodies. A reader of a type takes the input and returns the value.


def unsigned(bits):
    def read(data):
        first = data.number(1)
        if bits == 8 or first < 251:
            return first
        size = {251: 2, 252: 4, 253: 8, 254: 16}.get(first)
        if size is None or size * 8 > bits:
            raise BadBody("a malformed integer")
        return data.number(size)

    return read


def signed(bits):
    if bits == 8:
        return lambda data: int.from_bytes(data.take(1), "little", signed=True)
    read_unsigned = unsigned(bits)

    def read(data):
        value = read_unsigned(data)
        return -(value + 1) // 2 if value & 1 else value // 2

    return read


def floating(form):
    return lambda data: struct.unpack("<" + form, data.take(struct.calcsize(form)))[0]


def boolean(data):
    value = data.number(1)
    if value > 1:
        raise BadBody("a malformed truth value")
    return value == 1


def utf8(data):
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise BadBody("text that is no UTF-8")


def char(data):
    first = data.take(1)
    more = 0 if first[0] < 0xC0 else 1 if first[0] < 0xE0 else 2 if first[0] < 0xF0 else 3
    return utf8(first + data.take(more))


def text(data):
    return utf8(data.take(u64(data)))


def many(element):
    # Each element of the kinds known here takes at least a byte, so the input ends before the memory does.
    return lambda data: [element(data) for _ in range(u64(data))]


def mapping(value):
    return lambda data: {text(data): value(data) for _ in range(u64(data))}


def option(value):
    return lambda data: value(data) if boolean(data) else None


def fields(*names_and_types):
    return lambda data: {name: read(data) for name, read in names_and_types}


def each(*types):
    return lambda data: [read(data) for read in types]


def variants(*names_and_types):
    """An enum: a variant without fields is its name, another one an object of its name and fields."""

    def read(data):
        index = u32(data)
        if index >= len(names_and_types):
            raise BadBody("an unknown variant")
        name, fields_of = names_and_types[index]
        return {name: fields_of(data)} if fields_of else name

    return read


def units(*names):
    return variants(*((name, None) for name in names))


def address(data):
    index = u32(data)
    if index > 1:
        raise BadBody("an unknown variant")
    return str(ipaddress.ip_address(data.take(16 if index else 4)))


u8, u16, u32, u64 = unsigned(8), unsigned(16), unsigned(32), unsigned(64)


def as_text(read):
    return lambda data: str(read(data))


# Section 7.

CONTROL_KINDS = {
    "agora.heartbeat": fields(
        ("name", text),
        ("software", text),
        ("tags", many(each(text, text))),
        ("greet", boolean),
        ("topics", many(fields(("stream", u64), ("settings", u64), ("publishes", boolean)))),
    ),
    "agora.leave": fields(("streams", many(fields(("stream", u64), ("next", u64), ("floor", u64))))),
    "agora.hello": fields(("stream", u64), ("nonce", u64)),
    "agora.ask": fields(("stream", u64), ("node", u64), ("incarnation", u64), ("ranges", many(each(u64, u64)))),
    "agora.observer": fields(("greet", boolean)),
}


def is_short(value):
    return len(value.encode("utf-8")) <= 200


def check_control(kind, body):
    if kind == "agora.heartbeat":
        good = is_name(body["name"].encode("utf-8")) and is_short(body["software"])
        good = good and len(body["tags"]) <= 32 and all(is_short(part) for tag in body["tags"] for part in tag)
        good = good and len(body["topics"]) <= 256
    elif kind == "agora.leave":
        ends = body["streams"]
        good = len(ends) <= 256 and all(end["next"] >= 1 and end["floor"] <= end["next"] for end in ends)
    elif kind == "agora.ask":
        good = 1 <= len(body["ranges"]) <= 16 and all(1 <= start < end for start, end in body["ranges"])
    else:
        good = True
    if not good:
        raise BadBody("a control record breaks a rule")


# Section 8.

DEAD_LETTER = fields(
    ("topic", text),
    ("group", text),
    ("reason", text),
    ("attempts", u32),
    ("given_up_by", text),
    ("given_up_ms", u64),
    ("lane", u32),
    ("position", text),
    ("origin", option(fields(("node", u64), ("incarnation", u64), ("seq", u64), ("sent_us", u64)))),
    ("kind", text),
    ("version", u16),
    ("key", option(many(u8))),
    ("body", option(many(u8))),
)

KINDS = {
    "agora.mailbox.changed": fields(
        ("account", u64),
        ("mailbox", u64),
        ("change", units("Added", "Removed", "Flags", "Created", "Renamed", "Deleted")),
        ("state", u64),
        ("messages", many(u32)),
    ),
    "agora.push.subscription.changed": fields(
        ("account", u64),
        ("subscription", text),
        ("change", units("Created", "Updated", "Removed")),
        ("expires_ms", option(u64)),
    ),
    "agora.push.due": fields(("account", u64), ("subscriptions", many(text)), ("topics", many(text)), ("state", u64)),
    "agora.address.blocked": fields(
        ("address", address), ("prefix_bits", option(u8)), ("reason", text), ("expires_ms", option(u64))
    ),
    "agora.address.unblocked": fields(("address", address), ("prefix_bits", option(u8)), ("reason", text)),
    "agora.certificate.renewed": fields(
        ("names", many(text)), ("serial", text), ("fingerprint", text), ("not_after_ms", u64)
    ),
    "agora.configuration.reloaded": fields(("sections", many(text)), ("revision", u64)),
    "agora.cache.invalidated": fields(("cache", text), ("entries", many(text))),
    "agora.queue.paused": fields(("queue", text), ("reason", text), ("until_ms", option(u64))),
    "agora.queue.resumed": fields(("queue", text)),
    "agora.dead_letter": DEAD_LETTER,
    "agora.redriven": fields(("letter", DEAD_LETTER)),
    "test.primitives": fields(
        ("unsigned", each(u8, u16, u32, u64)),
        ("signed", each(signed(8), signed(16), signed(32), signed(64))),
        ("wide", as_text(unsigned(128))),
        ("wide_signed", as_text(signed(128))),
        ("floats", each(floating("f"), floating("d"))),
        ("truth", each(boolean, boolean)),
        ("letter", many(char)),
        ("text", text),
        ("options", each(option(u64), option(u64))),
        ("map", mapping(u16)),
        (
            "choice",
            many(
                variants(
                    ("Unit", None),
                    ("Newtype", u64),
                    ("Tuple", each(u8, text)),
                    ("Struct", fields(("a", u8), ("b", boolean))),
                )
            ),
        ),
    ),
}

KIND_VERSION = 1


def add_body(record, body, frame_type):
    """Adds the decoded body of a kind that is known, by the rules of evolution in section 6."""
    read = (CONTROL_KINDS if frame_type == CONTROL else KINDS).get(record["kind"])
    if read is None:
        return
    try:
        if record["kind_version"] < KIND_VERSION:
            raise BadBody("an old version")
        if frame_type == CONTROL and len(body) > CONTROL_BODY_BYTES_MAX:
            raise BadBody("a control record is too large")
        data = Input(body, 0, len(body), BadBody("the body ends too early"))
        value = read(data)
        if record["kind_version"] == KIND_VERSION and data.at != data.end:
            raise BadBody("bytes are left over")
        if frame_type == CONTROL:
            check_control(record["kind"], value)
        record["body"] = value
    except BadBody:
        record["body_error"] = True


def read_file(name):
    if name == "-":
        return sys.stdin.buffer.read()
    with open(name, "rb") as file:
        data = file.read()
    if name.endswith(".hex"):
        lines = [line for line in data.decode("ascii").splitlines() if not line.startswith("#")]
        data = bytes.fromhex("".join(lines))
    return data


def main(names):
    if not names:
        sys.exit(__doc__)
    for name in names:
        print(json.dumps(decode(read_file(name))))


if __name__ == "__main__":
    main(sys.argv[1:])
