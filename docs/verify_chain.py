"""The chain of docs/manifest.md, read and believed: what verify.py, verify_rows.py and verify_bundle.py have in common."""

import hashlib
import json
from base64 import b64decode, b64encode

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key, load_pem_public_key

KINDS = {"file", "start", "stop", "heartbeat", "policy", "refused_reload", "key_rotation", "rewrite"}


def sha256(data):
    return hashlib.sha256(data).digest()


def need(holds, complaint):
    if not holds:
        raise ValueError(complaint)


def merkle_root(level):
    while len(level) > 1:
        pairs = [level[at : at + 2] for at in range(0, len(level), 2)]
        level = [sha256(b"\1" + b"".join(pair)) if len(pair) == 2 else pair[0] for pair in pairs]
    return (level[0] if level else sha256(b"")).hex()


class Keys:
    """The given public key is believed, and those it hands over to; what came before is proved by the hashes."""

    def __init__(self, given, old=()):
        identified = lambda pem: (self.id_of(key := load_pem_public_key(pem)), key)
        self.believed, self.old = dict([identified(given)]), dict(map(identified, old))
        self.active, self.reached = None, False

    @staticmethod
    def id_of(key):
        return sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hex()

    def check(self, data, index, previous):
        """The statement of the next entry: its form, place and signature are right, and it continues the chain."""
        signed, line = data.split(b"\n")[:2]
        signature = b64decode(line[8:])
        need(data == signed + b"\ned25519:" + b64encode(signature) + b"\n", "is not two lines as documented")
        entry = json.loads(signed)
        signer, kind = entry["key_id"], entry["kind"]
        need(entry["format"] == 1 and kind in KINDS, "is of another kind")
        need(entry["index"] == index and entry["previous"] == previous, "is not where it was in the chain")
        need(self.active in (None, signer) and (signer in self.believed or not self.reached), "has an unknown key")
        key = self.believed.get(signer) or self.old.get(signer)
        if key:
            key.verify(signature, signed)
        self.active, self.reached = signer, signer in self.believed
        if kind == "key_rotation":
            new = load_der_public_key(b64decode(entry["new_key"]))
            self.active = self.id_of(new)
            need(self.active == entry["new_key_id"], "hands over to another key than it names")
            if self.reached:
                self.believed[self.active] = new
        return entry


def entries(directory):
    """File and bytes of each entry in index order: packed ones taken apart, those that are there twice compared."""
    found = {}
    files = (path for path in directory.iterdir() if path.name != "leaves")
    for path in sorted(files, key=lambda path: (path.suffix != ".jsonl", len(path.name), path.name)):
        lines, first = path.read_bytes().split(b"\n"), int(path.stem.split("-")[0])
        last = int(path.stem.split("-")[-1])
        name = f"{first:08}-{last:08}.jsonl" if path.suffix == ".jsonl" else f"{first:08}.json"
        right = path.name == name and len(lines) == 2 * (last - first) + 3 and last - first < 10000
        need(right, f"{path.name}: does not hold what its name says")
        for index in range(first, last + 1):
            data = b"".join(line + b"\n" for line in lines[2 * (index - first) :][:2])
            need(found.setdefault(index, (path.name, data))[1] == data, f"{path.name}: is packed otherwise")
    return [found[index] for index in sorted(found)]
