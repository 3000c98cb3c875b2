"""HTTP's digest authentication, which many cameras insist on (RFC 7616, with RFC 2617's MD5)."""

from __future__ import annotations

import hashlib
import re
import secrets

_HASHES = {"md5": "md5", "sha-256": "sha256"}
_FIELD = re.compile(r'(?<!\w)(\w{1,32})=(?:"([^"]*)"|([^\s,"]+))')


def digest_answer(challenge: str, method: str, target: str, user: str, password: str) -> str:
    """The value of ``Authorization`` for a challenge.

    Args:
        challenge: the value of ``WWW-Authenticate``.
        method: of the request, such as ``GET``.
        target: its path and query.
        user, password: as known to the server.

    Returns:
        Empty where the challenge asks for a hash that is unknown here. Each character is a byte on the wire.
    """
    text = re.split(r"(?i)\bdigest\b", challenge, maxsplit=1)[1]
    found = {
        # A head's line may be folded, and a request's must not be.
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
    who, what = digest(user, realm, password), digest(method, target)
    shown = re.sub(r'(["\\])', r"\\\1", user)
    fields = {"username": shown, "realm": realm, "nonce": nonce, "uri": target}
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


def _wire(text: str) -> str:
    """A text whose characters are the bytes of its UTF-8, as those of the server's words are."""
    return text.encode(errors="surrogateescape").decode("latin-1")
