#!/usr/bin/env python3
"""Reads a directory of sessile and prints what is in it, as text. Changes nothing.

Written from src/log/FORMAT.md and src/base/FORMAT.md alone, with nothing but Python's standard
library: what it says and what the crate says must be the same. It is slow, holds everything in
memory, and takes no lock: the store must be closed, or the directory a copy.

    read.py [--now MS] [--salvage drop|keep] [--names COUNT] [--frames] DIRECTORY...
"""

import argparse
import hashlib
import re
import struct
import sys
import zlib
from bisect import bisect_right
from pathlib import Path

NO_MARK = -(2**63)
NO_CLAIM = 0xFFFFFFFF
TICK_MS = 125
LONGEST_MS, FAR_MS = 1830 * 86_400_000, 200 * 86_400_000
MASK = 2**64 - 1
LSN_END = 2**47
NAME_END = 2**63
PUT, REMOVE, TERMS, CLEAR, MARK = 1, 2, 3, 4, 5
KINDS = {PUT: "put", REMOVE: "remove", TERMS: "terms", CLEAR: "clear", MARK: "mark"}


class Damaged(Exception):
    """Bytes are not what was written: the name of the file, the offset, and why."""


class Refused(Exception):
    """A version or a flag that this reader does not know: the name of the file, and which."""


def number(code, data, offset):
    return struct.unpack_from("<" + code, data, offset)[0]


def whole(data, offset, size):
    return 0 <= offset and offset + size <= len(data)


def parse(name, kinds):
    """The number in a name of one of these kinds, a temporary one's included; else None."""
    match = re.fullmatch(r"(%s)\.(\d{12}|[1-9]\d{12,})(\.tmp)?" % kinds, name)
    return int(match[2]) if match and int(match[2]) < NAME_END else None


def judge(name, data, incompatible_at):
    """Refuses what a newer major version, or an unknown incompatible flag, says about a file."""
    if number("H", data, 8) > 1:
        raise Refused(name, "version %d.%d" % struct.unpack_from("<HH", data, 8))
    if flags := number("I", data, incompatible_at):
        raise Refused(name, "flags %#x" % flags)


# The manifest


def read_manifest(name, data):
    if len(data) < 4 or data[:8] != b"\x93SSMAN\r\n":
        raise Damaged(name, 0, "it is not a manifest")
    if zlib.crc32(data[:-4]) != number("I", data, len(data) - 4):
        raise Damaged(name, 0, "its checksum is wrong")
    if len(data) < 120:
        raise Damaged(name, 0, "it is too short")
    judge(name, data, 20)
    fields = "uuid seed number epoch cut watermark mark first sessions count".split()
    manifest = dict(zip(fields, struct.unpack_from("<16s16sQqQQqQQI", data, 24)))
    if manifest["number"] != int(name.split(".")[1]):
        raise Damaged(name, 56, "it is another one's")
    if max(manifest["cut"], manifest["watermark"]) >= LSN_END:
        raise Damaged(name, 72, "no LSN is so high")
    start, count = number("I", data, 12), manifest["count"]
    if count > 4096 or start < 116 or not whole(data[:-4], start, 24 * count):
        raise Damaged(name, 112, "its list of bases is not there in full")
    manifest["bases"] = [struct.unpack_from("<QQq", data, start + 24 * i) for i in range(count)]
    return manifest


# Segments and frames


def read_header(name, data):
    """The header of a segment, or None if there is none to be read."""
    for at in (0, 512):
        head = data[at : at + 112]
        right = len(head) == 112 and head[:8] == b"\x93SSLOG\r\n"
        if right and zlib.crc32(head[:108]) == number("I", head, 108):
            judge(name, head, 20)
            fields = "uuid number previous end last salt codec tag".split()
            return dict(zip(fields, struct.unpack_from("<16sQQQQIIQ", head, 24)))
    return None


def read_frame(data, at, salt):
    """The frame that begins at `at` and where the next one would, or None."""
    if not whole(data, at, 32) or data[at] != 0xA5:
        return None
    if zlib.crc32(data[at : at + 28], salt) != number("I", data, at + 28):
        return None
    kind, left, size, lsn, lag, seal = struct.unpack_from("<xBHIQII", data, at)
    body = data[at + 32 : at + 32 + size]
    if len(body) < size or zlib.crc32(body) ^ salt != seal:
        return None
    continues, kind = kind >= 128, kind & 127
    lengths = {REMOVE: 16, TERMS: 36, CLEAR: 0, MARK: 8}
    if lsn >= LSN_END or kind not in KINDS or (size < 36 if kind == PUT else size != lengths[kind]):
        return None
    frame = dict(kind=kind, continues=continues, left=left, lsn=lsn, body=body, at=at)
    frame["claim"] = None if lag == NO_CLAIM else lsn - lag
    return frame, at + (32 + size + 7) // 8 * 8


def scan(data, salt):
    """All valid frames, also those behind something that is none."""
    at = 4096
    while at < len(data):
        found = read_frame(data, at, salt)
        if found:
            frame, at = found
            yield frame
        else:
            at = data.find(b"\xa5", at + 1)
            while at % 8 and at > 0:
                at = data.find(b"\xa5", at + 1)
            if at < 0:
                return


def chain_of(segments, manifest):
    """The segments that count, oldest first: number, header, bytes up to their end, and how many
    times one was missing between it and the last."""
    chain, at, end, run = [], max(segments, default=0), None, 0
    while at in segments:
        head, data = segments[at]
        chain.append((at, head, data[:end], run))
        if head["previous"] == 0 or head["last"] <= manifest["cut"]:
            break
        at, end = head["previous"], head["end"]
        if at not in segments:
            at, end, run = max((other for other in segments if other < at), default=0), None, run + 1
    return chain[::-1]


def follow(frames, first_run, manifest, watermark, salvage):
    """The stream: the frames taken, and its gaps: the first LSN of each, the last one that
    counts as lost, and how many frames were taken before."""
    due, run, stream, gaps = manifest["cut"] + 1, first_run, [], []
    for frame in frames:
        # Behind a missing segment the same LSN may be another frame.
        apart = frame["lsn"] == due and frame["run"] != run
        if (frame["lsn"] > due or apart) and due <= watermark and salvage:
            gaps.append((due, max(due, min(frame["lsn"] - 1, watermark)), len(stream)))
            due, run = frame["lsn"], frame["run"]
        if frame["lsn"] == due and frame["run"] == run:
            stream.append(frame)
            due += 1
    if due <= watermark:
        gaps.append((due, watermark, len(stream)))
    return stream, gaps


def whole_groups(stream):
    """The frames of groups that are there from their first to their last."""
    kept, group = [], []
    for frame in stream:
        before = group[-1] if group else None
        if frame["continues"]:
            fits = before and before["lsn"] + 1 == frame["lsn"] and before["left"] == frame["left"] + 1
            group = group + [frame] if fits else []
        else:
            group = [frame]
        if group and frame["left"] == 0:
            kept += group
            group = []
    return kept


# Bases


def fold(a, b):
    product = a * b
    return product & MASK ^ product >> 64


def hash_of(key, seed):
    (k0, k1), (s0, s1) = struct.unpack("<QQ", key), struct.unpack("<QQ", seed)
    inner = fold(k0 ^ s0 ^ 0xB7E151628AED2A6A, k1 ^ s1 ^ 0x6A09E667F3BCC908)
    return fold(inner ^ 0x243F6A8885A308D3, 0x9E3779B97F4A7C15)


def seal(piece, salt, offset):
    return zlib.crc32(struct.pack("<IQI", salt, offset, 0) + piece) or 0xFFFFFFFF


class Base:
    """One base: its records by key, and the ranges of hashes of which it does not know all."""

    def __init__(self, name, data, manifest, size, mark):
        self.name, self.data, self.mark = name, data, mark
        length = number("I", data, 12) if len(data) >= 4096 else 0
        if data[:8] != b"\x89base\r\n\x1a" or not 8 <= length <= 4096:
            raise Damaged(name, 0, "it is not a base")
        if seal(data[: length - 4], 0, 0) != number("I", data, length - 4):
            raise Damaged(name, 0, "its header is damaged")
        judge(name, data, 16)
        self.uuid, self.number, self.cut, self.highest = struct.unpack_from("<16sQQQ", data, 24)
        self.seed, self.epoch, self.salt, self.codec, self.tag = struct.unpack_from("<16sqIIQ", data, 64)
        self.hash, self.crc, self.values, self.tombstones = struct.unpack_from("<IIQQ", data, 104)
        self.blocks, self.pages = struct.unpack_from("<II", data, 144)
        self.sections = [struct.unpack_from("<QQ", data, 152 + 16 * i) for i in range(5)]
        if (self.hash, self.crc) != (1, 1):
            raise Refused(name, "hash %d, checksum %d" % (self.hash, self.crc))
        ours = (manifest["uuid"], int(name.split(".")[1]))
        if (self.uuid, self.number) != ours or {len(data), number("Q", data, 232)} != {size}:
            raise Damaged(name, 0, "it is another one's, or not there in full")
        self.fences = self.sealed_list(2, "Q")
        self.unknown = list(zip(*[iter(self.sealed_list(4, "Q"))] * 2))
        self.broken, self.records = [], {}
        self.read_blocks()

    def sealed_list(self, section, code):
        offset, size = self.sections[section]
        piece = self.data[offset : offset + size]
        if len(piece) < 8 or seal(piece[4:], self.salt, offset) != number("I", piece, 0):
            raise Damaged(self.name, offset, "fences or lost ranges are damaged")
        return [entry for (entry,) in struct.iter_unpack("<" + code, piece[8:])]

    def entries(self):
        """Hash and first page of every block; no page where the directory is damaged."""
        offset, size = self.sections[1]
        for page, fence in enumerate(self.fences):
            at = offset + 512 * page
            piece = self.data[at : min(at + 512, offset + size)]
            count = number("I", piece, 4)
            found = [struct.unpack_from("<QI", piece, 8 + 12 * i) for i in range(min(count, 42))]
            if seal(piece[4:], self.salt, at) == number("I", piece, 0):
                yield from found
            else:
                yield fence, None
                next_fence = [*self.fences, MASK + 1][page + 1]
                self.try_entries(found if count <= 42 else [], fence, next_fence)

    def try_entries(self, entries, fence, end):
        """Records that entries nobody vouches for lead to: one that verifies is one."""
        hashes = [first for first, _ in entries]
        for index, (_, page) in enumerate(entries):

            def leads_here(hashed, behind=index + 1):
                return fence <= hashed < end and bisect_right(hashes, hashed) == behind

            if 1 <= page <= self.pages:
                at = 4096 * page
                self.read_index(self.data[at : 4096 * (self.pages + 1)], at, leads_here)

    def read_blocks(self):
        entries = list(self.entries())
        following = entries[1:] + [(MASK, self.pages + 1)]
        for (first, page), (after, end) in zip(entries, following):
            if page is None:
                self.broken.append((first, after))
                continue
            at = 4096 * page
            end = end or page + max(number("H", self.data, at + 18), 1)
            block = self.data[at : 4096 * end]
            right = seal(block[4:], self.salt, at) == number("I", block, 0)
            if not right:
                self.broken.append((first, after))
            self.read_index(block, at, lambda hashed: first <= hashed <= after)

    def read_index(self, block, at, belongs):
        for index in range(min(number("H", block, 16), 1019)):
            self.read_record(block, number("H", block, 22 + 4 * index), at, belongs)

    def read_record(self, block, start, at, belongs):
        if not whole(block, start, 36):
            return
        size, kind = number("I", block, start + 4) & 0xFFFFFF, block[start + 7]
        record = block[start : start + 36 + size]
        if len(record) < 36 + size or seal(record[4:], self.salt, at) != number("I", record, 0):
            return
        key = record[20:36]
        if belongs(hash_of(key, self.seed)):
            life = struct.unpack_from("<III", record, 8)
            self.records[key] = (None, life) if kind == 1 else (record[36:], life)

    def filter_excludes(self, hashed):
        offset, size = self.sections[3]
        at = offset + 64 * (hashed * (size // 64) >> 64)
        line = self.data[at : at + 64]
        if len(line) < 64 or seal(line[:60], self.salt, at) != number("I", line, 60):
            return False
        mix = fold(hashed ^ 0xA4093822299F31D1, 0xD6E8FEB86659FD93)
        bits = [(mix >> 10 * i) % 1024 * 480 // 1024 for i in range(6)]
        return not all(line[bit // 8] >> bit % 8 & 1 for bit in bits)

    def knows(self, key):
        """Whether a key without a record is known to have none."""
        hashed = hash_of(key, self.seed)
        if any(low <= hashed <= high for low, high in self.unknown):
            return False
        return self.filter_excludes(hashed) or not any(
            low <= hashed <= high for low, high in self.broken
        )

    def terms(self, life):
        """Deadline and cap in milliseconds, idle in ticks; 0 is long expired."""
        times = [self.epoch + TICK_MS * tick if tick else NO_MARK for tick in life[:2]]
        return (*times, life[2])


# What it all says


class Store:
    """The records of a directory, as they are at one moment."""

    def __init__(self, directory, now, salvage=None):
        self.directory, self.salvage = Path(directory), salvage
        self.lost_bases, self.lost_manifests = [], []
        self.frames, self.stream, self.gaps, self.bases = [], [], [], []
        self.names = sorted(path.name for path in self.directory.iterdir() if path.is_file())
        kinds = r"manifest|base|log"
        self.strays = [name for name in self.names if name != "lock" and parse(name, kinds) is None]
        self.manifest = self.choose_manifest()
        if self.manifest:
            # In this order: where both are damaged, the log is what is complained of.
            self.read_log()
            self.read_bases()
            self.apply(now)
        else:
            self.records, self.last, self.torn, self.cleared = {}, 0, 0, False

    def numbered(self, kind):
        names = [name for name in self.names if not name.endswith(".tmp")]
        return {parse(name, kind): name for name in names if parse(name, kind) is not None}

    def read(self, name):
        return (self.directory / name).read_bytes()

    def choose_manifest(self):
        manifests, error = self.numbered("manifest"), None
        for at in sorted(manifests, reverse=True):
            try:
                found = read_manifest(manifests[at], self.read(manifests[at]))
            except Damaged as damaged:
                error = error or damaged
                self.lost_manifests.append(at)
                if not self.salvage:
                    break
                continue
            self.check_same_store(manifests, at, found)
            return found
        if error or self.numbered("base") or self.numbered("log"):
            raise error or Damaged("", 0, "there is no manifest")
        return None

    def check_same_store(self, manifests, at, found):
        older = max((other for other in manifests if other < at), default=None)
        try:
            before = older and read_manifest(manifests[older], self.read(manifests[older]))
        except (Damaged, Refused):
            return
        if before and before["uuid"] != found["uuid"]:
            raise Damaged(manifests[at], 24, "two stores are mixed")

    def read_bases(self):
        dropped = self.salvage == "drop" and self.lost_manifests
        for at, size, mark in [] if dropped else self.manifest["bases"]:
            name = "base.%012d" % at
            try:
                if name not in self.names:
                    raise Damaged(name, 0, "it is missing")
                self.bases.append(Base(name, self.read(name), self.manifest, size, mark))
            except Damaged:
                if not self.salvage:
                    raise
                self.lost_bases.append(at)
                if self.salvage == "drop":
                    break

    def read_log(self):
        segments = {}
        needed = [at for at in self.numbered("log") if at >= self.manifest["first"]]
        for at, name in ((at, "log.%012d" % at) for at in needed):
            data = self.read(name)
            head = read_header(name, data)
            if head and (head["number"], head["uuid"]) == (at, self.manifest["uuid"]):
                segments[at] = head, data
            else:
                self.strays.append(name)
        chain = chain_of(segments, self.manifest)
        counted = [at for at, *_ in chain]
        self.strays += ["log.%012d" % at for at in segments if at not in counted]
        for at, head, data, run in chain:
            source = dict(segment=at, run=run, codec=head["codec"], tag=head["tag"])
            self.frames += [frame | source for frame in scan(data, head["salt"])]
        claims = [frame["claim"] for frame in self.frames if frame["claim"] is not None]
        least = [self.manifest["watermark"], self.manifest["cut"]]
        self.watermark = max(least + claims)
        first_run = chain[0][3] if chain else 0
        stream, self.gaps = follow(self.frames, first_run, self.manifest, self.watermark, self.salvage)
        if self.gaps and not self.salvage:
            first, last, before = self.gaps[0]
            self.complain(first, last, stream[before - 1] if before else None, chain)
        self.stream = whole_groups(stream)
        self.last = self.stream[-1]["lsn"] if self.stream else self.manifest["cut"]
        after_cut = sum(frame["lsn"] > self.manifest["cut"] for frame in self.frames)
        self.torn = after_cut - len(self.stream)

    def complain(self, first, last, before, chain):
        what = "the LSNs %d to %d are missing" % (first, last)
        if before:
            end = before["at"] + (32 + len(before["body"]) + 7) // 8 * 8
            raise Damaged("log.%012d" % before["segment"], end, what)
        at = chain[0][0] if chain else self.manifest["first"]
        raise Damaged("log.%012d" % at, 4096, what)

    def apply(self, now):
        """Records by key: value (None: removed), terms, codec, tag, and the moment up to which
        their deadlines were looked at (None: that of the log)."""
        self.records = {}
        for base in reversed(self.bases):
            # What an older one says is not known to hold if this one has lost something there.
            self.records = {key: found for key, found in self.records.items() if base.knows(key)}
            for key, (value, life) in base.records.items():
                mark = None if base.mark == NO_MARK else base.mark
                self.records[key] = (value, base.terms(life), base.codec, base.tag, mark)
        self.cleared, marks = False, [self.manifest["mark"]]
        edges = [gap[0] for gap in self.gaps] if self.salvage == "drop" else []
        for frame in self.stream:
            while edges and edges[0] < frame["lsn"]:
                edges.pop(0)
                self.clear()
            self.apply_one(frame, marks)
        if edges:
            self.clear()
        mark = max(marks)
        self.now = max(mark, now)
        for key, (value, terms, codec, tag, seen) in list(self.records.items()):
            deadline = None
            if value is not None:
                deadline = self.deadline(terms, mark if seen is None else seen)
            if deadline is None or deadline <= self.now:
                value = None
            self.records[key] = (value, deadline, codec, tag)

    def clear(self):
        self.cleared, self.records = True, {}

    def apply_one(self, frame, marks):
        body, kind = frame["body"], frame["kind"]
        key = body[:16]
        if kind == PUT:
            terms = struct.unpack_from("<qqI", body, 16)
            self.records[key] = (body[36:], terms, frame["codec"], frame["tag"], None)
        elif kind == REMOVE:
            self.records[key] = (None, None, 0, 0, None)
        elif kind == TERMS and self.records.get(key, (None,))[0] is not None:
            value, _, codec, tag, _ = self.records[key]
            terms = struct.unpack_from("<qqI", body, 16)
            self.records[key] = (value, terms, codec, tag, None)
        elif kind == CLEAR:
            self.clear()
        elif kind == MARK:
            marks.append(number("q", body, 0))

    def deadline(self, terms, seen):
        deadline, cap, idle = terms
        grace = min(idle, max(idle // 16, 240))
        if idle and deadline > seen:
            deadline = max(deadline, min(deadline + TICK_MS * grace, cap))
        deadline = min(deadline, self.now + LONGEST_MS)
        untouched = self.now + TICK_MS * (idle + grace)
        if idle and deadline - untouched > FAR_MS:
            deadline = untouched
        epoch = self.manifest["epoch"]
        return epoch + -((epoch - deadline) // TICK_MS) * TICK_MS

    def knows(self, key):
        """Whether a key that no record was found for is known to have none."""
        if self.cleared or key in self.records:
            return True
        return all(base.knows(key) for base in self.bases)


def say(store, names):
    manifest = store.manifest
    yield "cut %d" % (manifest["cut"] if manifest else 0)
    yield "last %d" % store.last
    for base in [] if store.cleared else store.bases:
        yield "base %d: %d records, %d tombstones" % (base.number, base.values, base.tombstones)
    yield "replayed %d frames" % len(store.stream)
    yield "torn %d frames" % store.torn
    yield from ("lost manifest %d" % at for at in store.lost_manifests)
    yield from ("lost base %d" % at for at in store.lost_bases)
    yield from ("lost LSNs %d to %d" % gap[:2] for gap in store.gaps)
    yield from ("stray %s" % name for name in sorted(store.strays))
    for key, (value, deadline, codec, tag) in sorted(store.records.items()):
        if value is not None:
            text = "session %s until %d, codec %d, tag %d: " % (key.hex(), deadline, codec, tag)
            yield text + "%d bytes, crc %08x, %s" % (len(value), zlib.crc32(value), value[:40].hex())
    keys = (hashlib.sha256(b"sessile/key/v1\0" + struct.pack("<Q", name)) for name in range(names))
    for key in sorted(key.digest()[:16] for key in keys):
        if not store.knows(key):
            yield "unknown %s" % key.hex()


def say_frames(store):
    for frame in store.frames:
        text = "%d at %d: LSN %d" % (frame["segment"], frame["at"], frame["lsn"])
        group = " +%d" % frame["left"] if frame["left"] else ""
        claim = "none" if frame["claim"] is None else frame["claim"]
        more = "-" if frame["continues"] else ""
        kind, size = KINDS[frame["kind"]], len(frame["body"])
        yield "%s %s%s%s, %d bytes, claims %s" % (text, more, kind, group, size, claim)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--now", type=int, required=True, help="the time, in ms since 1970")
    parser.add_argument("--salvage", choices=["drop", "keep"], help="go on behind damage")
    parser.add_argument("--names", type=int, default=0, help="judge the keys of so many numbers")
    parser.add_argument("--frames", action="store_true", help="list the frames of the log too")
    parser.add_argument("directory", nargs="+")
    wish = parser.parse_args()
    for directory in wish.directory:
        print("== %s" % Path(directory).name)
        try:
            store = Store(directory, wish.now, wish.salvage)
            print(*say(store, wish.names), sep="\n")
            if wish.frames:
                print(*say_frames(store), sep="\n")
        except Damaged as damaged:
            print("damaged: %s at byte %d" % damaged.args[:2])
            print("(%s)" % damaged.args[2], file=sys.stderr)
        except Refused as refused:
            print("refused: %s" % refused.args[0])
            print("(%s)" % refused.args[1], file=sys.stderr)


if __name__ == "__main__":
    main()
