"""HTTP's digest authentication, which many cameras insist on (RFC 7616, with RFC 2617's MD5)."""

from __future__ import annotations

import hashlib
import re
import secrets

_HASHES = {"md5": "md5", "sha-256": "sha256"}


def digest_answer(challenge: str, method: str, target: str, user: str, password: str) -> str:
    """The value of ``Authorization`` for a challenge.

    Args:
        challenge: the value of ``WWW-Authenticate``.
        method: of the request, such as ``GET``.
        target: its path and query.
        user, password: as known to the server.

    Returns:
        Empty where the challenge asks for a hash that is unknown here.
    """
    text = re.split(r"(?i)\bdigest\b", challenge, maxsplit=1)[1]
    found = {
        key.lower(): quoted or plain
        for key, quoted, plain in re.findall(r'(\w+)=(?:"([^"]*)"|([^\s,]+))', text)
    }
    algorithm = found.get("algorithm", "MD5")
    if algorithm.lower() not in _HASHES:
        return ""

    def digest(*words: str) -> str:
        return hashlib.new(
            _HASHES[algorithm.lower()], ":".join(words).encode(), usedforsecurity=False
        ).hexdigest()

    realm, nonce = found.get("realm", ""), found.get("nonce", "")
    who, what = digest(user, realm, password), digest(method, target)
    fields = {"username": user, "realm": realm, "nonce": nonce, "uri": target}
    plain = {"algorithm": algorithm}
    if "auth" in re.split(r"[\s,]+", found.get("qop", "")):
        count, own = "00000001", secrets.token_hex(8)
        fields["cnonce"] = own
        plain |= {"qop": "auth", "nc": count}
        fields["response"] = digest(who, nonce, count, own, "auth", what)
    else:
        fields["response"] = digest(who, nonce, what)
    if "opaque" in found:
        fields["opaque"] = found["opaque"]
    return "Digest " + ", ".join(
        [
            *(f'{key}="{value}"' for key, value in fields.items()),
            *(f"{key}={value}" for key, value in plain.items()),
        ]
    )
