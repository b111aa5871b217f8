"""
What TLS is to use, from files: keys, certificates, and whom to trust; as Twisted's own options.

A file that is missing, or holds something else, is told here, where its name is known, and not in a handshake.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IOpenSSLContextFactory,
    IOpenSSLServerConnectionCreator,
)
from twisted.python.filepath import FilePath

try:
    import service_identity  # noqa: F401  # without it Twisted would not verify host names as it should
    from OpenSSL import SSL, crypto
    from twisted.internet import ssl
except ImportError as _missing:
    raise ImportError(
        f"TLS needs pyOpenSSL and service-identity: pip install 'twisted_casync[tls]' ({_missing})"
    ) from None

__all__ = ["File", "Trust", "clientOptions", "isClients", "serverOptions"]

File: TypeAlias = str | os.PathLike[str]

Trust: TypeAlias = Any
"""
Whom to trust: a file of certificates in PEM format, or what Twisted takes as C{trustRoot} (a C{Certificate}, or what
C{platformTrust} or C{trustRootFromCertificates} give).
"""

_CERTIFICATE: Final = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_METHODS: Final = [name for name in vars(SSL) if re.fullmatch(r"(TLS|SSL)(v\w+)?_METHOD", name)]


def serverOptions(
    privateKey: File,
    certKey: File | None = None,
    extraCertChain: File | None = None,
    *,
    sslmethod: str | None = None,
    dhParameters: File | None = None,
    trustRoot: Trust = None,
    protocols: Sequence[bytes] = (),
) -> ssl.CertificateOptions:
    """
    The options of a server.  The first arguments are those of C{ssl:} in Twisted's descriptions.

    @param privateKey: a file with the private key, in PEM format and without a passphrase.
    @param certKey: a file with the certificate of that key; L{None} when it is in the same file.  Certificates that
        follow it there are sent with it.
    @param extraCertChain: a file with certificates that lead from that one to one that clients trust.
    @param sslmethod: what C{OpenSSL.SSL} calls the versions of TLS; L{None} for TLS 1.2 and 1.3.
    @param dhParameters: a file with parameters for Diffie-Hellman's exchange, without which its ciphers are not used.
    @param trustRoot: whom to trust (L{Trust}): clients need a certificate of one of those then; L{None} asks for none.
    @param protocols: what may be spoken over the connection, by its names in ALPN (RFC 7301), the best first.
        A client that names others only is refused.
    @return: Twisted's C{CertificateOptions}.
    @raise OSError: a file can't be read.
    @raise ValueError: a file does not hold what it should; there is no such method.
    """
    given: dict[str, Any] = _keys(privateKey, certKey, extraCertChain)
    if sslmethod is not None:
        if sslmethod not in _METHODS:
            raise ValueError(f"sslmethod {sslmethod!r}: expected one of {', '.join(_METHODS)}")
        given["method"] = getattr(SSL, sslmethod)
    if dhParameters is not None:
        _read(dhParameters, _parameters)
        given["dhParameters"] = ssl.DiffieHellmanParameters.fromFile(FilePath(os.fspath(dhParameters)))
    if trustRoot is not None:
        given["trustRoot"] = _trust(trustRoot)
    if protocols:
        given["acceptableProtocols"] = list(protocols)
    with warnings.catch_warnings():
        # That a method is deprecated, whoever asks for one knows.
        warnings.simplefilter("ignore", DeprecationWarning)
        options = ssl.CertificateOptions(**given)
    _checked(options, privateKey).set_alpn_select_callback(partial(_spoken, tuple(protocols)))
    return options


def clientOptions(
    host: str,
    *,
    trustRoot: Trust = None,
    privateKey: File | None = None,
    certKey: File | None = None,
    extraCertChain: File | None = None,
    protocols: Sequence[bytes] = (),
) -> IOpenSSLClientConnectionCreator:
    """
    The options of a client.

    @param host: who the server is to prove to be: a name, which it is also told (SNI, RFC 6066), or an address.
    @param trustRoot: whom to trust (L{Trust}); L{None} for those that the system trusts.
    @param privateKey: a file with a private key, for servers that ask for a certificate; as for L{serverOptions}.
    @param certKey: its certificate.
    @param extraCertChain: those that lead from that to one that the server trusts.
    @param protocols: what may be spoken, as for L{serverOptions}.
    @return: what Twisted's C{optionsForClientTLS} gives.
    @raise OSError: a file can't be read.
    @raise ValueError: a file does not hold what it should; C{host} can't be a name.
    """
    keys: dict[str, Any] = {} if privateKey is None else _keys(privateKey, certKey, extraCertChain)
    if privateKey is not None:
        _checked(ssl.CertificateOptions(**keys), privateKey)
    elif certKey is not None or extraCertChain is not None:
        raise ValueError("a certificate needs its privateKey")
    return ssl.optionsForClientTLS(
        host,
        trustRoot=None if trustRoot is None else _trust(trustRoot),
        acceptableProtocols=list(protocols) or None,
        extraCertificateOptions=keys,
    )


def isClients(options: object) -> bool:
    """
    @return: whether these are the options of a client, which know who the server is to prove to be.  Those that serve
        both sides, as Twisted's C{CertificateOptions}, don't: a client with them would take any name for the right one.
    """
    if not IOpenSSLClientConnectionCreator.providedBy(options):
        return False
    # Before Twisted 26 C{CertificateOptions} provided no creators, but a context, which is for both sides as well.
    return not (IOpenSSLServerConnectionCreator.providedBy(options) or IOpenSSLContextFactory.providedBy(options))


def _spoken(ours: Sequence[bytes], connection: SSL.Connection, theirs: Sequence[bytes]) -> Any:
    """
    Choose what is spoken.  Twisted's own choice answers with an empty name when there is no common one, also where the
    server has not named any: to which clients as curl, that name some with every https:, say that it is no answer.
    """
    for each in ours:
        if each in theirs:
            return each
    if not ours:
        return SSL.NO_OVERLAPPING_PROTOCOLS
    # An alert of that name, and the words of the log (RFC 7301, 3.2).
    raise SSL.Error([("SSL routines", "", "no application protocol")])


def _keys(privateKey: File, certKey: File | None, extraCertChain: File | None) -> dict[str, Any]:
    own, *chain = _read(privateKey if certKey is None else certKey, _certificates)
    if extraCertChain is not None:
        chain += _read(extraCertChain, _certificates)
    return {
        "privateKey": _read(privateKey, _key),
        "certificate": own.original,
        "extraCertChain": [each.original for each in chain],
    }


def _read(path: File, parse: Callable[[bytes], Any]) -> Any:
    """
    @raise OSError: the file can't be read.
    @raise ValueError: it is not what it should be.
    """
    data = Path(path).read_bytes()
    try:
        return parse(data)
    except ValueError as problem:
        raise ValueError(f"{os.fspath(path)}: {problem}") from None


def _certificates(data: bytes) -> list[ssl.Certificate]:
    found = _CERTIFICATE.findall(data)
    if not found:
        raise ValueError("expected a certificate in PEM format")
    try:
        return [ssl.Certificate.loadPEM(each) for each in found]
    except Exception as problem:
        raise ValueError("a certificate can't be read") from problem


def _key(data: bytes) -> crypto.PKey:
    if b"ENCRYPTED" in data:
        # OpenSSL would ask for it at the terminal.
        raise ValueError("the private key has a passphrase, expected one without")
    try:
        return crypto.load_privatekey(crypto.FILETYPE_PEM, data)
    except Exception:
        raise ValueError("expected a private key in PEM format") from None


def _parameters(data: bytes) -> None:
    if b"-----BEGIN DH PARAMETERS-----" not in data:
        raise ValueError("expected parameters for Diffie-Hellman's exchange in PEM format")


def _trust(trustRoot: Trust) -> Any:
    if isinstance(trustRoot, (str, os.PathLike)):
        return ssl.trustRootFromCertificates(_read(trustRoot, _certificates))
    return trustRoot


def _checked(options: ssl.CertificateOptions, privateKey: File) -> SSL.Context:
    """
    @return: OpenSSL's part of the options.
    @raise ValueError: what is in the files does not belong together, or OpenSSL does not like it.
    """
    try:
        return options.getContext()
    except (SSL.Error, ValueError) as problem:
        queue = problem.args[0] if problem.args else None
        why = ", ".join(dict.fromkeys(entry[-1] for entry in queue)) if isinstance(queue, list) else str(problem)
        raise ValueError(f"{os.fspath(privateKey)}: {why}") from None
