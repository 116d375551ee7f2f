"""Write vectors.json: sealed values with fixed keys and nonces, and changes of them that must not open.

Needs only the `cryptography` package, and nothing of the kit, so that the two check each other.
Run: python contracts/sealing/generate.py [file]
"""

import base64
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SUBJECT = "case/0b6f3e0a-58b1-4c58-9d0e-6f5a2f0a9c11"
OTHER_SUBJECT = "case/7d1d5d0e-2f3b-4a44-8a51-1c2d3e4f5a6b"
CONTACT = '{"channels":[{"kind":"sms","address":"+999555010042"}],"safe_name":"Aunt Orla"}'
NAMES = '{"preferred_name":"Ṣafiyya ‏نور‏ 🌱","aliases":[]}'
FULL_BLOCK = json.dumps({"text": "x" * (256 - len('{"text":""}'))}, separators=(",", ":"))
ONE_OVER = json.dumps({"text": "x" * (257 - len('{"text":""}'))}, separators=(",", ":"))


def text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def raw(ct: str) -> bytes:
    return base64.urlsafe_b64decode(ct + "=" * (-len(ct) % 4))


def vector(name: str, purpose: str, kid: str, plaintext: str, number: int) -> dict[str, Any]:
    """One value sealed as the contract says, with every intermediate step written out."""
    key = hashlib.sha256(f"kintsugi vector key {number}".encode()).digest()
    nonce = hashlib.sha256(f"kintsugi vector nonce {number}".encode()).digest()[:12]
    event = {
        "source": "/xa/intake",
        "id": f"0190a3f2-7c1e-7b3a-9a44-00000000000{number}",
        "type": "kintsugi.case.opened.v1",
    }
    aad = "|".join(["kintsugi/1", event["source"], event["id"], event["type"], SUBJECT, purpose, kid])
    padded = plaintext.encode() + b" " * (-len(plaintext.encode()) % 256)
    return {
        "name": name,
        **event,
        "subject": SUBJECT,
        "purpose": purpose,
        "kid": kid,
        "key_hex": key.hex(),
        "nonce_hex": nonce.hex(),
        "aad": aad,
        "plaintext": plaintext,
        "padded_length": len(padded),
        "ct": text(nonce + AESGCM(key).encrypt(nonce, padded, aad.encode())),
    }


def changed(value: dict[str, Any], name: str, **fields: str) -> dict[str, Any]:
    """The same sealed value presented with something altered or moved: it must not open."""
    keep = ("source", "id", "type", "subject", "purpose", "kid", "key_hex", "ct")
    return {"name": name, **{field: value[field] for field in keep}, **fields}


def flipped(ct: str, at: int) -> str:
    data = bytearray(raw(ct))
    data[at] ^= 1
    return text(bytes(data))


def vectors() -> dict[str, Any]:
    """The whole file."""
    opens = [
        vector("a contact profile", "contact", "k-contact-1", CONTACT, 1),
        vector("names outside ASCII, written right to left too", "identity", "k-identity-1", NAMES, 2),
        vector("exactly one block: no padding is added", "narrative", "k-narrative-1", FULL_BLOCK, 3),
        vector("one byte over a block: two blocks", "narrative", "k-narrative-1", ONE_OVER, 4),
        vector("an empty object", "assessment", "k-assessment-1", "{}", 5),
    ]
    one = opens[0]
    ct = one["ct"]
    fails = [
        changed(one, "first byte of the nonce flipped", ct=flipped(ct, 0)),
        changed(one, "first byte of the ciphertext flipped", ct=flipped(ct, 12)),
        changed(one, "last byte of the tag flipped", ct=flipped(ct, -1)),
        changed(one, "one byte missing", ct=text(raw(ct)[:-1])),
        changed(one, "tag missing", ct=text(raw(ct)[:-16])),
        changed(one, "nothing there", ct=""),
        changed(one, "written with base64 padding", ct=ct + "=" * (-len(ct) % 4 or 4)),
        changed(one, "written in the other base64 alphabet", ct=ct.replace("-", "+").replace("_", "/")),
        changed(one, "stray bits in the last character", ct=ct[:-1] + chr(ord(ct[-1]) + 1)),
        changed(one, "moved to another purpose", purpose="identity"),
        changed(one, "moved to another event", id="0190a3f2-7c1e-7b3a-9a44-000000000009"),
        changed(one, "moved to another type of event", type="kintsugi.case.closed.v1"),
        changed(one, "moved to another service", source="/xa/referral"),
        changed(one, "moved to another country", source="/xb/intake"),
        changed(one, "moved to another subject", subject=OTHER_SUBJECT),
        changed(one, "said to be under another key", kid="k-contact-2"),
        changed(one, "opened with another key", key_hex=opens[1]["key_hex"]),
        changed(one, "a separator inside a field", subject=SUBJECT + "|contact"),
    ]
    return {
        "format": "kintsugi/1: AES-256-GCM, ct = base64url(nonce 12 | ciphertext | tag 16) without padding, "
        "plaintext = UTF-8 JSON padded with spaces to a multiple of 256, "
        "AAD = kintsugi/1|source|id|type|subject|purpose|kid",
        "opens": opens,
        "fails": fails,
    }


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("vectors.json")
    target.write_text(json.dumps(vectors(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
