"""HTTP's digest authentication, which many cameras require (RFC 7616, with RFC 2617's MD5)."""

from __future__ import annotations

import hashlib
import re
import secrets

_HASHES = {"md5": "md5", "sha-256": "sha256"}
_FIELD = re.compile(r'(?<!\w)(\w{1,32})=(?:"([^"]*)"|([^\s,"]+))')


def digest_answer(challenge: str, method: str, target: str, user: str, password: str) -> str:
    """Returns the value of ``Authorization`` for a challenge.

    Args:
        challenge: the value of ``WWW-Authenticate``.
        method: of the request, such as ``GET``.
        target: its path and query.
        user, password: the server's.

    Returns:
        The value, of which each character is one byte when sent; empty if the challenge needs a hash that is unknown
        here.
    """
    text = re.split(r"(?i)\bdigest\b", challenge, maxsplit=1)[1]
    found = {
        # A response's header line may be folded, but a request's must not be.
        key.lower(): re.sub(r"[\x00-\x1f\x7f]+", " ", quoted or plain)
        for key, quoted, plain in _FIELD.findall(text)
    }
    user, password = _wire(user), _wire(password)
    algorithm = found.get("algorithm", "MD5")
    if algorithm.lower() not in _HASHES:
        return ""

    def digest(*words: str) -> str:
        return hashlib.new(
            _HASHES[algorithm.lower()], ":".join(words).encode("latin-1"), usedforsecurity=False
        ).hexdigest()

    realm, nonce = found.get("realm", ""), found.get("nonce", "")
    user_hash, target_hash = digest(user, realm, password), digest(method, target)
    shown = re.sub(r'(["\\])', r"\\\1", user)
    fields = {"username": shown, "realm": realm, "nonce": nonce, "uri": target}
    plain = {"algorithm": algorithm}
    if "auth" in re.split(r"[\s,]+", found.get("qop", "")):
        count, own = "00000001", secrets.token_hex(8)
        fields["cnonce"] = own
        plain |= {"qop": "auth", "nc": count}
        fields["response"] = digest(user_hash, nonce, count, own, "auth", target_hash)
    else:
        fields["response"] = digest(user_hash, nonce, target_hash)
    if "opaque" in found:
        fields["opaque"] = found["opaque"]
    return "Digest " + ", ".join(
        [
            *(f'{key}="{value}"' for key, value in fields.items()),
            *(f"{key}={value}" for key, value in plain.items()),
        ]
    )


def _wire(text: str) -> str:
    """Returns a text whose characters are the UTF-8 bytes of this one, as in the server's values."""
    return text.encode(errors="surrogateescape").decode("latin-1")
