#!/usr/bin/env python3
"""Verifies a Tollgate data directory, or a copy of one, without Tollgate: docs/manifest.md says what is checked here.
Needs pyarrow and cryptography; verify_chain.py and verify_rows.py are beside it. `python verify.py DIR [PUBLIC_KEY]`:
0 intact, 1 tampered, 2 incomplete. Of a modified file it names the rows, from 0, that are not those signed.
"""

import sys
from collections import defaultdict
from pathlib import Path

from verify_chain import Keys, entries, need, sha256
from verify_rows import changed, statement


def inputs(entry):
    """The files a rewrite replaces or removes, each with the entry that states it."""
    return [(one["path"], one["index"]) for one in entry.get("inputs", [])]


def apply(entry, last_named, stated, seqs, audit):
    """Does to what is stated, by path, what the entry says. `last_named`: the last rewrite that names a file an input."""
    start, file = (entry["instance_id"], entry["epoch"]), entry if entry["kind"] == "file" else entry.get("output")
    if entry["kind"] == "rewrite":
        gone = entry["removed"] or {"rows": 0, "seqs": []}
        pairs = [(one, stated[one["path"]]) for one in entry["inputs"]]
        same = [(one["index"], one["sha256"], start) == (was["index"], was["sha256"], was["start"]) for one, was in pairs]
        removed = [seq for first, last in gone["seqs"] for seq in range(first, last + 1)]
        need(all(same) and gone["rows"] == len(removed), "rewrites what was not stated like that")
        need(sum(was["rows"] for _, was in pairs) == len(removed) + (file["rows"] if file else 0), "loses rows")
        need(entry["reason"] == "retention" or not removed, "removes rows")
        has = lambda one: (path := audit / one["path"]).exists() and sha256(path.read_bytes()).hex() == one["sha256"]
        if all(has(one) for one, _ in pairs) and not (file and has(file)):
            return  # stated, and not done yet
        if any(last_named[one] > entry["index"] for one in inputs(entry)):
            return  # was not done, and was stated again with other files
        for one, _ in pairs:
            del stated[one["path"]]
        seqs[start] += removed
    if file:
        need(file["path"] not in stated, "states a file that was stated before")
        stated[file["path"]] = {**file, "index": entry["index"], "start": start, "epoch": entry["epoch"]}


def lists_in(directory):
    """The lists of rows by the SHA-256 that is their name, and what else there is."""
    found = {path: path.read_bytes() if path.is_file() else None for path in sorted(directory.glob("*"))}
    lists = {path.name: data for path, data in found.items() if data is not None and sha256(data).hex() == path.name}
    return lists, [f"manifest/leaves/{path.name}: is no such list" for path in found if path.name not in lists]


def main(root, key=None):
    tampered, lost, believed, stated, seqs, previous, audit = [], [], [], {}, defaultdict(list), None, root / "audit"
    last_named, (lists, others) = {}, lists_in(root / "manifest" / "leaves")
    tampered += others
    old = [path.read_bytes() for path in root.glob("keys/manifest-*.pub")]
    keys = Keys((key or root / "keys" / "manifest.pub").read_bytes(), old)
    for index, (name, data) in enumerate(entries(root / "manifest"), 1):
        try:
            entry = keys.check(data, index, previous)
            last_named.update((one, index) for one in inputs(entry))
            believed.append((name, entry))
        except Exception as error:  # whatever a forged file makes a library raise
            tampered.append(f"manifest/{name}: {error or type(error).__name__}")
        previous = sha256(data).hex()
    for name, entry in believed:
        try:
            apply(entry, last_named, stated, seqs, audit)
        except Exception as error:
            tampered.append(f"manifest/{name}: {error or type(error).__name__}")
    for path, says in stated.items():
        try:
            data = (audit / path).read_bytes()
            listed = says.get("leaves_sha256")
            need(listed in lists or not listed, "its list of rows is missing")
            if sha256(data).hex() != says["sha256"]:
                raise ValueError(f"was modified: {changed(audit / path, lists[listed]) if listed else 'it has no list'}")
            rows, found = statement(audit / path, data)
            found["leaves_sha256"] = listed and found["leaves_sha256"]
            wrong = [name for name in found if says.get(name) != found[name]]
            need(not wrong, f"{wrong} not as stated")
            seqs[says["start"]] += rows["seq"]
            lost += [f"audit/{path}: {error}" for o, error in zip(rows["outcome"], rows["error"]) if o == "gap"]
        except Exception as error:
            tampered.append(f"audit/{path}: {error or type(error).__name__}")
    present = {path.relative_to(audit).as_posix() for path in root.glob("audit/**/*") if not path.is_dir()}
    tampered += [f"audit/{path}: not signed" for path in sorted(present - set(stated))]
    holed = [start for start, found in seqs.items() if sorted(found) != list(range(1, len(found) + 1))]
    tampered += [f"rows of {start}: the sequence has holes or repetitions" for start in holed]
    tampered += [] if keys.reached else ["manifest: nothing in it is signed with this key"]
    verdict = "tampered" if tampered else "incomplete" if lost else "intact"
    print(*tampered, *lost, f"{verdict}: {len(stated)} files, head {previous}", sep="\n")
    return 1 if tampered else 2 if lost else 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
