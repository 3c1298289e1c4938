#!/usr/bin/env python3
"""Writes the golden vectors as binary files into corpus/parse."""

import pathlib

here = pathlib.Path(__file__).resolve().parent
corpus = here / "corpus" / "parse"
corpus.mkdir(parents=True, exist_ok=True)
for path in sorted((here / "../crates/agora-core/tests/vectors").glob("*.hex")):
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    message = bytes.fromhex("".join(lines))
    (corpus / path.stem).write_bytes(message)
    # What the target completes by itself: type, records, size of the extensions, and all behind the header.
    if len(message) >= 64:
        choice = bytes([message[5], message[10], message[11], (message[8] - 64) % 128])
        (corpus / (path.stem + "-content")).write_bytes(choice + message[64:])
